//! The way to the API servers.

use super::super::cluster::Endpoint;
use super::super::context::{Context, Fault};
use super::super::load_balancer::{LoadBalancer, LoadBalancerSpec, LoadBalancerType};
use super::super::spec::ClusterSpec;
use super::super::syntax;
use super::super::tree::Path;
use super::host::Expanded;
use super::unique::advertise_at;

/// Resolves `spec.loadBalancer`. Without it, the endpoint and the number of
/// control planes decide.
pub(super) fn load_balancer(
    spec: &ClusterSpec,
    endpoint: Option<&Endpoint>,
    bind_port: u16,
    hosts: &[Expanded],
    at: &Path,
    context: &mut Context<'_>,
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
            check_bound(spec, "local", at, context);
        }
        return resolved;
    };
    fields(given, &here, context);
    match given.kind {
        LoadBalancerType::External => {
            needs_endpoint(spec, "external", at, context);
            LoadBalancer::External
        }
        LoadBalancerType::Local => {
            check_bound(spec, "local", at, context);
            LoadBalancer::Local {
                image: given.image.clone(),
            }
        }
        LoadBalancerType::KubeVip => {
            needs_endpoint(spec, "kube-vip", at, context);
            check_bound(spec, "kube-vip", at, context);
            if let Some(endpoint) = endpoint {
                kube_vip(endpoint, bind_port, hosts, at, context);
            }
            LoadBalancer::KubeVip {
                image: given.image.clone(),
                interface: given.interface.clone(),
            }
        }
    }
}

/// The fields that only some types have.
fn fields(given: &LoadBalancerSpec, here: &Path, context: &mut Context<'_>) {
    if let Some(image) = &given.image {
        let image_at = here.key("image");
        if given.kind == LoadBalancerType::External {
            let message = "`image` has no effect with `type: external`";
            context.report(Fault::error(&image_at, message).help("delete it"));
        } else {
            context.valid(&image_at, syntax::image_reference(image));
        }
    }
    if let Some(interface) = &given.interface {
        let interface_at = here.key("interface");
        if given.kind == LoadBalancerType::KubeVip {
            context.valid(&interface_at, syntax::interface(interface));
        } else {
            let message = "`interface` has no effect without `type: kube-vip`";
            context.report(Fault::error(&interface_at, message).help("delete it"));
        }
    }
}

fn needs_endpoint(spec: &ClusterSpec, kind: &str, at: &Path, context: &mut Context<'_>) {
    if spec.control_plane_endpoint.is_some() {
        return;
    }
    let help = match kind {
        "kube-vip" => {
            "write the address that kube-vip shall hold, one of the hosts' network that nobody \
             else has: `controlPlaneEndpoint: 192.0.2.10`"
        }
        _ => {
            "write the name or address of your load balancer: `controlPlaneEndpoint: \
             k8s.example.com:6443`; or write `type: local`, which needs none"
        }
    };
    let message = format!("`type: {kind}` needs a `controlPlaneEndpoint`");
    let kind_at = at.key("loadBalancer").key("type");
    context.report(
        Fault::error(&at.key("controlPlaneEndpoint"), message)
            .label("missing here")
            .also(&kind_at, "needed for this")
            .help(help),
    );
}

fn kube_vip(
    endpoint: &Endpoint,
    bind_port: u16,
    hosts: &[Expanded],
    at: &Path,
    context: &mut Context<'_>,
) {
    let endpoint_at = at.key("controlPlaneEndpoint");
    let kind_at = at.key("loadBalancer").key("type");
    let Some(address) = endpoint.ip() else {
        let message = format!("`{endpoint_at}` has to be an IP address");
        context.report(
            Fault::error(&endpoint_at, message)
                .also(&kind_at, "kube-vip holds it")
                .help("put a name that leads to it into `apiServer.certSANs`"),
        );
        return;
    };
    if endpoint.port != bind_port {
        let message = format!("`{endpoint_at}` has to have the API servers' port, {bind_port}");
        context.report(
            Fault::error(&endpoint_at, message)
                .also(&kind_at, "kube-vip moves an address, it forwards no port")
                .help(
                    "leave the port out, or set `localAPIEndpoint.bindPort` to the one that \
                     you want",
                ),
        );
    }
    let holder = hosts.iter().find(|one| {
        one.host.advertise_address == Some(address) || one.host.address.parse() == Ok(address)
    });
    if let Some(holder) = holder {
        let message = format!("{address} is a host's own address");
        let hosts_at = at.key("hosts");
        context.report(
            Fault::error(&endpoint_at, message)
                .also(
                    &advertise_at(holder.entry, &hosts_at, context),
                    "this one's",
                )
                .help("choose an address of the same network that nobody has"),
        );
    }
}

/// Pods on control planes reach their own API server under 127.0.0.1, too: haproxy's
/// clients there, and kube-vip itself.
fn check_bound(spec: &ClusterSpec, kind: &str, at: &Path, context: &mut Context<'_>) {
    let args = &spec.api_server.extra_args;
    let Some(index) = args.iter().rposition(|arg| arg.name == "bind-address") else {
        return;
    };
    if ["0.0.0.0", "::"].contains(&args[index].value.as_str()) {
        return;
    }
    let arg_at = at.key("apiServer").key("extraArgs").index(index);
    let message = format!("with `type: {kind}`, API servers have to listen on 127.0.0.1, too");
    context.report(
        Fault::error(&arg_at.key("value"), message)
            .help("delete this argument, or choose another `loadBalancer.type`"),
    );
}
