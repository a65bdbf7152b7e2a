//! The cluster's networks against what the host uses itself.

use std::net::IpAddr;

use ipnet::IpNet;

use super::report::{HostCheck, Report};
use super::subject::Subject;
use crate::inventory::Cluster;

const NAME: &str = "NetworkOverlap";

const REMEDY: &str = "choose another networking.podSubnet or networking.serviceSubnet, or renumber \
                      what is in use";

/// Interfaces that pod networks and kube-proxy make; those of a former cluster may still exist.
const OF_CLUSTERS: [&str; 12] = [
    "cni0",
    "cali",
    "cilium",
    "flannel",
    "kube-",
    "lxc_health",
    "nodelocaldns",
    "ovn-k8s",
    "tunl",
    "vxlan.calico",
    "vxlan-v6.calico",
    "weave",
];

pub(super) const CHECK: HostCheck = HostCheck {
    names: &[NAME],
    run: check_networks,
};

fn check_networks(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
    let networking = &cluster.networking;
    let pods = networking.pod_subnets.iter().map(|net| (net, "pod"));
    let services = networking
        .service_subnets
        .iter()
        .map(|net| (net, "service"));
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    for (net, kind) in pods.chain(services) {
        let network = format!("the {kind} network {net}");
        let before = errors.len();
        errors.extend(taken(net, subject).map(|what| format!("{what} is inside {network}")));
        // An address says it all; its network need not be told as well.
        if !subject.owned && errors.len() == before {
            warnings
                .extend(routes(net, subject).map(|route| format!("{route} overlaps {network}")));
        }
    }
    if !errors.is_empty() {
        errors.extend(warnings);
        report.error(NAME, errors.join("; "), REMEDY);
    } else if !warnings.is_empty() {
        report.warn(NAME, warnings.join("; "), REMEDY);
    } else {
        report.pass(NAME);
    }
}

/// What the host could no longer reach, or be reached by.
fn taken(net: &IpNet, subject: &Subject<'_>) -> impl Iterator<Item = String> {
    let gathered = subject.gathered;
    let facts = &gathered.facts;
    let mut found: Vec<String> = Vec::new();
    let mut servers: Vec<IpAddr> = facts.nameservers.clone();
    servers.extend(gathered.resolv_conf.iter().filter(|one| !one.is_loopback()));
    servers.sort_unstable();
    servers.dedup();
    // On a node a server of this cluster may be meant: NodeLocal DNSCache, or CoreDNS itself.
    if !subject.owned {
        let inside = servers.iter().filter(|server| net.contains(*server));
        found.extend(inside.map(|server| format!("name server {server}")));
        let endpoint = gathered.endpoint_addresses.iter().flatten();
        let inside = endpoint.filter(|address| net.contains(*address));
        found.extend(inside.map(|address| format!("the endpoint's address {address}")));
        let gateways = gathered.routes.iter().filter_map(|route| {
            let via = route.via.filter(|via| net.contains(via))?;
            (!of_cluster(&route.device)).then(|| format!("gateway {via} (dev {})", route.device))
        });
        found.extend(gateways);
        let own = facts.addresses.iter();
        let own = own.filter(|own| net.contains(&own.address) && !of_cluster(&own.interface));
        found.extend(own.map(|own| {
            format!(
                "address {}/{} (dev {})",
                own.address, own.prefix, own.interface
            )
        }));
    }
    found.dedup();
    found.into_iter()
}

/// Routes that share addresses with it, the default one aside.
fn routes(net: &IpNet, subject: &Subject<'_>) -> impl Iterator<Item = String> {
    let overlap = |other: &IpNet| other.contains(net) || net.contains(other);
    let found = subject.gathered.routes.iter().filter(|route| {
        route.to.prefix_len() > 0 && overlap(&route.to) && !of_cluster(&route.device)
    });
    let mut found: Vec<String> = found
        .map(|route| format!("route {} (dev {})", route.to, route.device))
        .collect();
    found.dedup();
    found.into_iter()
}

fn of_cluster(device: &str) -> bool {
    OF_CLUSTERS.iter().any(|start| device.starts_with(start))
}
