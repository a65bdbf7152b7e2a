//! Names: the host's own, the endpoint's, and who resolves them for pods.

use super::report::{HostCheck, Report};
use super::subject::Subject;
use crate::inventory::Cluster;

pub(super) const CHECK: HostCheck = HostCheck {
    names: &["Hostname", "EndpointResolution", "LoopbackResolvConf"],
    run: check_names,
};

fn check_names(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
    let (facts, gathered) = (&subject.gathered.facts, subject.gathered);
    match &gathered.hostname_addresses {
        Some(addresses) if addresses.is_empty() => report.warn(
            "Hostname",
            format!("the host can't resolve its own name `{}`", facts.hostname),
            "add it to DNS or to /etc/hosts",
        ),
        _ => report.pass("Hostname"),
    }
    let endpoint = cluster.control_plane_endpoint.as_ref();
    if let Some(endpoint) = endpoint.filter(|endpoint| endpoint.ip().is_none()) {
        match &gathered.endpoint_addresses {
            Some(addresses) if addresses.is_empty() => report.error(
                "EndpointResolution",
                format!("`{}` (controlPlaneEndpoint) doesn't resolve", endpoint.host),
                "add it to DNS or to the host's /etc/hosts",
            ),
            Some(_) => report.pass("EndpointResolution"),
            None => report.info("EndpointResolution", "not checked: the host has no getent"),
        }
    }
    let loopback: Vec<String> = facts
        .nameservers
        .iter()
        .filter(|server| server.is_loopback())
        .map(ToString::to_string)
        .collect();
    if cluster.dns.disabled {
        report.pass("LoopbackResolvConf");
    } else if facts.nameservers.is_empty() {
        report.warn(
            "LoopbackResolvConf",
            "resolv.conf names no server: CoreDNS would exit, for lack of an upstream",
            "name a server there, or point kubelet.config.resolvConf to a file that does",
        );
    } else if loopback.is_empty() {
        report.pass("LoopbackResolvConf");
    } else {
        report.warn(
            "LoopbackResolvConf",
            format!(
                "resolv.conf names {}: CoreDNS would forward to itself, see a loop and exit",
                loopback.join(", ")
            ),
            "name a server that isn't loopback there, or point kubelet.config.resolvConf to a file that does",
        );
    }
}
