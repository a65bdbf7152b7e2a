//! How nodes reach the API servers.

use super::expanded_host::ExpandedHost;
use super::fault::Fault;
use super::resolver::Resolver;
use super::syntax;
use super::unique::advertise_at;
use crate::inventory::cluster::{Endpoint, LoadBalancer};
use crate::inventory::spec::{ClusterSpec, LoadBalancerSpec, LoadBalancerType};
use crate::inventory::yaml::FieldPath;

/// Resolves `spec.loadBalancer`. Without it, the endpoint and the number of
/// control planes decide.
pub(super) fn resolve_load_balancer(
    spec: &ClusterSpec,
    endpoint: Option<&Endpoint>,
    bind_port: u16,
    hosts: &[ExpandedHost],
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) -> LoadBalancer {
    let here = at.key("loadBalancer");
    let control_planes = hosts.iter().filter(|one| one.host.is_control_plane());
    let several = control_planes.count() > 1;
    let Some(given) = &spec.load_balancer else {
        let resolved = match (&spec.control_plane_endpoint, several) {
            (Some(_), _) => LoadBalancer::External,
            (None, true) => LoadBalancer::Local { image: None },
            (None, false) => LoadBalancer::None,
        };
        if resolved.is_local() {
            require_loopback(spec, "local", at, resolver);
        }
        return resolved;
    };
    check_fields(given, &here, resolver);
    match given.kind {
        LoadBalancerType::External => {
            require_endpoint(spec, "external", at, resolver);
            LoadBalancer::External
        }
        LoadBalancerType::Local => {
            require_loopback(spec, "local", at, resolver);
            LoadBalancer::Local {
                image: given.image.clone(),
            }
        }
        LoadBalancerType::KubeVip => {
            require_endpoint(spec, "kube-vip", at, resolver);
            require_loopback(spec, "kube-vip", at, resolver);
            if let Some(endpoint) = endpoint {
                check_kube_vip(endpoint, bind_port, hosts, at, resolver);
            }
            LoadBalancer::KubeVip {
                image: given.image.clone(),
                interface: given.interface.clone(),
            }
        }
    }
}

/// The fields that only some types have.
fn check_fields(given: &LoadBalancerSpec, here: &FieldPath, resolver: &mut Resolver<'_>) {
    if let Some(image) = &given.image {
        let image_at = here.key("image");
        if given.kind == LoadBalancerType::External {
            let message = "`image` has no effect with `type: external`";
            resolver.report(Fault::error(&image_at, message).help("remove it"));
        } else {
            resolver.check(&image_at, syntax::check_image_reference(image));
        }
    }
    if let Some(interface) = &given.interface {
        let interface_at = here.key("interface");
        if given.kind == LoadBalancerType::KubeVip {
            resolver.check(&interface_at, syntax::check_interface_name(interface));
        } else {
            let message = "`interface` has no effect without `type: kube-vip`";
            resolver.report(Fault::error(&interface_at, message).help("remove it"));
        }
    }
}

fn require_endpoint(spec: &ClusterSpec, kind: &str, at: &FieldPath, resolver: &mut Resolver<'_>) {
    if spec.control_plane_endpoint.is_some() {
        return;
    }
    let help = match kind {
        "kube-vip" => {
            "set it to a free address in the hosts' network, which kube-vip will hold: \
             `controlPlaneEndpoint: 192.0.2.10`"
        }
        _ => {
            "set it to the name or address of your load balancer, such as \
             `controlPlaneEndpoint: k8s.example.com:6443`, or use `type: local`, which needs none"
        }
    };
    let message = format!("`type: {kind}` needs a `controlPlaneEndpoint`");
    let kind_at = at.key("loadBalancer").key("type");
    resolver.report(
        Fault::error(&at.key("controlPlaneEndpoint"), message)
            .label("missing here")
            .also(&kind_at, "required by this")
            .help(help),
    );
}

fn check_kube_vip(
    endpoint: &Endpoint,
    bind_port: u16,
    hosts: &[ExpandedHost],
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) {
    let endpoint_at = at.key("controlPlaneEndpoint");
    let kind_at = at.key("loadBalancer").key("type");
    let Some(address) = endpoint.ip() else {
        let message = format!("`{endpoint_at}` must be an IP address");
        resolver.report(
            Fault::error(&endpoint_at, message)
                .also(&kind_at, "kube-vip needs an address to hold")
                .help("to use a DNS name as well, add it to `apiServer.certSANs`"),
        );
        return;
    };
    if endpoint.port != bind_port {
        let message = format!("`{endpoint_at}` must use the API servers' port, {bind_port}");
        resolver.report(
            Fault::error(&endpoint_at, message)
                .also(
                    &kind_at,
                    "kube-vip moves an address and does not forward ports",
                )
                .help(
                    "remove the port, or set `localAPIEndpoint.bindPort` to the port that you want",
                ),
        );
    }
    let holder = hosts.iter().find(|one| {
        one.host.advertise_address == Some(address) || one.host.address.parse() == Ok(address)
    });
    if let Some(holder) = holder {
        let message = format!("{address} is already the address of a host");
        let hosts_at = at.key("hosts");
        resolver.report(
            Fault::error(&endpoint_at, message)
                .also(
                    &advertise_at(holder.entry, &hosts_at, resolver),
                    "this host",
                )
                .help("choose a free address in the same network"),
        );
    }
}

/// Pods on control planes reach their own API server under 127.0.0.1, too: haproxy's
/// clients there, and kube-vip itself.
fn require_loopback(spec: &ClusterSpec, kind: &str, at: &FieldPath, resolver: &mut Resolver<'_>) {
    let args = &spec.api_server.extra_args;
    // Of a flag that is given twice, the API server takes the last one.
    let Some(index) = args.iter().rposition(|arg| arg.name == "bind-address") else {
        return;
    };
    if ["0.0.0.0", "::"].contains(&args[index].value.as_str()) {
        return;
    }
    let arg_at = at.key("apiServer").key("extraArgs").index(index);
    let message = format!("with `type: {kind}`, API servers must also listen on 127.0.0.1");
    resolver.report(
        Fault::error(&arg_at.key("value"), message)
            .help("remove this argument, or choose another `loadBalancer.type`"),
    );
}
