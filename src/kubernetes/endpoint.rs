//! Which address a host advertises, and which endpoint clients use: kubeadm's
//! `localAPIEndpoint` and `controlPlaneEndpoint`.

use std::net::IpAddr;

use super::error::KubernetesError;
use crate::host::Facts;
use crate::inventory::{Cluster, Endpoint, Host};

/// The address that a host's API server, etcd and kubelet advertise ([`Facts::advertised`]).
pub fn advertise_address(host: &Host, facts: &Facts) -> Result<IpAddr, KubernetesError> {
    facts
        .advertised(host)
        .ok_or_else(|| KubernetesError::NoAdvertiseAddress {
            host: host.name.clone(),
        })
}

/// Where a control plane's own API server listens.
pub fn local_api_endpoint(
    cluster: &Cluster,
    host: &Host,
    facts: &Facts,
) -> Result<Endpoint, KubernetesError> {
    Ok(Endpoint {
        host: advertise_address(host, facts)?.to_string(),
        port: cluster.bind_port,
    })
}

/// Where who finds the API. Without a balancer on the nodes these are all one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// What those find who come from elsewhere: the operator's
    /// `controlPlaneEndpoint`, else the first control plane's own endpoint. It
    /// is in `cluster-info`, and with several control planes in
    /// `kubeadm-config`, too.
    pub outside: Endpoint,
    /// Where nodes find it: kube-proxy, and the kubelets of those that carry no
    /// control plane.
    pub nodes: Endpoint,
    /// Each control plane's own, by its Node's name: the upstreams of the
    /// nodes' balancers.
    pub control_planes: Vec<(String, Endpoint)>,
}

/// Where a node's own balancer listens, and what serving certificates have to
/// name for it.
pub const LOOPBACK: &str = "127.0.0.1";

impl Endpoints {
    /// Decides it. `facts` is what a control plane told, `None` if it told
    /// nothing.
    ///
    /// # Errors
    /// A control plane whose address is not known; several of them without an
    /// endpoint or a balancer.
    pub fn from_facts<'a>(
        cluster: &Cluster,
        facts: impl Fn(&Host) -> Option<&'a Facts>,
    ) -> Result<Self, KubernetesError> {
        let unknown = Facts::default();
        let mut control_planes = Vec::new();
        for host in cluster.control_planes() {
            let facts = facts(host).unwrap_or(&unknown);
            let endpoint = local_api_endpoint(cluster, host, facts)?;
            control_planes.push((host.node_name.clone(), endpoint));
        }
        let local = cluster.load_balancer.is_local();
        let outside = match (&cluster.control_plane_endpoint, control_planes.as_slice()) {
            (Some(endpoint), _) => endpoint.clone(),
            (None, [(_, first)]) => first.clone(),
            (None, [(_, first), ..]) if local => first.clone(),
            (None, all) => {
                return Err(KubernetesError::NoControlPlaneEndpoint { count: all.len() });
            }
        };
        let nodes = match local {
            true => Endpoint {
                host: LOOPBACK.into(),
                port: cluster.bind_port,
            },
            false => outside.clone(),
        };
        Ok(Endpoints {
            outside,
            nodes,
            control_planes,
        })
    }

    /// `controlPlaneEndpoint` in kubeadm-config, if it has one.
    ///
    /// Without one of the operator's, a cluster with a balancer on each node
    /// names its first control plane there, and not 127.0.0.1: a machine on
    /// which `kubeadm join --control-plane` runs asks for etcd's members under
    /// this endpoint before anything of its own listens.
    pub fn for_kubeadm(&self, cluster: &Cluster) -> Option<&Endpoint> {
        let given = cluster.control_plane_endpoint.is_some();
        (given || cluster.load_balancer.is_local()).then_some(&self.outside)
    }

    /// Where a control plane's own admin.conf leads. Without an endpoint of the
    /// operator's that is its own API server: what `kubeadm token create
    /// --print-join-command` prints has to be of use elsewhere.
    pub fn admin_endpoint<'a>(&'a self, cluster: &Cluster, own: &'a Endpoint) -> &'a Endpoint {
        match cluster.control_plane_endpoint {
            Some(_) => &self.outside,
            None => own,
        }
    }
}

/// Names and addresses of the API servers beside those that kubeadm puts into
/// every serving certificate: the operator's, and what nodes' own balancers
/// are called under.
pub fn api_server_sans(cluster: &Cluster) -> Vec<String> {
    let mut sans = cluster.api_server.cert_sans.clone();
    if cluster.load_balancer.is_local() && !sans.iter().any(|san| san == LOOPBACK) {
        sans.push(LOOPBACK.into());
    }
    sans
}

/// The interface that carries an address.
pub(crate) fn interface_of(
    host: &Host,
    facts: &Facts,
    address: IpAddr,
) -> Result<String, KubernetesError> {
    facts
        .addresses
        .iter()
        .find(|own| own.address == address)
        .map(|own| own.interface.clone())
        // Facts that an operator wrote by hand may name the default route only.
        .or_else(|| {
            (facts.default_ip == Some(address) && !facts.default_interface.is_empty())
                .then(|| facts.default_interface.clone())
        })
        .ok_or_else(|| KubernetesError::NoInterface {
            host: host.name.clone(),
            address,
        })
}

/// An address as URLs write it.
pub(crate) fn bracketed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// The loopback address of the same family.
pub(crate) fn loopback(address: IpAddr) -> &'static str {
    if address.is_ipv6() {
        "::1"
    } else {
        "127.0.0.1"
    }
}
