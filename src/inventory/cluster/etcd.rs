//! Where the cluster's data lives.

use std::path::PathBuf;

use crate::inventory::spec::{Arg, EnvVar};

/// Where the cluster's data lives.
#[derive(Debug, Clone)]
pub enum Etcd {
    /// A static pod on every control plane.
    Local(LocalEtcd),
    /// Somebody else's. Paths are on the workstation, absolute.
    External(ExternalEtcd),
}

/// etcd as a static pod on every control plane.
#[derive(Debug, Clone)]
pub struct LocalEtcd {
    /// Default `/var/lib/etcd`.
    pub data_dir: String,
    /// Default: the cluster's.
    pub image_repository: Option<String>,
    /// Default: kubeadm's for the Kubernetes version.
    pub image_tag: Option<String>,
    /// More arguments.
    pub extra_args: Vec<Arg>,
    /// More environment variables.
    pub extra_envs: Vec<EnvVar>,
    /// More names and addresses for the serving certificate.
    pub server_cert_sans: Vec<String>,
    /// More names and addresses for the peer certificate.
    pub peer_cert_sans: Vec<String>,
}

/// An existing etcd that clusterctl-rs does not manage.
#[derive(Debug, Clone)]
pub struct ExternalEtcd {
    /// URLs.
    pub endpoints: Vec<String>,
    /// URLs of the HTTP API, where separate.
    pub http_endpoints: Vec<String>,
    /// CA of etcd's serving certificate.
    pub ca_file: Option<PathBuf>,
    /// The API server's client certificate.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
}
