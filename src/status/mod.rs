//! `status`: how the cluster fares, on one screen. Changes nothing.
//!
//! One round asks every host at once (one script, and the health endpoints
//! beside it), then the API, etcd and the plan at once. Whoever doesn't answer
//! costs the round a few seconds, once.

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
