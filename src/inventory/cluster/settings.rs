//! The cluster's smaller settings.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::inventory::spec::{ArtifactSource, Mirrors, Tree};

/// How long to wait for what.
#[derive(Debug, Clone)]
pub struct Timeouts {
    /// API server, controller manager, scheduler. Default 4 min.
    pub control_plane_component_health_check: Duration,
    /// The kubelet's `/healthz`. Default 4 min.
    pub kubelet_health_check: Duration,
    /// One call to the API, retries included. Default 1 min.
    pub kubernetes_api_call: Duration,
    /// One call to etcd, retries included. Default 2 min.
    pub etcd_api_call: Duration,
    /// TLS bootstrap. Default 5 min.
    pub tls_bootstrap: Duration,
    /// A joined node to become Ready. Default 5 min.
    pub node_ready: Duration,
}

/// Where Kubernetes comes from.
#[derive(Debug, Clone)]
pub struct Artifacts {
    /// Kind of source.
    pub source: ArtifactSource,
    /// With [`ArtifactSource::Directory`]: where, absolute.
    pub path: Option<PathBuf>,
    /// With [`ArtifactSource::Online`]: what replaces the upstream sites.
    pub mirrors: Mirrors,
    /// SHA-256 of files (lower hex), by path below the mirrors' URLs.
    pub checksums: BTreeMap<String, String>,
    /// A file of more of them, absolute.
    pub checksums_file: Option<PathBuf>,
}

/// containerd.
#[derive(Debug, Clone)]
pub struct Containerd {
    /// Whether we install and configure it.
    pub managed: bool,
    /// Config (version 3), deep-merged over the defaults.
    pub config: Tree,
}
