//! The inventory file, field by field, as the operator writes it.
//!
//! Nothing here is resolved: a missing field is `None` or empty. The words are
//! kubeadm's (v1beta4) wherever kubeadm has one. [`super::Cluster`] is what the
//! rest of the program reads.

use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::load_balancer::LoadBalancerSpec;
use super::rollout::RolloutSpec;

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

/// The API server's own address and port (kubeadm's `localAPIEndpoint`).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalApiEndpoint {
    /// Address that the API server and etcd advertise. Default: the host's
    /// `address` if that is an IP, else the address of its default route.
    /// Only makes sense per host.
    pub advertise_address: Option<IpAddr>,
    /// Port that the API server listens on. Default 6443.
    pub bind_port: Option<u16>,
}

/// Algorithms that kubeadm knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EncryptionAlgorithm {
    /// ECDSA on P-256.
    #[default]
    #[serde(rename = "ECDSA-P256")]
    EcdsaP256,
    /// ECDSA on P-384.
    #[serde(rename = "ECDSA-P384")]
    EcdsaP384,
    /// RSA, 2048 bits.
    #[serde(rename = "RSA-2048")]
    Rsa2048,
    /// RSA, 3072 bits.
    #[serde(rename = "RSA-3072")]
    Rsa3072,
    /// RSA, 4096 bits.
    #[serde(rename = "RSA-4096")]
    Rsa4096,
}

/// Pod and service networks, DNS domain and CNI.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Networking {
    /// CIDR, or two joined by a comma for dual-stack. Default `10.244.0.0/16`.
    pub pod_subnet: Option<String>,
    /// CIDR, or two joined by a comma for dual-stack. Default `10.96.0.0/12`.
    pub service_subnet: Option<String>,
    /// Default `cluster.local`.
    pub dns_domain: Option<String>,
    /// What gives pods their network. Default `bridge`.
    #[serde(default)]
    pub cni: Cni,
}

/// What gives pods their network.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cni {
    /// `bridge` (built in, for nodes on one L2 network), `none`, or `manifest`.
    #[serde(rename = "type", default)]
    pub kind: CniType,
    /// With `manifest`: a YAML file of API objects, relative to the inventory.
    pub path: Option<String>,
}

/// Kinds of pod network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CniType {
    /// The reference plugins bridge and host-local, and a route to the pod
    /// network. IPv4, nodes on one L2 network.
    #[default]
    Bridge,
    /// Nothing: nodes stay NotReady until somebody installs a network.
    None,
    /// API objects from the file that `path` names.
    Manifest,
}

/// One `--name=value` (kubeadm's `extraArgs` item).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Arg {
    /// The flag's name, without dashes.
    pub name: String,
    /// Its value, as it stands on the command line.
    pub value: String,
}

/// One environment variable of a control-plane container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvVar {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A directory or file of the host, mounted into a control-plane container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostPathMount {
    /// The volume's name. One of kubeadm's own names replaces that volume.
    pub name: String,
    /// Path on the host.
    pub host_path: String,
    /// Path in the container.
    pub mount_path: String,
    /// Default false.
    #[serde(default)]
    pub read_only: bool,
    /// A `hostPath` type, such as `DirectoryOrCreate`. Default: no check.
    pub path_type: Option<String>,
}

/// Settings of the API server.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiServer {
    /// More names and addresses for the serving certificate.
    #[serde(default, rename = "certSANs", skip_serializing_if = "Vec::is_empty")]
    pub cert_sans: Vec<String>,
    /// More arguments; one that names a default replaces it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_args: Vec<Arg>,
    /// More environment variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_envs: Vec<EnvVar>,
    /// More host paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_volumes: Vec<HostPathMount>,
}

/// Settings of the controller manager or the scheduler.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ControlPlaneComponent {
    /// More arguments; one that names a default replaces it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_args: Vec<Arg>,
    /// More environment variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_envs: Vec<EnvVar>,
    /// More host paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_volumes: Vec<HostPathMount>,
}

/// Where the cluster's data lives: `local` or `external`, not both.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Etcd {
    /// etcd as a static pod on every control plane. The default.
    pub local: Option<LocalEtcd>,
    /// An etcd that somebody else runs.
    pub external: Option<ExternalEtcd>,
}

/// etcd as a static pod on every control plane.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalEtcd {
    /// Default `/var/lib/etcd`.
    pub data_dir: Option<String>,
    /// Default: `spec.imageRepository`.
    pub image_repository: Option<String>,
    /// Default: kubeadm's for the Kubernetes version.
    pub image_tag: Option<String>,
    /// More arguments; one that names a default replaces it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_args: Vec<Arg>,
    /// More environment variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_envs: Vec<EnvVar>,
    /// More names and addresses for the serving certificate.
    #[serde(
        default,
        rename = "serverCertSANs",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub server_cert_sans: Vec<String>,
    /// More names and addresses for the peer certificate.
    #[serde(
        default,
        rename = "peerCertSANs",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub peer_cert_sans: Vec<String>,
}

/// An etcd that somebody else runs. The files are on the workstation, relative
/// to the inventory.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExternalEtcd {
    /// `https://host:2379`, one or more.
    pub endpoints: Vec<String>,
    /// Endpoints of the HTTP API, where that is a separate listener.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub http_endpoints: Vec<String>,
    /// CA that signed etcd's serving certificate.
    pub ca_file: Option<String>,
    /// The API server's client certificate.
    pub cert_file: Option<String>,
    /// Its key.
    pub key_file: Option<String>,
}

/// Cluster DNS.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dns {
    /// Default: `registry.k8s.io/coredns`, or `spec.imageRepository`.
    pub image_repository: Option<String>,
    /// Default: kubeadm's for the Kubernetes version.
    pub image_tag: Option<String>,
    /// Leave CoreDNS out.
    #[serde(default)]
    pub disabled: bool,
}

/// kube-proxy, switched on or off.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Proxy {
    /// Leave kube-proxy out.
    #[serde(default)]
    pub disabled: bool,
}

/// The kubelet.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Kubelet {
    /// Any `KubeletConfiguration` field, merged over ours.
    #[serde(default, skip_serializing_if = "Tree::is_empty")]
    pub config: Tree,
}

/// kube-proxy's configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KubeProxy {
    /// Any `KubeProxyConfiguration` field, merged over ours.
    #[serde(default, skip_serializing_if = "Tree::is_empty")]
    pub config: Tree,
}

/// How a node registers (kubeadm's `nodeRegistration`).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeRegistration {
    /// The Node's name. Default: the host's `name`. Only makes sense per host.
    pub name: Option<String>,
    /// `unix://` socket of the container runtime. Default: containerd's.
    pub cri_socket: Option<String>,
    /// Taints. Unset: kubeadm's default (control planes only); `[]`: none.
    pub taints: Option<Vec<Taint>>,
    /// More kubelet arguments; one that names a default replaces it.
    pub kubelet_extra_args: Option<Vec<Arg>>,
    /// Pull policy of control-plane images. Default `IfNotPresent`.
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// Preflight checks to demote, by kubeadm's names; `all` for all.
    pub ignore_preflight_errors: Option<Vec<String>>,
}

/// When a node pulls an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ImagePullPolicy {
    /// Only if it is not there.
    #[default]
    IfNotPresent,
    /// Each time.
    Always,
    /// Never: it has to be there.
    Never,
}

/// A node's taint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Taint {
    /// Its key, such as `node-role.kubernetes.io/control-plane`.
    pub key: String,
    /// Its value. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What it does to pods that don't tolerate it.
    pub effect: TaintEffect,
}

/// What a taint does to pods that don't tolerate it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TaintEffect {
    /// Not scheduled here.
    NoSchedule,
    /// Scheduled elsewhere if possible.
    PreferNoSchedule,
    /// Not scheduled here, and evicted.
    NoExecute,
}

/// A bootstrap token of the operator's own.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BootstrapToken {
    /// `[a-z0-9]{6}.[a-z0-9]{16}`.
    pub token: String,
    /// How long it lives, such as `24h`. Default 24h; `0` for ever.
    pub ttl: Option<String>,
    /// What it may be used for. Default: `signing` and `authentication`.
    pub usages: Option<Vec<String>>,
    /// Groups that it authenticates as, beside `system:bootstrappers`.
    pub groups: Option<Vec<String>>,
    /// For humans.
    pub description: Option<String>,
}

/// A directory on the workstation, relative to the inventory.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Directory {
    /// Its path.
    pub directory: String,
}

/// How long to wait for what (kubeadm's names; durations such as `4m0s`).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Timeouts {
    /// API server, controller manager and scheduler to be healthy. Default 4m.
    pub control_plane_component_health_check: Option<String>,
    /// The kubelet's `/healthz`. Default 4m.
    pub kubelet_health_check: Option<String>,
    /// One call to the API, retries included. Default 1m.
    #[serde(rename = "kubernetesAPICall")]
    pub kubernetes_api_call: Option<String>,
    /// One call to etcd, retries included. Default 2m.
    #[serde(rename = "etcdAPICall")]
    pub etcd_api_call: Option<String>,
    /// The kubelet's TLS bootstrap. Default 5m.
    pub tls_bootstrap: Option<String>,
    /// A joined node to become Ready. Ours, not kubeadm's. Default 5m.
    pub node_ready: Option<String>,
}

/// How hosts are reached. What is unset falls back to the group, the cluster,
/// `~/.ssh/config` and OpenSSH's defaults, in this order.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ssh {
    /// User to log in as.
    pub user: Option<String>,
    /// Port. Default 22.
    pub port: Option<u16>,
    /// Private key file, relative to the inventory; `~` is the home directory.
    pub private_key: Option<String>,
    /// File whose first line is the key's passphrase. Default: asked for once.
    pub passphrase_file: Option<String>,
    /// Whether to offer the agent's keys. Default true.
    pub agent: Option<bool>,
    /// Become root by sudo. Default: only if the user is not root.
    #[serde(rename = "become")]
    pub become_root: Option<bool>,
    /// File whose first line is the sudo password. Default: asked for once,
    /// if sudo wants one.
    pub become_password_file: Option<String>,
    /// Host to go through: `[user@]host[:port]`, several joined by commas.
    pub proxy_jump: Option<String>,
    /// More known_hosts files, relative to the inventory.
    pub known_hosts: Option<Vec<String>>,
    /// Time to connect and shake hands, such as `10s`. Default 10s.
    pub connect_timeout: Option<String>,
    /// Whether to read `~/.ssh/config`. Default true.
    pub use_ssh_config: Option<bool>,
}

/// Where Kubernetes itself comes from.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Artifacts {
    /// `online` or `directory`. Default `online`.
    #[serde(default)]
    pub source: ArtifactSource,
    /// With `directory`: where, relative to the inventory.
    pub path: Option<String>,
    /// With `online`: mirrors that replace the upstream sites.
    #[serde(default)]
    pub mirrors: Mirrors,
}

/// Kinds of source for Kubernetes' components.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ArtifactSource {
    /// The upstream sites, through the user's cache.
    #[default]
    Online,
    /// A directory on the workstation.
    Directory,
}

/// Base URLs that replace the upstream sites.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mirrors {
    /// Default `https://dl.k8s.io`.
    pub kubernetes: Option<String>,
    /// Default `https://github.com/containernetworking/plugins/releases/download`.
    pub cni_plugins: Option<String>,
    /// Default `https://github.com/kubernetes-sigs/cri-tools/releases/download`.
    pub cri_tools: Option<String>,
}

/// The container runtime.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Runtime {
    /// containerd, the only one that we install and configure.
    #[serde(default)]
    pub containerd: Containerd,
}

/// containerd.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Containerd {
    /// Any containerd config (version 3), deep-merged over ours.
    #[serde(default, skip_serializing_if = "Tree::is_empty")]
    pub config: Tree,
    /// Whether to install and configure it. Default true; false leaves all of
    /// it to you.
    pub managed: Option<bool>,
}

/// Checks to demote from errors to warnings.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Preflight {
    /// kubeadm's names, case-insensitive; `all` for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
}

/// A string, a number or a boolean, where YAML's guess doesn't matter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// `true` or `false`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Anything else.
    String(String),
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scalar::Bool(b) => b.fmt(f),
            Scalar::Int(i) => i.fmt(f),
            Scalar::String(s) => s.fmt(f),
        }
    }
}

/// A file of the operator's own, placed on hosts.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileSpec {
    /// File on the workstation, relative to the inventory.
    pub source: String,
    /// Absolute path on the host.
    pub destination: String,
    /// `user` or `user:group`; the group of a user alone has the same name.
    /// Default `root:root`.
    pub owner: Option<String>,
    /// Octal, in quotes: `"0644"`, which is the default.
    pub mode: Option<String>,
    /// Render it as a minijinja template with `cluster`, `host` and `facts`.
    #[serde(default)]
    pub template: bool,
    /// Don't show its content in plans and logs.
    #[serde(default)]
    pub secret: bool,
}

/// Settings shared by some hosts.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Group {
    /// Node labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// How to reach these hosts.
    #[serde(default)]
    pub ssh: Ssh,
    /// How these nodes register.
    #[serde(default)]
    pub node_registration: NodeRegistration,
    /// Their kubelets.
    #[serde(default)]
    pub kubelet: Kubelet,
    /// Checks to demote.
    #[serde(default)]
    pub preflight: Preflight,
    /// Sysctls.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, Scalar>,
    /// Files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileSpec>,
}

/// What a host is for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Runs the API server, the controller manager, the scheduler and etcd.
    ControlPlane,
    /// Runs pods.
    Worker,
}

/// A machine, or a range of machines: `worker[01:20]` with `192.0.2.[101:120]`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostSpec {
    /// Its name here, and its Node's name: a DNS label (dots allowed).
    pub name: String,
    /// IP address or DNS name that SSH connects to. Default: the name, which
    /// `~/.ssh/config` may resolve.
    pub address: Option<String>,
    /// `control-plane`, `worker`, or both (then the control plane carries no
    /// taint).
    pub roles: Vec<Role>,
    /// Groups that it belongs to; later ones win.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Node labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Shorthand for `nodeRegistration.taints`.
    pub taints: Option<Vec<Taint>>,
    /// How to reach it.
    #[serde(default)]
    pub ssh: Ssh,
    /// The address that its API server, etcd and kubelet advertise.
    #[serde(rename = "localAPIEndpoint")]
    pub local_api_endpoint: Option<LocalApiEndpoint>,
    /// How its node registers.
    #[serde(default)]
    pub node_registration: NodeRegistration,
    /// Its kubelet.
    #[serde(default)]
    pub kubelet: Kubelet,
    /// Checks to demote.
    #[serde(default)]
    pub preflight: Preflight,
    /// Sysctls.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, Scalar>,
    /// Files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileSpec>,
}
