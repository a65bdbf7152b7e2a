//! The API servers' port, and the endpoint in front of them.

use super::fault::Fault;
use super::resolver::Resolver;
use super::syntax;
use crate::inventory::cluster::{Endpoint, LoadBalancer};
use crate::inventory::spec::{ClusterSpec, defaults};
use crate::inventory::yaml::FieldPath;

pub(super) fn resolve_bind_port(
    spec: &ClusterSpec,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) -> u16 {
    let port_at = at.key("localAPIEndpoint").key("bindPort");
    let port = spec.local_api_endpoint.as_ref().and_then(|e| e.bind_port);
    let port = port.unwrap_or(defaults::BIND_PORT);
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
            let message = format!("`{port_at}` must be a port (1–65535)");
            resolver.report(Fault::error(&port_at, message));
        }
        Some((_, owner)) => {
            let message = format!("`{port_at}` is already used by {owner}");
            resolver.report(
                Fault::error(&port_at, message)
                    .help(format!("the default is {}", defaults::BIND_PORT)),
            );
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
