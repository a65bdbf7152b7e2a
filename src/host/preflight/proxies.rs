//! Proxies that would come between.

use super::proxy::proxy_for;
use super::report::{HostCheck, Report};
use super::subject::Subject;
use crate::inventory::Cluster;

/// What containerd is told.
const RUNTIME: &str = "RuntimeProxy";

pub(super) const CHECK: HostCheck = HostCheck {
    names: &["HTTPProxy", "HTTPProxyCIDR", RUNTIME],
    run: check_proxies,
};

/// Whether files of others give containerd a proxy, for what it must not be.
fn check_runtime(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
    let gathered = subject.gathered;
    let theirs: Vec<(String, String)> = gathered
        .runtime_proxy_files
        .iter()
        .map(|(_, name, value)| (name.clone(), value.clone()))
        .collect();
    let networking = &cluster.networking;
    let networks = networking
        .pod_subnets
        .iter()
        .chain(&networking.service_subnets);
    let networks =
        networks.map(|net| (net.hosts().next().unwrap_or(net.network()), net.to_string()));
    let address = subject
        .advertised()
        .map(|address| (address, address.to_string()));
    let proxied: Vec<String> = networks
        .chain(address)
        .filter(|(address, _)| proxy_for(&theirs, *address).is_some())
        .map(|(_, name)| name)
        .collect();
    if let (false, Some((path, ..))) = (proxied.is_empty(), gathered.runtime_proxy_files.first()) {
        report.warn(
            RUNTIME,
            format!(
                "{path} gives containerd a proxy, also for {}",
                proxied.join(", ")
            ),
            &format!(
                "add them, .svc and .{} to NO_PROXY there, then run `systemctl daemon-reload` and \
                 `systemctl restart containerd`",
                networking.dns_domain
            ),
        );
    } else if cluster.manages_containerd(subject.host) && !gathered.facts.runtime_proxies.is_empty()
    {
        report.info(
            RUNTIME,
            "containerd gets the host's proxies, but not for the cluster's networks",
        );
    } else {
        report.pass(RUNTIME);
    }
}

fn check_proxies(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
    check_runtime(cluster, subject, report);
    let facts = &subject.gathered.facts;
    let endpoint = cluster.control_plane_endpoint.as_ref();
    let address = if subject.host.is_control_plane() {
        subject.advertised()
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
