//! Kubernetes: what kubeadm would write, as pure functions of cluster, facts
//! and PKI.
//!
//! [`node_resources`] makes a host's files, [`objects()`] the API objects;
//! templates give the defaults, the operator's settings are merged over them by
//! kubeadm's rules, patches come last.

pub mod api;
mod args;
pub mod cluster_configuration;
pub mod cni;
pub mod containerd;
mod context;
pub mod endpoint;
mod error;
pub mod images;
pub mod kubeconfig;
pub mod kubelet;
pub mod load_balancer;
mod node;
mod objects;
mod patches;
mod phase;
pub mod static_pods;
mod strategic;
mod templates;
pub mod tokens;
mod tree;
pub mod upload_certs;
mod versions;
mod yaml;

pub use args::merge as merge_arguments;
pub use context::{ClusterContext, ControlPlane, EtcdMember, KeyPair, NodeContext};
pub use endpoint::Endpoints;
pub use error::KubernetesError;
pub use images::{Images, images};
pub use kubeconfig::{Credentials, Kubeconfig, merge_into, read_embedded};
pub use node::node_resources;
pub use objects::{cluster_admins, objects, upload_certs_rbac};
pub use patches::Patches;
pub use phase::Phase;
pub use templates::{Origin, Templates};
pub use tokens::{Token, TokenSecret};
pub use versions::Features;
pub(crate) use yaml::parse_all as parse_documents;
pub use yaml::{to_string as to_yaml, to_string_all as to_yaml_documents};
