//! The inventory file, field by field, as the operator writes it.
//!
//! Nothing here is resolved: a field that is missing is `None` or empty. Names are
//! kubeadm's (v1beta4) wherever kubeadm has one. The rest of the program reads the
//! resolved [`super::Cluster`] instead.

mod addons;
mod artifacts;
mod bootstrap_token;
pub(crate) mod change;
mod cluster;
mod control_plane;
pub(crate) mod defaults;
mod etcd;
mod files;
mod host;
mod inventory;
mod load_balancer;
mod network;
mod node;
mod reference;
mod rollout;
mod runtime;
mod schema;
mod ssh;
mod timeouts;
mod values;

pub use addons::{DnsSpec, KubeProxySpec, ProxySpec};
pub use artifacts::{ArtifactSource, ArtifactsSpec, Mirrors};
pub use bootstrap_token::BootstrapToken;
pub use cluster::ClusterSpec;
pub use control_plane::{
    ApiServer, Arg, ControlPlaneComponent, EncryptionAlgorithm, EnvVar, HostPathMount,
};
pub use etcd::{EtcdSpec, ExternalEtcdSpec, LocalEtcdSpec};
pub use files::{Directory, FileSpec};
pub use host::{Group, HostSpec, Role};
pub use inventory::{ApiVersion, Inventory, Kind, Metadata};
pub use load_balancer::{LoadBalancerSpec, LoadBalancerType};
pub use network::{Cni, CniType, LocalApiEndpoint, NetworkingSpec};
pub use node::{ImagePullPolicy, KubeletSpec, NodeRegistration, PreflightSpec, Taint, TaintEffect};
pub use reference::field_reference;
pub use rollout::RolloutSpec;
pub use runtime::{ContainerdSpec, RuntimeSpec};
pub use schema::schema;
pub use ssh::SshSpec;
pub use timeouts::TimeoutsSpec;
pub use values::{IntOrString, Scalar, Tree};
