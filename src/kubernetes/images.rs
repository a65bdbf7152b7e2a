//! The images that a cluster runs, by kubeadm's rules.

use crate::artifacts::Release;
use crate::inventory::{Cluster, Etcd, LoadBalancer};

/// kubeadm's default for `imageRepository`.
pub const DEFAULT_IMAGE_REPOSITORY: &str = "registry.k8s.io";

/// The balancer on nodes: the LTS branch that kubespray ships, too.
pub const HAPROXY: &str = "docker.io/library/haproxy:3.2.19-alpine";

/// The holder of the control planes' address. What its manifest says is for
/// v1.0.
pub const KUBE_VIP: &str = "ghcr.io/kube-vip/kube-vip:v1.0.4";

/// References of the images that a cluster runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// The API server's.
    pub kube_apiserver: String,
    /// The controller manager's.
    pub kube_controller_manager: String,
    /// The scheduler's.
    pub kube_scheduler: String,
    /// kube-proxy's; `None` if the inventory leaves it out.
    pub kube_proxy: Option<String>,
    /// etcd's; `None` if etcd is external.
    pub etcd: Option<String>,
    /// CoreDNS's; `None` if the inventory leaves it out.
    pub coredns: Option<String>,
    /// The pod sandbox's.
    pub pause: String,
    /// haproxy's, on hosts that are no control plane; `None` without a
    /// `loadBalancer` of type `local`.
    pub haproxy: Option<String>,
    /// kube-vip's, on control planes; `None` without a `loadBalancer` of type
    /// `kube-vip`.
    pub kube_vip: Option<String>,
}

impl Images {
    /// What a control plane needs before its kubelet starts, in kubeadm's order.
    pub fn control_plane(&self) -> Vec<&str> {
        let own = [
            &self.kube_apiserver,
            &self.kube_controller_manager,
            &self.kube_scheduler,
        ];
        own.into_iter()
            .chain(&self.kube_proxy)
            .chain(&self.coredns)
            .chain([&self.pause])
            .chain(&self.etcd)
            .chain(&self.kube_vip)
            .map(String::as_str)
            .collect()
    }

    /// What every other node needs. CoreDNS may land on any of them.
    pub fn worker(&self) -> Vec<&str> {
        self.kube_proxy
            .iter()
            .chain(&self.coredns)
            .chain([&self.pause])
            .chain(&self.haproxy)
            .map(String::as_str)
            .collect()
    }
}

/// The images that a cluster runs.
pub fn images(cluster: &Cluster) -> Images {
    let repository = cluster.image_repository.as_str();
    let version = cluster.version;
    let component = |name: &str| format!("{repository}/{name}:{version}");
    let etcd = match &cluster.etcd {
        Etcd::Local(etcd) => Some(format!(
            "{}/etcd:{}",
            etcd.image_repository.as_deref().unwrap_or(repository),
            etcd_tag(cluster),
        )),
        Etcd::External(_) => None,
    };
    Images {
        kube_apiserver: component("kube-apiserver"),
        kube_controller_manager: component("kube-controller-manager"),
        kube_scheduler: component("kube-scheduler"),
        kube_proxy: (!cluster.proxy_disabled).then(|| component("kube-proxy")),
        etcd,
        coredns: (!cluster.dns.disabled).then(|| coredns_image(cluster)),
        pause: format!(
            "{repository}/pause:{}",
            cluster
                .pause_image_tag
                .as_deref()
                .unwrap_or_else(|| Release::of(version).pause)
        ),
        haproxy: match &cluster.load_balancer {
            LoadBalancer::Local { image } => Some(image.as_deref().unwrap_or(HAPROXY).into()),
            _ => None,
        },
        kube_vip: match &cluster.load_balancer {
            LoadBalancer::KubeVip { image, .. } => {
                Some(image.as_deref().unwrap_or(KUBE_VIP).into())
            }
            _ => None,
        },
    }
}

/// The tag of a local etcd.
pub(crate) fn etcd_tag(cluster: &Cluster) -> &str {
    match &cluster.etcd {
        Etcd::Local(etcd) => etcd.image_tag.as_deref(),
        Etcd::External(_) => None,
    }
    .unwrap_or_else(|| Release::of(cluster.version).etcd)
}

/// Upstream keeps CoreDNS one level deeper than mirrors do.
fn coredns_image(cluster: &Cluster) -> String {
    let repository = cluster
        .dns
        .image_repository
        .as_deref()
        .unwrap_or(&cluster.image_repository);
    let tag = cluster
        .dns
        .image_tag
        .as_deref()
        .unwrap_or_else(|| Release::of(cluster.version).coredns);
    if repository == DEFAULT_IMAGE_REPOSITORY {
        format!("{repository}/coredns/coredns:{tag}")
    } else {
        format!("{repository}/coredns:{tag}")
    }
}
