//! The inventory file, field by field, as the operator writes it.
//!
//! Nothing here is resolved: a missing field is `None` or empty. The words are
//! kubeadm's (v1beta4) wherever kubeadm has one. [`super::Cluster`] is what the
//! rest of the program reads.

mod components;
mod hosts;
mod network;
mod options;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::load_balancer::LoadBalancerSpec;
use super::rollout::RolloutSpec;

pub use components::{
    ApiServer, Arg, ControlPlaneComponent, Dns, EncryptionAlgorithm, EnvVar, Etcd, ExternalEtcd,
    HostPathMount, KubeProxy, Kubelet, LocalEtcd, Proxy,
};
pub use hosts::{
    FileSpec, Group, HostSpec, ImagePullPolicy, NodeRegistration, Role, Scalar, Taint, TaintEffect,
};
pub use network::{Cni, CniType, LocalApiEndpoint, Networking};
pub use options::{
    ArtifactSource, Artifacts, BootstrapToken, Containerd, Directory, Mirrors, Preflight, Runtime,
    Ssh, Timeouts,
};

/// A free-form tree, merged into a configuration that somebody else defines
/// (a `KubeletConfiguration`, containerd's `config.toml`).
pub type Tree = serde_json::Map<String, serde_json::Value>;

/// The whole file.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Inventory {
    /// Always `clusterctl.rs/v1alpha1`.
    pub api_version: ApiVersion,
    /// Always `Cluster`.
    pub kind: Kind,
    /// The cluster's name.
    pub metadata: Metadata,
    /// What the cluster should be.
    pub spec: ClusterSpec,
}

/// The only version of this file that exists so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// `clusterctl.rs/v1alpha1`
    #[serde(rename = "clusterctl.rs/v1alpha1")]
    V1Alpha1,
}

/// The only kind of inventory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Kind {
    /// A Kubernetes cluster.
    Cluster,
}

/// Names the cluster.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// A DNS label. Names the operator state and, unless `spec.clusterName`
    /// says otherwise, the cluster in kubeconfigs.
    pub name: String,
}

/// What the cluster should be.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterSpec {
    /// `vMAJOR.MINOR.PATCH`, from v1.33 to v1.37.
    pub kubernetes_version: String,
    /// The cluster's name in kubeconfigs. Default: `metadata.name`.
    pub cluster_name: Option<String>,
    /// `host` or `host:port` under which clients reach the API, and nodes, too,
    /// unless `loadBalancer.type` is `local`. The port defaults to
    /// `localAPIEndpoint.bindPort`.
    pub control_plane_endpoint: Option<String>,
    /// How nodes reach the API servers.
    pub load_balancer: Option<LoadBalancerSpec>,
    /// The API server's own address and port.
    #[serde(rename = "localAPIEndpoint")]
    pub local_api_endpoint: Option<LocalApiEndpoint>,
    /// Where certificates live on control planes. Default `/etc/kubernetes/pki`.
    pub certificates_dir: Option<String>,
    /// The registry of every Kubernetes image. Default `registry.k8s.io`.
    pub image_repository: Option<String>,
    /// Algorithm of every key that we make. Default `ECDSA-P256`.
    pub encryption_algorithm: Option<EncryptionAlgorithm>,
    /// How long leaf certificates are valid. Default `8760h` (one year).
    pub certificate_validity_period: Option<String>,
    /// How long CA certificates are valid. Default `87600h` (ten years).
    pub ca_certificate_validity_period: Option<String>,
    /// kubeadm's own feature gates, kept in `kubeadm-config`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub feature_gates: BTreeMap<String, bool>,
    /// Pod and service networks, DNS domain and CNI.
    #[serde(default)]
    pub networking: Networking,
    /// The API server's settings.
    #[serde(default)]
    pub api_server: ApiServer,
    /// The controller manager's settings.
    #[serde(default)]
    pub controller_manager: ControlPlaneComponent,
    /// The scheduler's settings.
    #[serde(default)]
    pub scheduler: ControlPlaneComponent,
    /// Where the cluster's data lives.
    #[serde(default)]
    pub etcd: Etcd,
    /// Cluster DNS.
    #[serde(default)]
    pub dns: Dns,
    /// kube-proxy, switched on or off.
    #[serde(default)]
    pub proxy: Proxy,
    /// The kubelet on every host.
    #[serde(default)]
    pub kubelet: Kubelet,
    /// kube-proxy's configuration.
    #[serde(default)]
    pub kube_proxy: KubeProxy,
    /// How nodes register. A host may override each field.
    #[serde(default)]
    pub node_registration: NodeRegistration,
    /// Tokens of the operator's own, kept until they expire. The tokens that
    /// our own joins use are made and deleted by each run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bootstrap_tokens: Vec<BootstrapToken>,
    /// 64 hex digits that encrypt the certificates that `--upload-certs` stores
    /// in the cluster. Default: a new one for each upload.
    pub certificate_key: Option<String>,
    /// Phases that `apply` leaves out, by the names that `phases` lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skip_phases: Vec<String>,
    /// Patches on what we render, in kubeadm's form.
    pub patches: Option<Directory>,
    /// Templates of the operator's own, each replacing ours of the same name.
    pub templates: Option<Directory>,
    /// How long to wait for what.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// How a change rolls over the nodes.
    #[serde(default)]
    pub rollout: RolloutSpec,
    /// How hosts are reached. A group or a host may override each field.
    #[serde(default)]
    pub ssh: Ssh,
    /// Where Kubernetes itself comes from.
    #[serde(default)]
    pub artifacts: Artifacts,
    /// The container runtime.
    #[serde(default)]
    pub runtime: Runtime,
    /// Checks to demote from errors to warnings.
    #[serde(default)]
    pub preflight: Preflight,
    /// Sysctls on every host, beside those that Kubernetes needs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, Scalar>,
    /// Files of the operator's own, placed on every host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileSpec>,
    /// Settings shared by some hosts, which name the group in their `groups`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, Group>,
    /// The machines.
    pub hosts: Vec<HostSpec>,
    /// Names of hosts that stand in `hosts` and have been removed from the
    /// cluster: they count as if they weren't there. `remove-node` and
    /// `add-node` keep this list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed_hosts: Vec<String>,
}
