//! The API servers' port, and the endpoint in front of them.

use super::fault::Fault;
use super::resolver::Resolver;
use super::syntax;
use crate::inventory::cluster::Endpoint;
use crate::inventory::listen::secure_port;
use crate::inventory::spec::{ClusterSpec, defaults};
use crate::inventory::yaml::FieldPath;
use crate::layout::ports;

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
        (ports::ETCD_CLIENT, "etcd"),
        (ports::ETCD_PEER, "etcd"),
        (ports::HAPROXY_HEALTH, "the local load balancer"),
        (ports::KUBELET_HEALTHZ, "the kubelet"),
        (ports::KUBELET, "the kubelet"),
        (ports::CONTROLLER_MANAGER, "the controller manager"),
        (ports::SCHEDULER, "the scheduler"),
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
    // As an argument it moves the API server all the same, and whoever looks for
    // it has to follow.
    secure_port(&spec.api_server.extra_args, port).unwrap_or(port)
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
