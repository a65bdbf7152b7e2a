//! From the file's types to the [`Cluster`](super::Cluster): checks what the fields mean,
//! fills in defaults, merges groups, expands ranges.
//!
//! Nothing stops at a mistake: it is reported, and the field takes its default, so that
//! everything else can still be checked. [`super::parse`] drops the cluster if there was
//! an error.

mod artifacts;
mod bootstrap_tokens;
mod certificates;
mod cluster;
mod components;
mod containerd;
mod control_planes;
mod endpoint;
mod etcd;
mod expanded_host;
mod fault;
mod feature_gates;
mod files;
mod host_names;
mod host_networks;
mod hosts;
mod known_flags;
mod layer;
mod listen_args;
mod load_balancer;
mod network;
mod pod_subnet;
mod range;
mod removed;
mod resolver;
mod rollout;
mod ssh;
mod syntax;
mod timeouts;
mod unique;
mod values;
mod version;

pub(super) use cluster::resolve_cluster;
pub(super) use range::expand_name;
pub(crate) use range::expand_range;
pub(super) use resolver::Resolver;
pub use syntax::parse_duration;
