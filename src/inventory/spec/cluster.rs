//! `spec`: the cluster, field by field.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::addons::{DnsSpec, KubeProxySpec, ProxySpec};
use super::artifacts::ArtifactsSpec;
use super::bootstrap_token::BootstrapToken;
use super::change::{self, Change};
use super::control_plane::{ApiServer, ControlPlaneComponent, EncryptionAlgorithm};
use super::defaults;
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
use crate::layout::components;

/// What the cluster should be.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterSpec {
    /// The version to install: `vMAJOR.MINOR.PATCH`, from v1.33 to v1.37.
    #[schemars(extend("x-change" = Change::Never))]
    pub kubernetes_version: String,
    /// The cluster's name in kubeconfigs. Default: `metadata.name`.
    #[schemars(extend("x-change" = Change::Never))]
    pub cluster_name: Option<String>,
    /// `host` or `host:port` at which clients reach the API, as do nodes unless
    /// `loadBalancer.type` is `local`. The port defaults to `localAPIEndpoint.bindPort`.
    #[schemars(extend("x-change" = Change::Rolls))]
    pub control_plane_endpoint: Option<String>,
    /// How nodes reach the API servers.
    pub load_balancer: Option<LoadBalancerSpec>,
    /// The API server's own address and port.
    #[serde(rename = "localAPIEndpoint")]
    pub local_api_endpoint: Option<LocalApiEndpoint>,
    /// Directory for certificates on control planes.
    #[schemars(extend("default" = defaults::CERTIFICATES_DIR))]
    #[schemars(extend("x-change" = Change::Never))]
    pub certificates_dir: Option<String>,
    /// Registry for all Kubernetes images.
    #[schemars(extend("default" = defaults::IMAGE_REPOSITORY))]
    #[schemars(extend("x-change" = Change::Rolls))]
    pub image_repository: Option<String>,
    /// Algorithm for all keys that are generated.
    #[schemars(extend("default" = EncryptionAlgorithm::default()))]
    #[schemars(extend("x-change" = Change::OnlyNew("keys")))]
    pub encryption_algorithm: Option<EncryptionAlgorithm>,
    /// Whether the CA's key is kept elsewhere: its certificates are then made by you. A key that
    /// is missing without this is an error.
    #[serde(rename = "externalCA")]
    #[schemars(extend("x-change" = Change::Restarts(components::CONTROLLER_MANAGER)))]
    #[schemars(extend("default" = false))]
    pub external_ca: Option<bool>,
    /// How long leaf certificates are valid.
    #[schemars(extend("default" = defaults::CERTIFICATE_VALIDITY))]
    #[schemars(extend("x-change" = Change::OnlyNew("certificates")))]
    pub certificate_validity_period: Option<String>,
    /// How long before its end a leaf certificate is replaced by `apply`. Where
    /// certificates are valid for less than three times the default: a third of that.
    #[schemars(extend("default" = defaults::CERTIFICATE_RENEW_BEFORE))]
    #[schemars(extend("x-change" = Change::Live))]
    pub certificate_renew_before: Option<String>,
    /// How long CA certificates are valid.
    #[schemars(extend("default" = defaults::CA_CERTIFICATE_VALIDITY))]
    #[schemars(extend("x-change" = Change::OnlyNew("certificate authorities")))]
    pub ca_certificate_validity_period: Option<String>,
    /// kubeadm's own feature gates, stored in `kubeadm-config`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-change" = Change::Rolls))]
    pub feature_gates: BTreeMap<String, bool>,
    /// Pod and service networks, DNS domain and CNI.
    #[serde(default)]
    pub networking: NetworkingSpec,
    /// Settings of the API server.
    #[serde(default)]
    pub api_server: ApiServer,
    /// Settings of the controller manager.
    #[serde(default)]
    #[schemars(extend(
        "x-change" = Change::Restarts(components::CONTROLLER_MANAGER),
        "x-change-members" = change::CONTROLLER_MANAGER_ARGS
    ))]
    pub controller_manager: ControlPlaneComponent,
    /// Settings of the scheduler.
    #[serde(default)]
    #[schemars(extend("x-change" = Change::Restarts(components::SCHEDULER)))]
    pub scheduler: ControlPlaneComponent,
    /// Settings of etcd, local or external.
    #[serde(default)]
    pub etcd: EtcdSpec,
    /// Cluster DNS (CoreDNS).
    #[serde(default)]
    pub dns: DnsSpec,
    /// Whether kube-proxy is installed.
    #[serde(default)]
    pub proxy: ProxySpec,
    /// The kubelet on every host.
    #[serde(default)]
    pub kubelet: KubeletSpec,
    /// kube-proxy's configuration.
    #[serde(default)]
    pub kube_proxy: KubeProxySpec,
    /// How nodes register. A group or a host can override each field.
    #[serde(default)]
    pub node_registration: NodeRegistration,
    /// Additional bootstrap tokens, kept until they expire. The tokens that `apply` and
    /// `add-node` join with are created by each run and need no entry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-change" = Change::Live))]
    pub bootstrap_tokens: Vec<BootstrapToken>,
    /// 64 hexadecimal digits that encrypt the certificates that `--upload-certs` stores
    /// in the cluster. Default: a new key for each upload.
    #[schemars(extend("x-change" = Change::Live))]
    pub certificate_key: Option<String>,
    /// Phases that `apply` skips; `clusterctl-rs phases` lists their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-change" = Change::Live))]
    pub skip_phases: Vec<String>,
    /// Patches for the generated manifests, in kubeadm's format.
    #[schemars(extend("x-change" = Change::Restarts("what they patch")))]
    pub patches: Option<Directory>,
    /// Templates that override the built-in ones of the same name.
    #[schemars(extend("x-change" = Change::Restarts("what they render")))]
    pub templates: Option<Directory>,
    /// How long to wait for what.
    #[serde(default)]
    #[schemars(extend("x-change" = Change::Live))]
    pub timeouts: TimeoutsSpec,
    /// How changes are rolled out over the nodes.
    #[serde(default)]
    #[schemars(extend("x-change" = Change::Live))]
    pub rollout: RolloutSpec,
    /// How hosts are reached. A group or a host can override each field.
    #[serde(default)]
    #[schemars(extend("x-change" = Change::Live))]
    pub ssh: SshSpec,
    /// Where the Kubernetes binaries and images come from.
    #[serde(default)]
    #[schemars(extend("x-change" = Change::Live))]
    pub artifacts: ArtifactsSpec,
    /// The container runtime.
    #[serde(default)]
    pub runtime: RuntimeSpec,
    /// Preflight checks to ignore.
    #[serde(default)]
    #[schemars(extend("x-change" = Change::Live))]
    pub preflight: PreflightSpec,
    /// Sysctls for every host, in addition to those that Kubernetes needs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-change" = Change::Live))]
    pub sysctls: BTreeMap<String, Scalar>,
    /// Files to place on every host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-change" = Change::Live))]
    pub files: Vec<FileSpec>,
    /// Settings shared by several hosts, which name the group in their `groups`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, Group>,
    /// The hosts.
    pub hosts: Vec<HostSpec>,
    /// Hosts that are listed in `hosts` but have been removed from the cluster, and are
    /// ignored. `remove-node` and `add-node` maintain this list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-change" = Change::Replace))]
    pub removed_hosts: Vec<String>,
}
