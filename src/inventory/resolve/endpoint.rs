//! The API servers' port, and the endpoint in front of them.

use super::fault::Fault;
use super::resolver::Resolver;
use super::syntax;
use crate::inventory::cluster::{Endpoint, LoadBalancer};
use crate::inventory::spec::ClusterSpec;
use crate::inventory::yaml::FieldPath;

/// kubeadm's default, and everybody's.
const DEFAULT_BIND_PORT: u16 = 6443;

pub(super) fn resolve_bind_port(
    spec: &ClusterSpec,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) -> u16 {
    let port_at = at.key("localAPIEndpoint").key("bindPort");
    let port = spec.local_api_endpoint.as_ref().and_then(|e| e.bind_port);
    let port = port.unwrap_or(DEFAULT_BIND_PORT);
    const TAKEN: [(u16, &str); 8] = [
        (0, "nothing"),
        (2379, "etcd"),
        (2380, "etcd"),
        (LoadBalancer::HEALTH_PORT, "the local load balancer"),
        (10248, "the kubelet"),
        (10250, "the kubelet"),
        (10257, "the controller manager"),
        (10259, "the scheduler"),
    ];
    match TAKEN.iter().find(|(taken, _)| *taken == port) {
        Some((0, _)) => {
            let message = format!("`{port_at}` has to be a port from 1 to 65535");
            resolver.report(Fault::error(&port_at, message));
        }
        Some((_, owner)) => {
            let message = format!("`{port_at}` is the port of {owner}");
            resolver.report(Fault::error(&port_at, message).help("the usual one is 6443"));
        }
        None => {}
    }
    port
}

pub(super) fn resolve_endpoint(
    spec: &ClusterSpec,
    bind_port: u16,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) -> Option<Endpoint> {
    let text = spec.control_plane_endpoint.as_deref()?;
    let at = at.key("controlPlaneEndpoint");
    resolver.check(&at, syntax::parse_endpoint(text, bind_port))
}
