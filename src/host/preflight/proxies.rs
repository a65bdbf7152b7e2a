//! Proxies that would come between.

use super::proxy::proxy_for;
use super::report::{HostCheck, Report};
use super::subject::Subject;
use crate::inventory::Cluster;

pub(super) const CHECK: HostCheck = HostCheck {
    names: &["HTTPProxy", "HTTPProxyCIDR"],
    run: check_proxies,
};

fn check_proxies(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
    let facts = &subject.gathered.facts;
    let endpoint = cluster.control_plane_endpoint.as_ref();
    let address = if subject.host.is_control_plane() {
        subject.host.advertise_address.or(facts.default_ip)
    } else {
        let resolved = subject.gathered.endpoint_addresses.as_ref();
        endpoint
            .and_then(|endpoint| endpoint.ip())
            .or_else(|| resolved?.first().copied())
    };
    let remedy = "add it to NO_PROXY in /etc/environment";
    match address.filter(|address| proxy_for(&facts.proxy_env, *address).is_some()) {
        Some(address) => report.warn(
            "HTTPProxy",
            format!("{address} would be reached through a proxy"),
            remedy,
        ),
        None => report.pass("HTTPProxy"),
    }
    if !subject.host.is_control_plane() {
        return;
    }
    let networking = &cluster.networking;
    let proxied: Vec<String> = networking
        .service_subnets
        .iter()
        .chain(&networking.pod_subnets)
        .filter(|net| {
            let first = net.hosts().next().unwrap_or(net.network());
            proxy_for(&facts.proxy_env, first).is_some()
        })
        .map(ToString::to_string)
        .collect();
    match proxied.is_empty() {
        true => report.pass("HTTPProxyCIDR"),
        false => report.warn(
            "HTTPProxyCIDR",
            format!("{} would be reached through a proxy", proxied.join(" and ")),
            remedy,
        ),
    }
}
