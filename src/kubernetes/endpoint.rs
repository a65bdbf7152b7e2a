//! Which address a host advertises, and which endpoint clients use: kubeadm's
//! `localAPIEndpoint` and `controlPlaneEndpoint`.

use std::net::IpAddr;

use super::KubernetesError;
use crate::host::Facts;
use crate::inventory::{Cluster, Endpoint, Host};

/// The address that a host's API server, etcd and kubelet advertise: what the
/// operator says; else the address that SSH connects to, if it is one that the
/// host really has (it has not behind address translation); else the address of
/// its default route.
pub fn advertise_address(host: &Host, facts: &Facts) -> Result<IpAddr, KubernetesError> {
    if let Some(address) = host.advertise_address {
        return Ok(address);
    }
    let connected: Option<IpAddr> = host.address.parse().ok();
    let own = |address: &IpAddr| {
        let known = facts.addresses.iter().any(|own| own.address == *address);
        !address.is_loopback() && (known || facts.addresses.is_empty())
    };
    connected
        .filter(own)
        .or(facts.default_ip)
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

/// Where clients outside the node find the API: the operator's endpoint, else
/// the one control plane's own.
pub fn control_plane_endpoint<'a>(
    cluster: &Cluster,
    facts: impl Fn(&Host) -> &'a Facts,
) -> Result<Endpoint, KubernetesError> {
    if let Some(endpoint) = &cluster.control_plane_endpoint {
        return Ok(endpoint.clone());
    }
    let mut control_planes = cluster.control_planes();
    match (control_planes.next(), control_planes.next()) {
        (Some(only), None) => local_api_endpoint(cluster, only, facts(only)),
        _ => Err(KubernetesError::NoControlPlaneEndpoint {
            count: cluster.control_planes().count(),
        }),
    }
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

/// An address as it stands in a URL.
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
