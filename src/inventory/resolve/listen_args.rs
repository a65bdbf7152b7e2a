//! Where control plane components are told to listen: everything that waits for them, or needs
//! them, has to find them there. Arguments are those of all control planes.

use std::net::IpAddr;

use super::expanded_host::ExpandedHost;
use super::fault::Fault;
use super::resolver::Resolver;
use crate::inventory::cluster::{Etcd, LoadBalancer};
use crate::inventory::listen::{is_flag, kubelet_port, secure_port, url_ports};
use crate::inventory::spec::{Arg, ClusterSpec};
use crate::inventory::yaml::{FieldPath, shorten};
use crate::layout::ports;

/// A component with `secure-port` and `bind-address`.
struct Component<'a> {
    name: &'static str,
    args: &'a [Arg],
    at: FieldPath,
    port: u16,
}

/// What else a cluster has that listens, or that looks for what does.
pub(super) struct ListenContext<'a> {
    pub(super) spec: &'a ClusterSpec,
    pub(super) hosts: &'a [ExpandedHost],
    pub(super) etcd: &'a Etcd,
    pub(super) load_balancer: &'a LoadBalancer,
    pub(super) bind_port: u16,
}

/// Refuses ports and addresses at which a component can't run, or can't be found.
pub(super) fn check_listen_args(
    cluster: &ListenContext<'_>,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) {
    let spec = cluster.spec;
    let component = |name, field: &str, args, port| Component {
        name,
        args,
        at: at.key(field).key("extraArgs"),
        port,
    };
    let api = component(
        "the API server",
        "apiServer",
        &spec.api_server.extra_args,
        cluster.bind_port,
    );
    let manager = component(
        "the controller manager",
        "controllerManager",
        &spec.controller_manager.extra_args,
        ports::CONTROLLER_MANAGER,
    );
    let scheduler = component(
        "the scheduler",
        "scheduler",
        &spec.scheduler.extra_args,
        ports::SCHEDULER,
    );
    let control_planes: Vec<&ExpandedHost> = cluster
        .hosts
        .iter()
        .filter(|one| one.host.is_control_plane())
        .collect();
    let others = taken_ports(&control_planes, cluster.etcd);
    let all = [&api, &manager, &scheduler];
    for one in all {
        let mut taken = others.clone();
        let rest = all.iter().filter(|other| other.name != one.name);
        taken.extend(
            rest.filter_map(|other| Some((secure_port(other.args, other.port)?, other.name))),
        );
        let is_api_server = one.name == api.name;
        check_port(one, is_api_server, &taken, resolver);
        // Balancers on nodes need the API servers on loopback as well, and have said so.
        let is_refused = is_api_server
            && matches!(
                cluster.load_balancer,
                LoadBalancer::Local { .. } | LoadBalancer::KubeVip { .. }
            );
        if !is_refused && check_address(one, &control_planes, resolver) && is_api_server {
            check_api_address(one, &control_planes, resolver);
        }
    }
}

/// The value of the argument that counts, and where it is.
fn given<'a>(component: &Component<'a>, name: &str) -> Option<(&'a str, FieldPath)> {
    // Of a flag that is given twice, the last one counts.
    let index = component.args.iter().rposition(|arg| is_flag(arg, name))?;
    let at = component.at.index(index).key("value");
    Some((component.args[index].value.as_str(), at))
}

/// Ports of etcd and the kubelet on control planes.
fn taken_ports(control_planes: &[&ExpandedHost], etcd: &Etcd) -> Vec<(u16, &'static str)> {
    let mut taken = Vec::new();
    if let Etcd::Local(etcd) = etcd {
        for (name, default) in [
            ("listen-client-urls", ports::ETCD_CLIENT),
            ("listen-peer-urls", ports::ETCD_PEER),
            ("listen-metrics-urls", ports::ETCD_METRICS),
        ] {
            let found = url_ports(&etcd.extra_args, name, default);
            taken.extend(found.into_iter().map(|port| (port, "etcd")));
        }
    }
    for one in control_planes {
        let serving = kubelet_port(&one.host, "port", "port", ports::KUBELET);
        let health = kubelet_port(
            &one.host,
            "healthz-port",
            "healthzPort",
            ports::KUBELET_HEALTHZ,
        );
        let found = serving.into_iter().chain(health);
        taken.extend(found.map(|port| (port, "the kubelet")));
    }
    taken
}

fn check_port(
    component: &Component<'_>,
    is_api_server: bool,
    taken: &[(u16, &str)],
    resolver: &mut Resolver<'_>,
) {
    let Some((value, at)) = given(component, "secure-port") else {
        return;
    };
    let Ok(port) = value.parse::<u16>() else {
        let message = format!("`{}` is not a port (1–65535)", shorten(value));
        let fault = Fault::error(&at, message);
        resolver.report(match is_api_server {
            true => fault,
            false => fault.help("0 switches its port off"),
        });
        return;
    };
    if port == 0 && is_api_server {
        let message = "the API server does not run without a port";
        resolver.report(
            Fault::error(&at, message)
                .help("remove this argument, or set `localAPIEndpoint.bindPort`"),
        );
    }
    let owner = taken.iter().find(|(other, _)| *other == port && port != 0);
    if let Some((_, owner)) = owner {
        let message = format!("port {port} is already used by {owner}");
        resolver.report(Fault::error(&at, message));
    }
}

/// An address of one machine fits a single control plane. Says whether it fits.
fn check_address(
    component: &Component<'_>,
    control_planes: &[&ExpandedHost],
    resolver: &mut Resolver<'_>,
) -> bool {
    let Some((value, at)) = given(component, "bind-address") else {
        return true;
    };
    let Ok(address) = value.parse::<IpAddr>() else {
        let message = format!("`{}` is not an IP address", shorten(value));
        let all = "use `0.0.0.0` or `::` for all addresses";
        resolver.report(Fault::error(&at, message).help(all));
        return false;
    };
    let is_one_hosts = !address.is_unspecified() && !address.is_loopback();
    if is_one_hosts && control_planes.len() > 1 {
        let message = format!(
            "{} of {} control planes can't all listen on {address}",
            component.name,
            control_planes.len()
        );
        resolver.report(
            Fault::error(&at, message)
                .help("use `0.0.0.0` or `::` for all addresses: arguments are the same on each"),
        );
        return false;
    }
    true
}

/// Nodes, and the components beside it, find the API server at the advertised address.
fn check_api_address(
    api: &Component<'_>,
    control_planes: &[&ExpandedHost],
    resolver: &mut Resolver<'_>,
) {
    let Some((value, at)) = given(api, "bind-address") else {
        return;
    };
    let Ok(address) = value.parse::<IpAddr>() else {
        return;
    };
    if address.is_unspecified() {
        return;
    }
    let advertised = match control_planes {
        [only] => only.host.advertise_address,
        _ => None,
    };
    let wrong = match advertised {
        Some(advertised) => advertised != address,
        None => address.is_loopback(),
    };
    if wrong {
        let advertised = match advertised {
            Some(advertised) => format!("at {advertised}"),
            None => "at the address that it advertises".to_owned(),
        };
        let message = format!("the API server would listen on {address} only");
        resolver.report(
            Fault::error(&at, message)
                .label(format!(
                    "nodes, scheduler and controller manager find it {advertised}"
                ))
                .help("remove this argument: the API server listens on all addresses"),
        );
    }
}
