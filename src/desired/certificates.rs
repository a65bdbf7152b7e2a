//! The certificates and keys of a cluster.

use pki::{Algorithm, EtcdSans, NodeRequest, Request, Validity};

use crate::artifacts::catalogue::has_legacy_kubelet_client;
use crate::host::Facts;
use crate::inventory::{Cluster, EncryptionAlgorithm, Etcd, Host};
use crate::kubernetes;
use crate::run::error::Error;

/// What the certificates of the control planes must contain.
///
/// # Errors
/// A control plane whose address is not known.
pub(crate) fn request(
    cluster: &Cluster,
    control_planes: &[(&Host, &Facts)],
) -> Result<Request, Error> {
    let mut nodes = Vec::with_capacity(control_planes.len());
    let init = init(control_planes);
    let now = jiff::Timestamp::now();
    for (host, facts) in control_planes {
        nodes.push(NodeRequest {
            name: host.name.clone(),
            node_name: host.node_name.clone(),
            advertise_address: kubernetes::endpoint::advertise_address(host, facts)?,
            init: init == Some(host.name.as_str()),
            kubelet_renews: facts.joined
                && facts.kubelet_certificate_end.is_some_and(|end| now < end),
        });
    }
    Ok(Request {
        algorithm: algorithm(cluster.encryption_algorithm),
        validity: Validity {
            leaf: cluster.certificate_validity,
            ca: cluster.ca_certificate_validity,
            renew_before: cluster.certificate_renew_before,
        },
        external_ca: cluster.external_ca,
        dns_domain: cluster.networking.dns_domain.clone(),
        service_ip: cluster.networking.service_ip(1),
        control_plane_endpoint: cluster
            .control_plane_endpoint
            .as_ref()
            .map(|endpoint| endpoint.host.clone()),
        api_server_sans: kubernetes::endpoint::api_server_sans(cluster),
        etcd: match &cluster.etcd {
            Etcd::Local(local) => Some(EtcdSans {
                server: local.server_cert_sans.clone(),
                peer: local.peer_cert_sans.clone(),
            }),
            Etcd::External(_) => None,
        },
        legacy_kubelet_client: has_legacy_kubelet_client(cluster.version),
        nodes,
    })
}

/// Which control plane has super-admin.conf: the one that has it; before there is a
/// cluster, the first one. If it or its host was removed, no other gets one.
fn init<'a>(control_planes: &[(&'a Host, &Facts)]) -> Option<&'a str> {
    let has_it = control_planes.iter().find(|(_, facts)| facts.super_admin);
    let bare = || {
        let joined = control_planes.iter().any(|(_, facts)| facts.joined);
        control_planes.first().filter(|_| !joined)
    };
    has_it.or_else(bare).map(|(host, _)| host.name.as_str())
}

fn algorithm(wanted: EncryptionAlgorithm) -> Algorithm {
    match wanted {
        EncryptionAlgorithm::EcdsaP256 => Algorithm::EcdsaP256,
        EncryptionAlgorithm::EcdsaP384 => Algorithm::EcdsaP384,
        EncryptionAlgorithm::Rsa2048 => Algorithm::Rsa2048,
        EncryptionAlgorithm::Rsa3072 => Algorithm::Rsa3072,
        EncryptionAlgorithm::Rsa4096 => Algorithm::Rsa4096,
    }
}
