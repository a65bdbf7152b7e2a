//! The host's proxies for containerd, which systemd starts without the environment of root.

use std::net::IpAddr;

use ipnet::IpNet;

use super::context::NodeContext;
use super::resources::{directory, secret_file};
use crate::host::Resource;
use crate::layout::{names, paths};

/// The drop-in, if the host names a proxy, and none of its files gives containerd one.
pub(crate) fn runtime_proxy(ctx: &NodeContext<'_>) -> Vec<Resource> {
    if !ctx.cluster.manages_containerd(ctx.host) || ctx.facts.runtime_proxies.is_empty() {
        return Vec::new();
    }
    let parent = paths::CONTAINERD_PROXY.rsplit_once('/');
    let parent = parent.map_or("", |(parent, _)| parent);
    // A proxy may come with a password.
    let file = secret_file(paths::CONTAINERD_PROXY, &drop_in(ctx)).notify(names::CONTAINERD_UNIT);
    vec![directory(parent, 0o755), Resource::File(file)]
}

fn drop_in(ctx: &NodeContext<'_>) -> String {
    let given = |name: &str| {
        let variables = ctx.facts.runtime_proxies.iter();
        let mut of =
            variables.filter(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_empty());
        of.next().map(|(_, value)| value.as_str())
    };
    let mut text = String::from(
        "# Written by clusterctl-rs: the proxies of this host, and what is reached without them.\n\
         [Service]\n",
    );
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        if let Some(value) = given(name) {
            text += &format!("Environment=\"{name}={}\"\n", escape(value));
        }
    }
    let excepted = excepted(ctx, given("NO_PROXY").unwrap_or_default()).join(",");
    text + &format!("Environment=\"NO_PROXY={}\"\n", escape(&excepted))
}

/// As `Environment=` wants it within double quotes.
fn escape(value: &str) -> String {
    value
        .replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('%', "%%")
}

/// What goes without a proxy: what the host says, itself, the cluster's networks and names, and
/// the nodes. Those on the host's own networks are covered by these, so that another node does
/// not restart containerd on all.
fn excepted(ctx: &NodeContext<'_>, theirs: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut add = |item: String| {
        if !item.is_empty() && !found.contains(&item) {
            found.push(item);
        }
    };
    theirs
        .split(',')
        .for_each(|item| add(item.trim().to_owned()));
    ["localhost", "127.0.0.0/8", "::1"]
        .into_iter()
        .for_each(|item| add(item.into()));
    let networking = &ctx.cluster.networking;
    let networks = networking
        .pod_subnets
        .iter()
        .chain(&networking.service_subnets);
    networks.for_each(|net| add(net.to_string()));
    let own = own_networks(ctx);
    own.iter().for_each(|net| add(net.to_string()));
    for host in &ctx.cluster.hosts {
        match host.advertise_address.or_else(|| host.address.parse().ok()) {
            Some(address) if own.iter().any(|net| net.contains(&address)) => {}
            Some(address) => add(address.to_string()),
            None => add(host.address.clone()),
        }
    }
    add(ctx.endpoints.outside.host.clone());
    add(".svc".into());
    add(format!(".{}", networking.dns_domain));
    found
}

/// The networks of the interface that carries the node's address.
fn own_networks(ctx: &NodeContext<'_>) -> Vec<IpNet> {
    let advertised: Option<IpAddr> = ctx.facts.advertised(ctx.host);
    let addresses = &ctx.facts.addresses;
    let carrier = addresses.iter().find(|own| Some(own.address) == advertised);
    let Some(carrier) = carrier else {
        return Vec::new();
    };
    let same = addresses
        .iter()
        .filter(|own| own.interface == carrier.interface);
    let net = |own: &crate::host::Address| Some(IpNet::new(own.address, own.prefix).ok()?.trunc());
    same.filter_map(net).collect()
}
