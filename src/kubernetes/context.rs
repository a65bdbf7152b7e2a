//! What rendering reads, and how templates see it.

use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;
use serde_json::{Value, json};

use super::endpoint::{self, Endpoints};
use super::error::KubernetesError;
use super::images::{Images, images};
use super::patches::Patches;
use super::templates::Templates;
use super::tokens::{Token, TokenSecret};
use super::versions::Features;
use crate::host::Facts;
use crate::inventory::{Cluster, Endpoint, Host};
use crate::layout::programs::Programs;
use crate::layout::{names, paths, ports};

/// What rendering a node's files reads.
#[derive(Clone, Copy)]
pub struct NodeContext<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// The node's host.
    pub host: &'a Host,
    /// What the host told.
    pub facts: &'a Facts,
    /// Where who finds the API.
    pub endpoints: &'a Endpoints,
    /// The cluster CA's certificate, PEM.
    pub ca: &'a str,
    /// What a control plane has beside; `None` makes a worker's files.
    pub control_plane: Option<ControlPlane<'a>>,
    /// What a worker joins with. `None` once it has joined: then the bootstrap
    /// kubeconfig has to be gone.
    pub bootstrap_token: Option<&'a Token>,
    /// Where the host's CNI plugins are.
    pub cni_bin_dir: &'a str,
    /// The Node's pod CIDRs; empty until the controller manager gave it some.
    pub pod_cidrs: &'a [IpNet],
    /// The templates.
    pub templates: &'a Templates,
    /// The operator's patches.
    pub patches: &'a Patches,
}

/// What a control plane has that workers haven't.
#[derive(Clone, Copy)]
pub struct ControlPlane<'a> {
    /// Client certificate of `kubernetes-admin`.
    pub admin: KeyPair<'a>,
    /// Client certificate of `kubernetes-super-admin`; only the first control
    /// plane has it.
    pub super_admin: Option<KeyPair<'a>>,
    /// Client certificate of `system:kube-controller-manager`.
    pub controller_manager: KeyPair<'a>,
    /// Client certificate of `system:kube-scheduler`.
    pub scheduler: KeyPair<'a>,
    /// Client certificate of `system:node:<nodeName>`.
    pub kubelet: KeyPair<'a>,
    /// Whether the certificate that its kubelet has made of that one has ended, so that it
    /// can't get the next one and starts from ours again.
    pub kubelet_ended: bool,
    /// Whether the CA's key is not on the node (kubeadm's "external CA").
    pub external_ca: bool,
    /// Whether its API server answers for its health without credentials.
    pub anonymous_health: bool,
    /// All members, this one included, in the order in which they joined, if
    /// this one joins or joined others; empty if it starts alone. An etcd that
    /// has data ignores them, but a change restarts it: keep those of
    /// its manifest ([`super::etcd::parse_members`]).
    pub etcd_members: &'a [EtcdMember],
    /// Whether those members run already, so that this one joins them instead
    /// of forming etcd together with them.
    pub etcd_joins: bool,
}

/// A certificate and its key, PEM.
#[derive(Clone, Copy)]
pub struct KeyPair<'a> {
    /// The certificate.
    pub cert: &'a str,
    /// The key.
    pub key: &'a str,
}

/// A member of etcd, as `--initial-cluster` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdMember {
    /// Its node's name, or its ID in hex as long as it has told none.
    pub name: String,
    /// Such as `https://192.0.2.11:2380`.
    pub peer_url: String,
}

/// What rendering the API objects reads.
#[derive(Clone, Copy)]
pub struct ClusterContext<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// Where who finds the API.
    pub endpoints: &'a Endpoints,
    /// What the first control plane advertises: its family is kube-proxy's.
    pub advertise_address: IpAddr,
    /// What the first control plane told: its proxy environment is kube-proxy's.
    pub facts: &'a Facts,
    /// The cluster CA's certificate, PEM.
    pub ca: &'a str,
    /// Tokens to create.
    pub tokens: &'a [TokenSecret],
    /// The templates.
    pub templates: &'a Templates,
    /// The operator's patches.
    pub patches: &'a Patches,
}

impl NodeContext<'_> {
    /// The address that this node advertises.
    pub fn advertise_address(&self) -> Result<IpAddr, KubernetesError> {
        endpoint::advertise_address(self.host, self.facts)
    }

    /// Where this node's own API server listens, if it has one.
    pub fn local_api_endpoint(&self) -> Result<Endpoint, KubernetesError> {
        endpoint::local_api_endpoint(self.cluster, self.host, self.facts)
    }

    /// What templates of this node's files see.
    pub(crate) fn view(&self) -> Result<Value, KubernetesError> {
        let address = self.advertise_address()?;
        Ok(json!({
            "cluster": cluster_view(self.cluster, self.endpoints),
            "host": {
                "name": self.host.name,
                "nodeName": self.host.node_name,
                "advertiseAddress": address,
                "localAPIEndpoint": self.local_api_endpoint()?.to_string(),
                "imagePullPolicy": self.host.image_pull_policy,
                "criSocket": self.host.cri_socket,
                "labels": self.host.labels,
            },
            "facts": self.facts,
            "images": images_view(&images(self.cluster)),
            "features": features_view(self.cluster),
            "layout": layout_view(Programs::of(self.facts.uses_opt)),
        }))
    }

    /// Renders a file of the operator's own (`files:` with `template: true`):
    /// `cluster`, `host` and `facts` are what our own templates see.
    pub fn render_file(&self, path: &Path, text: &str) -> Result<String, KubernetesError> {
        let mut view = self.view()?;
        // Only for our own templates and those that replace them.
        if let Some(view) = view.as_object_mut() {
            view.shift_remove("layout");
        }
        self.templates.render_file(path, text, view)
    }
}

impl ClusterContext<'_> {
    /// What templates of API objects see.
    pub(crate) fn view(&self) -> Value {
        json!({
            "cluster": cluster_view(self.cluster, self.endpoints),
            "images": images_view(&images(self.cluster)),
            "features": features_view(self.cluster),
            "layout": layout_view(Programs::of(false)),
        })
    }
}

fn cluster_view(cluster: &Cluster, endpoints: &Endpoints) -> Value {
    let networking = &cluster.networking;
    json!({
        "name": cluster.name,
        "clusterName": cluster.cluster_name,
        "kubernetesVersion": cluster.version.to_string(),
        "minor": cluster.version.minor,
        "controlPlaneEndpoint": endpoints.outside.to_string(),
        "controlPlaneURL": endpoints.outside.url(),
        "nodeURL": endpoints.nodes.url(),
        "bindPort": cluster.bind_port,
        "certificatesDir": cluster.certificates_dir,
        "imageRepository": cluster.image_repository,
        "podSubnet": networking.pod_subnet(),
        "serviceSubnet": networking.service_subnet(),
        "dnsDomain": networking.dns_domain,
        "dnsAddress": networking.service_ip(10),
    })
}

fn images_view(images: &Images) -> Value {
    json!({
        "kubeApiserver": images.kube_apiserver,
        "kubeControllerManager": images.kube_controller_manager,
        "kubeScheduler": images.kube_scheduler,
        "kubeProxy": images.kube_proxy,
        "etcd": images.etcd,
        "coredns": images.coredns,
        "pause": images.pause,
        "haproxy": images.haproxy,
        "kubeVip": images.kube_vip,
    })
}

fn features_view(cluster: &Cluster) -> Value {
    let features = Features::for_cluster(cluster);
    json!({
        "probePort": features.probe_port,
        "flexVolumes": features.flex_volumes,
        "explicitProxyMode": features.explicit_proxy_mode,
    })
}

/// Paths, ports and names that templates and the rest of the program have to
/// agree on.
fn layout_view(programs: Programs) -> Value {
    json!({
        "manifestsDir": paths::MANIFESTS_DIR,
        "adminConf": paths::ADMIN_CONF,
        "kubeletConf": paths::KUBELET_CONF,
        "bootstrapKubeletConf": paths::BOOTSTRAP_KUBELET_CONF,
        "controllerManagerConf": paths::CONTROLLER_MANAGER_CONF,
        "schedulerConf": paths::SCHEDULER_CONF,
        "kubeletConfig": paths::KUBELET_CONFIG,
        "kubeletFlags": paths::KUBELET_FLAGS,
        "binDir": programs.directory,
        "usesOpt": programs != Programs::of(false),
        "containerdDropIns": paths::CONTAINERD_DROP_INS,
        "cniConfigDir": paths::CNI_CONFIG_DIR,
        "kubeletHealthzPort": ports::KUBELET_HEALTHZ,
        "controlPlaneLabel": names::CONTROL_PLANE,
        "configHashAnnotation": names::CONFIG_HASH,
        "nodeTokenGroup": names::NODE_TOKEN_GROUP,
        "nodesGroup": names::NODES_GROUP,
        "kubeadmConfig": names::KUBEADM_CONFIG,
        "kubeletConfigMap": names::KUBELET_CONFIG,
        "kubeadmCerts": names::KUBEADM_CERTS,
        "clusterInfo": names::CLUSTER_INFO,
        "kubeVipLease": names::KUBE_VIP_LEASE,
    })
}

/// `*_proxy` variables that are set, sorted, as kubeadm hands them on; but not one with
/// credentials: whoever may read pods can read their environment.
pub(crate) fn proxy_environment(facts: &Facts) -> Vec<(String, String)> {
    let mut variables: Vec<_> = facts
        .proxy_env
        .iter()
        .filter(|(name, value)| name.to_ascii_lowercase().ends_with("_proxy") && !value.is_empty())
        .filter(|(_, value)| !text::password::has_credentials(value))
        .cloned()
        .collect();
    variables.sort();
    variables.dedup_by(|later, earlier| later.0 == earlier.0);
    variables
}
