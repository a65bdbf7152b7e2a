//! The cluster's API: a client over SSH, objects applied and compared, waits.

mod applied_set;
mod apply;
mod bounded;
mod client;
mod coming;
mod error;
mod etcd;
mod lock;
mod probe;
mod wait;

pub use applied_set::AppliedSet;
pub use apply::{Applier, ObjectChange, ObjectId, fingerprint};
pub use client::{Dial, Identity, Stream, answers, client};
pub use error::ApiError;
pub use etcd::{EtcdClient, Member, MemberStatus, MemberView};
pub use lock::{ClusterLock, LOCK_DURATION};
pub use probe::{failed_checks, probe_http, probe_https, serving_certificate};
pub use wait::{
    Health, node_ready, node_ready_since, node_reported_since, wait_for_node, wait_healthy,
};
