//! The resolved, valid cluster: what the rest of the program reads.
//!
//! Every default is filled in, every range expanded, every group merged into
//! its hosts, every path made absolute. Only [`super::load`] makes one.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use serde::Serialize;

use super::load_balancer::LoadBalancer;
use super::rollout::Rollout;
use super::spec;
pub use super::spec::{
    ApiServer, Arg, ArtifactSource, BootstrapToken, CniType, ControlPlaneComponent,
    EncryptionAlgorithm, ImagePullPolicy, Mirrors, Role, Taint, TaintEffect, Tree,
};

/// A cluster as it should be.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// `metadata.name`: names the operator state.
    pub name: String,
    /// The name in kubeconfigs and of the controller manager's `--cluster-name`.
    pub cluster_name: String,
    /// The Kubernetes version.
    pub version: Version,
    /// What clients outside the nodes use, if the operator chose it. It goes
    /// into kubeadm-config; without it, the first control plane's own endpoint
    /// serves ([`crate::kubernetes::Endpoints`]).
    pub control_plane_endpoint: Option<Endpoint>,
    /// How nodes reach the API servers.
    pub load_balancer: LoadBalancer,
    /// Port of every API server.
    pub bind_port: u16,
    /// Default `/etc/kubernetes/pki`.
    pub certificates_dir: String,
    /// Default `registry.k8s.io`.
    pub image_repository: String,
    /// Algorithm of the keys that we make.
    pub encryption_algorithm: EncryptionAlgorithm,
    /// Lifetime of leaf certificates.
    pub certificate_validity: Duration,
    /// Lifetime of CA certificates.
    pub ca_certificate_validity: Duration,
    /// kubeadm's feature gates.
    pub feature_gates: BTreeMap<String, bool>,
    /// Networks and CNI.
    pub networking: Networking,
    /// The API server's settings.
    pub api_server: ApiServer,
    /// The controller manager's settings.
    pub controller_manager: ControlPlaneComponent,
    /// The scheduler's settings.
    pub scheduler: ControlPlaneComponent,
    /// etcd.
    pub etcd: Etcd,
    /// CoreDNS.
    pub dns: spec::Dns,
    /// Tag of the pod sandbox's image; `None`: kubeadm's for the Kubernetes
    /// version. No field of the inventory: set to what the artifacts offer.
    pub pause_image_tag: Option<String>,
    /// Whether kube-proxy is left out.
    pub proxy_disabled: bool,
    /// `KubeProxyConfiguration` fields, merged over ours.
    pub kube_proxy_config: Tree,
    /// `KubeletConfiguration` fields of the whole cluster, merged over ours
    /// (each host has its own merged tree beside this).
    pub kubelet_config: Tree,
    /// Tokens of the operator's own.
    pub bootstrap_tokens: Vec<BootstrapToken>,
    /// Key for uploaded certificates, 64 hex digits.
    pub certificate_key: Option<String>,
    /// Phases to leave out.
    pub skip_phases: Vec<String>,
    /// Directory of patches in kubeadm's form.
    pub patches_dir: Option<PathBuf>,
    /// Directory of templates that replace ours.
    pub templates_dir: Option<PathBuf>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// How a change rolls over the nodes:
    /// `cluster.rollout.max_unavailable.of(workers)`.
    pub rollout: Rollout,
    /// Where Kubernetes comes from.
    pub artifacts: Artifacts,
    /// containerd.
    pub containerd: Containerd,
    /// The machines, in the inventory's order.
    pub hosts: Vec<Host>,
    /// Names of machines that the inventory marks as removed; none of them is
    /// among `hosts`.
    pub removed_hosts: Vec<String>,
    /// Directory of the inventory file, absolute: the operator state is here.
    pub base_dir: PathBuf,
}

/// `vMAJOR.MINOR.PATCH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Always 1 so far.
    pub major: u32,
    /// What we call "a minor".
    pub minor: u32,
    /// Patch release.
    pub patch: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for Version {
    type Err = String;

    /// Parses `v1.36.2` (the `v` may be missing). A suffix such as `-rc.1` or
    /// `+build` is refused.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{s}` is not of the form v1.36.2");
        let mut parts = s.strip_prefix('v').unwrap_or(s).split('.').map(|part| {
            let plain = !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_digit())
                && (part == "0" || !part.starts_with('0'));
            plain.then(|| part.parse::<u32>().ok()).flatten()
        });
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(Some(major)), Some(Some(minor)), Some(Some(patch)), None) => Ok(Version {
                major,
                minor,
                patch,
            }),
            _ => Err(wrong()),
        }
    }
}

/// A host (name or address) and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// DNS name or IP address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Endpoint {
    /// The address, if the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// `https://host:port`, IPv6 bracketed.
    pub fn url(&self) -> String {
        format!("https://{self}")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Networks and CNI.
#[derive(Debug, Clone)]
pub struct Networking {
    /// One CIDR, or one per family.
    pub pod_subnets: Vec<IpNet>,
    /// One CIDR, or one per family.
    pub service_subnets: Vec<IpNet>,
    /// Default `cluster.local`.
    pub dns_domain: String,
    /// What gives pods their network.
    pub cni: CniType,
    /// With [`CniType::Manifest`]: the file.
    pub cni_manifest: Option<PathBuf>,
}

impl Networking {
    /// As kubeadm writes it: CIDRs joined by commas.
    pub fn pod_subnet(&self) -> String {
        join(&self.pod_subnets)
    }

    /// As kubeadm writes it: CIDRs joined by commas.
    pub fn service_subnet(&self) -> String {
        join(&self.service_subnets)
    }

    /// Address `index` of the first service network: 1 is the `kubernetes`
    /// Service, 10 is cluster DNS.
    pub fn service_ip(&self, index: u32) -> IpAddr {
        match self.service_subnets[0].network() {
            IpAddr::V4(net) => IpAddr::V4((u32::from(net) + index).into()),
            IpAddr::V6(net) => IpAddr::V6((u128::from(net) + u128::from(index)).into()),
        }
    }
}

fn join(subnets: &[IpNet]) -> String {
    subnets
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",")
}

/// Where the cluster's data lives.
#[derive(Debug, Clone)]
pub enum Etcd {
    /// A static pod on every control plane.
    Local(LocalEtcd),
    /// Somebody else's. Paths are on the workstation, absolute.
    External(ExternalEtcd),
}

/// etcd as a static pod on every control plane.
#[derive(Debug, Clone)]
pub struct LocalEtcd {
    /// Default `/var/lib/etcd`.
    pub data_dir: String,
    /// Default: the cluster's.
    pub image_repository: Option<String>,
    /// Default: kubeadm's for the Kubernetes version.
    pub image_tag: Option<String>,
    /// More arguments.
    pub extra_args: Vec<Arg>,
    /// More environment variables.
    pub extra_envs: Vec<spec::EnvVar>,
    /// More names and addresses for the serving certificate.
    pub server_cert_sans: Vec<String>,
    /// More names and addresses for the peer certificate.
    pub peer_cert_sans: Vec<String>,
}

/// An etcd that somebody else runs.
#[derive(Debug, Clone)]
pub struct ExternalEtcd {
    /// URLs.
    pub endpoints: Vec<String>,
    /// URLs of the HTTP API, where separate.
    pub http_endpoints: Vec<String>,
    /// CA of etcd's serving certificate.
    pub ca_file: Option<PathBuf>,
    /// The API server's client certificate.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
}

/// How long to wait for what.
#[derive(Debug, Clone)]
pub struct Timeouts {
    /// API server, controller manager, scheduler. Default 4 min.
    pub control_plane_component_health_check: Duration,
    /// The kubelet's `/healthz`. Default 4 min.
    pub kubelet_health_check: Duration,
    /// One call to the API, retries included. Default 1 min.
    pub kubernetes_api_call: Duration,
    /// One call to etcd, retries included. Default 2 min.
    pub etcd_api_call: Duration,
    /// TLS bootstrap. Default 5 min.
    pub tls_bootstrap: Duration,
    /// A joined node to become Ready. Default 5 min.
    pub node_ready: Duration,
}

/// Where Kubernetes comes from.
#[derive(Debug, Clone)]
pub struct Artifacts {
    /// Kind of source.
    pub source: ArtifactSource,
    /// With [`ArtifactSource::Directory`]: where, absolute.
    pub path: Option<PathBuf>,
    /// With [`ArtifactSource::Online`]: what replaces the upstream sites.
    pub mirrors: Mirrors,
}

/// containerd.
#[derive(Debug, Clone)]
pub struct Containerd {
    /// Whether we install and configure it.
    pub managed: bool,
    /// Config (version 3), deep-merged over ours.
    pub config: Tree,
}

/// A machine.
#[derive(Debug, Clone)]
pub struct Host {
    /// Its name in the inventory.
    pub name: String,
    /// Its Node's name.
    pub node_name: String,
    /// What SSH connects to (before `~/.ssh/config` maps it).
    pub address: String,
    /// What it is for, sorted, without duplicates.
    pub roles: Vec<Role>,
    /// Node labels, groups merged.
    pub labels: BTreeMap<String, String>,
    /// Node taints with the defaults resolved.
    pub taints: Vec<Taint>,
    /// The operator's choice; facts decide if it is `None` and `address` is a
    /// name.
    pub advertise_address: Option<IpAddr>,
    /// `unix:///…` socket of the container runtime.
    pub cri_socket: String,
    /// Pull policy of control-plane images.
    pub image_pull_policy: ImagePullPolicy,
    /// More kubelet arguments.
    pub kubelet_extra_args: Vec<Arg>,
    /// `KubeletConfiguration` fields of this host: cluster, groups and host
    /// merged. Over ours, it makes the file on this host.
    pub kubelet_config: Tree,
    /// Checks to demote, lower-case, cluster and groups merged.
    pub preflight_ignore: Vec<String>,
    /// Sysctls beside our own, cluster and groups merged.
    pub sysctls: BTreeMap<String, String>,
    /// The operator's own files: cluster's, groups', host's; a later one with
    /// the same destination wins.
    pub files: Vec<UserFile>,
    /// How to reach it: host, group and cluster merged; `~/.ssh/config` and
    /// OpenSSH's defaults fill what is `None`.
    pub ssh: SshSettings,
}

impl Host {
    /// Whether it carries the control plane.
    pub fn is_control_plane(&self) -> bool {
        self.roles.contains(&Role::ControlPlane)
    }
}

/// A file of the operator's own.
#[derive(Debug, Clone, Serialize)]
pub struct UserFile {
    /// On the workstation, absolute.
    pub source: PathBuf,
    /// On the host, absolute.
    pub destination: String,
    /// `user:group`.
    pub owner: String,
    /// Permission bits.
    pub mode: u32,
    /// Whether it is a minijinja template.
    pub template: bool,
    /// Whether its content must not be shown.
    pub secret: bool,
}

/// How to reach a host. `None`: `~/.ssh/config` decides, then OpenSSH's
/// defaults.
#[derive(Debug, Clone, Default)]
pub struct SshSettings {
    /// User to log in as.
    pub user: Option<String>,
    /// Port.
    pub port: Option<u16>,
    /// Private key, absolute.
    pub private_key: Option<PathBuf>,
    /// File with the key's passphrase, absolute.
    pub passphrase_file: Option<PathBuf>,
    /// Whether to offer the agent's keys.
    pub agent: bool,
    /// Become root by sudo; `None`: if the user is not root.
    pub become_root: Option<bool>,
    /// File with the sudo password, absolute.
    pub become_password_file: Option<PathBuf>,
    /// `[user@]host[:port]`, several joined by commas.
    pub proxy_jump: Option<String>,
    /// More known_hosts files, absolute.
    pub known_hosts: Vec<PathBuf>,
    /// Time to connect and shake hands.
    pub connect_timeout: Duration,
    /// Whether to read `~/.ssh/config`.
    pub use_ssh_config: bool,
}

impl Cluster {
    /// The address that kube-vip holds on one of the control planes; `None` without it.
    pub fn virtual_address(&self) -> Option<IpAddr> {
        match self.load_balancer {
            LoadBalancer::KubeVip { .. } => self.control_plane_endpoint.as_ref()?.ip(),
            _ => None,
        }
    }

    /// Hosts that carry the control plane, in the inventory's order.
    pub fn control_planes(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(|host| host.is_control_plane())
    }

    /// Hosts that don't.
    pub fn workers(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(|host| !host.is_control_plane())
    }

    /// Directory of the operator state: `.clusterctl/<name>` beside the
    /// inventory.
    pub fn state_dir(&self) -> PathBuf {
        self.base_dir.join(".clusterctl").join(&self.name)
    }
}
