//! How a field may change once the cluster runs.
//!
//! Each field declares its class beside its type (`x-change` in the schema). Fields of the
//! classes [`Change::Never`] and [`Change::Replace`] are compared with what runs before
//! anything is planned (`plan::changes`).

use std::fmt;

use serde::{Serialize, Serializer};

/// What it takes to change a field of a running cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Takes effect without a restart, be it on the cluster or only in the next run.
    Live,
    /// Restarts this on each host that runs it, one control plane at a time.
    Restarts(&'static str),
    /// Restarts the kubelet or the container runtime of each node in turn.
    Rolls,
    /// The host has to leave the cluster and come back.
    Replace,
    /// Applies to what is created from now on, and leaves the rest as it is.
    OnlyNew(&'static str),
    /// Refused as long as the cluster runs.
    Never,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Live => f.write_str("live"),
            Change::Restarts(what) => write!(f, "restarts {what}"),
            Change::Rolls => f.write_str("rolls through the nodes"),
            Change::Replace => f.write_str("needs `remove-node` and `add-node`"),
            Change::OnlyNew(what) => write!(f, "only for new {what}"),
            Change::Never => f.write_str("never on a running cluster"),
        }
    }
}

impl Serialize for Change {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Members of a free-form field whose class is another than the field's own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Members(pub(crate) &'static [(&'static str, Change)]);

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, change)| (name, change)))
    }
}

/// Arguments of the API server.
pub(crate) const API_SERVER_ARGS: Members = Members(&[
    ("advertise-address", Change::Replace),
    ("encryption-provider-config", Change::Never),
    ("etcd-prefix", Change::Never),
    ("etcd-servers", Change::Never),
    ("secure-port", Change::Never),
    ("service-account-issuer", Change::Never),
    ("service-cluster-ip-range", Change::Never),
]);

/// Arguments of the controller manager.
pub(crate) const CONTROLLER_MANAGER_ARGS: Members = Members(&[
    ("cluster-cidr", Change::Never),
    ("cluster-name", Change::Never),
    ("node-cidr-mask-size", Change::Never),
    ("node-cidr-mask-size-ipv4", Change::Never),
    ("node-cidr-mask-size-ipv6", Change::Never),
    ("service-cluster-ip-range", Change::Never),
]);

/// Arguments of etcd.
pub(crate) const ETCD_ARGS: Members = Members(&[
    ("data-dir", Change::Never),
    ("force-new-cluster", Change::Never),
    ("initial-advertise-peer-urls", Change::Replace),
    ("initial-cluster-token", Change::Never),
    ("name", Change::Replace),
    ("wal-dir", Change::Never),
]);

/// Arguments of the kubelet.
pub(crate) const KUBELET_ARGS: Members = Members(&[
    ("cert-dir", Change::Replace),
    ("cluster-domain", Change::Never),
    ("container-runtime-endpoint", Change::Replace),
    ("hostname-override", Change::Replace),
    ("node-ip", Change::Replace),
    ("root-dir", Change::Replace),
]);

/// Fields of a `KubeletConfiguration`.
pub(crate) const KUBELET_FIELDS: Members = Members(&[
    ("cgroupDriver", Change::Replace),
    ("clusterDomain", Change::Never),
    ("staticPodPath", Change::Never),
]);

/// Fields of containerd's configuration.
pub(crate) const CONTAINERD_FIELDS: Members = Members(&[
    ("SystemdCgroup", Change::Replace),
    ("root", Change::Replace),
    ("state", Change::Replace),
]);
