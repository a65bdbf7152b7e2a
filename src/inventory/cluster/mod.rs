//! The resolved, valid cluster, which the rest of the program reads.
//!
//! Every default is filled in, every range expanded, every group merged into its hosts,
//! every path made absolute. Only [`super::load`] and [`super::parse`] make one.

mod definition;
mod endpoint;
mod etcd;
mod host;
mod load_balancer;
mod networking;
mod rollout;
mod settings;
mod version;

pub use definition::Cluster;
pub use endpoint::Endpoint;
pub use etcd::{Etcd, ExternalEtcd, LocalEtcd};
pub use host::{ContainerRuntime, Host, SshSettings, UserFile};
pub use load_balancer::LoadBalancer;
pub use networking::Networking;
pub use rollout::{MaxUnavailable, Rollout};
pub use settings::{Artifacts, Containerd, Timeouts};
pub use version::Version;
