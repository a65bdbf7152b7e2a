//! The cluster as a whole.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::endpoint::Endpoint;
use super::etcd::Etcd;
use super::host::{ContainerRuntime, Host};
use super::load_balancer::LoadBalancer;
use super::networking::Networking;
use super::rollout::Rollout;
use super::settings::{Artifacts, Containerd, Timeouts};
use super::version::Version;
use crate::inventory::spec::{
    ApiServer, BootstrapToken, ControlPlaneComponent, DnsSpec, EncryptionAlgorithm, Tree,
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
    /// How long before its end a leaf certificate is replaced.
    pub certificate_renew_before: Duration,
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
    pub dns: DnsSpec,
    /// Tag of the pod sandbox's image; `None`: kubeadm's for the Kubernetes
    /// version. No field of the inventory: set to what the artifacts offer.
    pub pause_image_tag: Option<String>,
    /// Whether kube-proxy is left out.
    pub proxy_disabled: bool,
    /// `KubeProxyConfiguration` fields, merged over the defaults.
    pub kube_proxy_config: Tree,
    /// `KubeletConfiguration` fields of the whole cluster
    /// (each host has a merged tree of its own).
    pub kubelet_config: Tree,
    /// Tokens of the operator's own.
    pub bootstrap_tokens: Vec<BootstrapToken>,
    /// Key for uploaded certificates, 64 hex digits.
    pub certificate_key: Option<String>,
    /// Whether the CA's key is kept elsewhere on purpose.
    pub external_ca: bool,
    /// Phases to leave out.
    pub skip_phases: Vec<String>,
    /// Directory of patches in kubeadm's form.
    pub patches_dir: Option<PathBuf>,
    /// Directory of templates that override the built-in ones.
    pub templates_dir: Option<PathBuf>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// How a change rolls over the nodes:
    /// `cluster.rollout.max_unavailable.scaled_to(workers)`.
    pub rollout: Rollout,
    /// Where Kubernetes comes from.
    pub artifacts: Artifacts,
    /// containerd.
    pub containerd: Containerd,
    /// The machines, in the inventory's order.
    pub hosts: Vec<Host>,
    /// Names of hosts that the inventory lists as removed; none of them is
    /// among `hosts`.
    pub removed_hosts: Vec<String>,
    /// Directory of the inventory file itself, whatever link names it; absolute. The operator
    /// state is here.
    pub base_dir: PathBuf,
}

impl Cluster {
    /// Whether a host's containerd is ours to install and to configure.
    pub fn manages_containerd(&self, host: &Host) -> bool {
        self.containerd.managed && host.runtime() == ContainerRuntime::Containerd
    }

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
