//! etcd, the cluster's own or an external one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::control_plane::{Arg, EnvVar};

/// Where the cluster's data lives: `local` or `external`, not both.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EtcdSpec {
    /// etcd as a static pod on every control plane. The default.
    pub local: Option<LocalEtcdSpec>,
    /// An etcd that somebody else runs.
    pub external: Option<ExternalEtcdSpec>,
}

/// etcd as a static pod on every control plane.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalEtcdSpec {
    /// Default `/var/lib/etcd`.
    pub data_dir: Option<String>,
    /// Default: `spec.imageRepository`.
    pub image_repository: Option<String>,
    /// Default: kubeadm's for the Kubernetes version.
    pub image_tag: Option<String>,
    /// More arguments; one that names a default replaces it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_args: Vec<Arg>,
    /// More environment variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_envs: Vec<EnvVar>,
    /// More names and addresses for the serving certificate.
    #[serde(
        default,
        rename = "serverCertSANs",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub server_cert_sans: Vec<String>,
    /// More names and addresses for the peer certificate.
    #[serde(
        default,
        rename = "peerCertSANs",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub peer_cert_sans: Vec<String>,
}

/// An etcd that somebody else runs. The files are on the workstation, relative
/// to the inventory.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExternalEtcdSpec {
    /// `https://host:2379`, one or more.
    pub endpoints: Vec<String>,
    /// Endpoints of the HTTP API, where that is a separate listener.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub http_endpoints: Vec<String>,
    /// CA that signed etcd's serving certificate.
    pub ca_file: Option<String>,
    /// The API server's client certificate.
    pub cert_file: Option<String>,
    /// Its key.
    pub key_file: Option<String>,
}
