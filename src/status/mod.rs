//! `status`: the health of the cluster. Changes nothing.
//!
//! One round asks all hosts in parallel (one script and the health endpoints), then API,
//! etcd and plan in parallel. A host that does not respond delays the round by a few
//! seconds, once.

mod access;
mod certs;
mod drift;
mod etcd;
mod host;
mod merge;
mod model;
mod one_line;
#[cfg(test)]
pub(crate) mod samples;
mod watch;

pub use model::{
    ApiStatus, CertificateStatus, ClusterStatus, ComponentStatus, DriftStatus, EndpointStatus,
    EtcdMemberStatus, EtcdStatus, Health, HostDrift, HostStatus, NodeStatus, Validity,
};
pub use watch::Watch;
