//! `spec`: the cluster, field by field.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::addons::{DnsSpec, KubeProxySpec, ProxySpec};
use super::artifacts::ArtifactsSpec;
use super::bootstrap_token::BootstrapToken;
use super::control_plane::{ApiServer, ControlPlaneComponent, EncryptionAlgorithm};
use super::etcd::EtcdSpec;
use super::files::{Directory, FileSpec};
use super::host::{Group, HostSpec};
use super::load_balancer::LoadBalancerSpec;
use super::network::{LocalApiEndpoint, NetworkingSpec};
use super::node::{KubeletSpec, NodeRegistration, PreflightSpec};
use super::rollout::RolloutSpec;
use super::runtime::RuntimeSpec;
use super::ssh::SshSpec;
use super::timeouts::TimeoutsSpec;
use super::values::Scalar;

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
    pub networking: NetworkingSpec,
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
    pub etcd: EtcdSpec,
    /// Cluster DNS.
    #[serde(default)]
    pub dns: DnsSpec,
    /// kube-proxy, switched on or off.
    #[serde(default)]
    pub proxy: ProxySpec,
    /// The kubelet on every host.
    #[serde(default)]
    pub kubelet: KubeletSpec,
    /// kube-proxy's configuration.
    #[serde(default)]
    pub kube_proxy: KubeProxySpec,
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
    pub timeouts: TimeoutsSpec,
    /// How a change rolls over the nodes.
    #[serde(default)]
    pub rollout: RolloutSpec,
    /// How hosts are reached. A group or a host may override each field.
    #[serde(default)]
    pub ssh: SshSpec,
    /// Where Kubernetes itself comes from.
    #[serde(default)]
    pub artifacts: ArtifactsSpec,
    /// The container runtime.
    #[serde(default)]
    pub runtime: RuntimeSpec,
    /// Checks to demote from errors to warnings.
    #[serde(default)]
    pub preflight: PreflightSpec,
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
