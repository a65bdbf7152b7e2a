//! Kubernetes: what kubeadm would write, as pure functions of cluster, facts
//! and PKI.
//!
//! [`node_resources`] makes a host's files, [`objects()`] the API objects;
//! templates give the defaults, the operator's settings are merged over them by
//! kubeadm's rules, patches come last. [`health`] says where each component
//! answers.
//!
//! [`api`] is the client part, and nothing else here imports it.

pub mod anonymous;
pub mod api;
pub mod applied_set;
mod args;
mod cluster_configuration;
mod component;
pub(crate) mod containerd;
mod context;
pub mod endpoint;
mod error;
pub mod etcd;
pub(crate) mod file_readers;
mod group;
pub mod health;
pub mod images;
mod kubeconfig;
mod kubelet;
pub mod load_balancer;
pub mod network;
mod node;
mod objects;
mod origin;
mod patches;
mod resources;
mod runtime_proxy;
pub mod static_pods;
mod strategic;
mod templates;
mod tokens;
mod tree;
pub mod upload_certs;
mod versions;
mod yaml;

pub use component::Component;
pub use context::{ClusterContext, ControlPlane, EtcdMember, KeyPair, NodeContext};
pub use endpoint::Endpoints;
pub use error::KubernetesError;
pub use group::{ObjectGroup, ResourceGroup};
pub use images::{Images, images};
pub use kubeconfig::{Credentials, Kubeconfig, admin_kubeconfig, merge_into, read_embedded};
pub use kubelet::kubelet_identity;
pub(crate) use node::component_files;
pub use node::node_resources;
pub(crate) use objects::hash_corefile;
pub use objects::{cluster_admins, objects, upload_certs_rbac};
pub use origin::Origin;
pub use patches::Patches;
pub use templates::Templates;
pub use tokens::{Token, TokenSecret};
pub use versions::Features;
pub use yaml::{to_string as to_yaml, to_string_all as to_yaml_documents};
