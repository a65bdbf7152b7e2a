//! The machines: ranges, groups, names, addresses, roles.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use super::super::cluster::{Etcd, Host, Role, Taint};
use super::super::context::{Context, Fault};
use super::super::range::MAX_HOSTS;
use super::super::spec::{ClusterSpec, HostSpec, TaintEffect};
use super::super::suggest::closest;
use super::super::syntax;
use super::super::tree::Path;
use super::super::yaml::shorten;
use super::files::Owned;
use super::layer::Layer;
use super::names::{host_name, names};
use super::unique::check_unique;
use crate::layout::names::CONTROL_PLANE;

/// A host and the entry of the file that it comes from.
pub(super) struct Expanded {
    pub(super) host: Host,
    pub(super) entry: usize,
}

/// Resolves every host that is not marked as removed. Beside them stands how
/// many entries of the file are known, the removed ones included.
pub(super) fn hosts(
    spec: &ClusterSpec,
    owned: &Owned<'_>,
    at: &Path,
    context: &mut Context<'_>,
) -> (Vec<Expanded>, usize) {
    let cluster = Layer::of_cluster(spec, owned, at, context);
    let groups: BTreeMap<&str, Layer> = spec
        .groups
        .iter()
        .map(|(name, group)| {
            let at = at.key("groups").key(name);
            context.valid_key(&at, name, syntax::label_value(name));
            (name.as_str(), Layer::of_group(group, owned, &at, context))
        })
        .collect();
    let hosts_at = at.key("hosts");
    let mut expanded: Vec<Expanded> = Vec::new();
    for (entry, host) in spec.hosts.iter().enumerate() {
        let at = hosts_at.index(entry);
        let mut layer = cluster.clone();
        for group in known_groups(host, &groups, &at, context) {
            layer = group.clone().over(&layer);
        }
        let layer = Layer::of_host(host, owned, &at, context).over(&layer);
        let roles = roles(&host.roles, &at.key("roles"), context);
        let names = names(host, &at, context);
        if expanded.len() + names.len() > MAX_HOSTS {
            let message = format!("more than {MAX_HOSTS} hosts");
            context.report(Fault::error(&at.key("name"), message));
            break;
        }
        let one = names.len() == 1;
        let node_name = node_name(host, one, &at, context);
        let given = advertise_address(spec, host, one, &roles, &at, context);
        for (name, address) in names {
            let advertise_address = given.or_else(|| advertisable(&address));
            let node_name = node_name.clone().unwrap_or_else(|| name.clone());
            let host = Host {
                taints: taints(layer.taints.as_deref(), &roles),
                name,
                node_name,
                address,
                roles: roles.clone(),
                labels: layer.labels.clone(),
                advertise_address,
                cri_socket: layer.cri_socket(),
                image_pull_policy: layer.image_pull_policy(),
                kubelet_extra_args: layer.kubelet_extra_args(),
                kubelet_config: layer.kubelet_config.clone(),
                preflight_ignore: layer.preflight_ignore.clone(),
                sysctls: layer.sysctls.clone(),
                files: layer.files.clone(),
                ssh: layer.ssh.clone().settings(),
            };
            expanded.push(Expanded { host, entry });
        }
    }
    check_unused_groups(spec, at, context);
    let entries: HashSet<usize> = expanded.iter().map(|one| one.entry).collect();
    let expanded = super::removed::without(expanded, spec, at, context);
    check_unique(&expanded, &hosts_at, context);
    (expanded, entries.len())
}

fn known_groups<'a>(
    host: &HostSpec,
    groups: &'a BTreeMap<&str, Layer>,
    at: &Path,
    context: &mut Context<'_>,
) -> Vec<&'a Layer> {
    let mut seen = HashSet::new();
    let mut layers = Vec::new();
    for (index, name) in host.groups.iter().enumerate() {
        let at = at.key("groups").index(index);
        if !seen.insert(name) {
            let message = format!("the group `{}` is named twice", shorten(name));
            context.report(Fault::error(&at, message));
        }
        if let Some(layer) = groups.get(name.as_str()) {
            layers.push(layer);
            continue;
        }
        let message = format!("there is no group `{}`", shorten(name));
        let fault = Fault::error(&at, message);
        let all: Vec<&str> = groups.keys().copied().collect();
        context.report(match closest(name, groups.keys().copied()) {
            Some(name) => fault.help(format!("did you mean `{name}`?")),
            None if all.is_empty() => fault.help("define it in `spec.groups`"),
            None => fault.help(format!("`spec.groups` has {}", all.join(", "))),
        });
    }
    layers
}

fn check_unused_groups(spec: &ClusterSpec, at: &Path, context: &mut Context<'_>) {
    let used: HashSet<&String> = spec.hosts.iter().flat_map(|host| &host.groups).collect();
    for name in spec.groups.keys().filter(|name| !used.contains(name)) {
        let at = at.key("groups").key(name);
        let message = format!("no host is in the group `{}`", shorten(name));
        context.report(Fault::warning(&at, message).at_key());
    }
}

fn roles(given: &[Role], at: &Path, context: &mut Context<'_>) -> Vec<Role> {
    let mut roles = given.to_vec();
    roles.sort();
    roles.dedup();
    if roles.is_empty() {
        context.report(
            Fault::error(at, "a host without a role")
                .help("write `[control-plane]`, `[worker]` or both"),
        );
    } else if roles.len() < given.len() {
        context.report(
            Fault::error(at, "a role is given twice")
                .about_whole()
                .help("delete one of the two"),
        );
    }
    roles
}

fn node_name(host: &HostSpec, one: bool, at: &Path, context: &mut Context<'_>) -> Option<String> {
    let name = host.node_registration.name.as_ref()?;
    let at = at.key("nodeRegistration").key("name");
    if context.valid(&at, host_name(name)).is_some() && !one {
        context.report(Fault::error(&at, "one node name for a range of hosts"));
    }
    Some(name.clone())
}

/// The operator's choice: the host's own, or the cluster's, which fits only
/// where there is one control plane.
fn advertise_address(
    spec: &ClusterSpec,
    host: &HostSpec,
    one: bool,
    roles: &[Role],
    at: &Path,
    context: &mut Context<'_>,
) -> Option<IpAddr> {
    let at = at.key("localAPIEndpoint");
    let own = host.local_api_endpoint.as_ref();
    let cluster = spec.local_api_endpoint.as_ref();
    if let Some(port) = own.and_then(|own| own.bind_port)
        && Some(port) != cluster.and_then(|cluster| cluster.bind_port)
    {
        let fault = Fault::error(&at.key("bindPort"), "all API servers listen on one port");
        context.report(fault.help("set `spec.localAPIEndpoint.bindPort`"));
    }
    let address = own.and_then(|own| own.advertise_address);
    if let Some(address) = address {
        let at = at.key("advertiseAddress");
        check_advertisable(address, &at, context);
        if !one {
            let message = "one advertised address for a range of hosts";
            context.report(Fault::error(&at, message));
        }
    }
    let fallback = cluster.and_then(|cluster| cluster.advertise_address);
    let is_only = one && roles.contains(&Role::ControlPlane) && {
        let is_control_plane = |host: &&HostSpec| {
            host.roles.contains(&Role::ControlPlane) && !spec.removed_hosts.contains(&host.name)
        };
        spec.hosts.iter().filter(is_control_plane).count() == 1
    };
    address.or(fallback.filter(|_| is_only))
}

fn check_advertisable(address: IpAddr, at: &Path, context: &mut Context<'_>) {
    if address.is_unspecified() || address.is_loopback() || address.is_multicast() {
        let message = format!("other hosts can't reach {address}");
        context.report(
            Fault::error(at, message)
                .help("write an address of the host's own that other hosts can reach"),
        );
    }
}

/// The address that SSH connects to, if the host can advertise it. One on the
/// loopback is a forwarded port: facts will know better.
fn advertisable(address: &str) -> Option<IpAddr> {
    let address: IpAddr = address.parse().ok()?;
    (!address.is_loopback()).then_some(address)
}

fn taints(given: Option<&[Taint]>, roles: &[Role]) -> Vec<Taint> {
    match given {
        Some(taints) => taints.to_vec(),
        None if roles == [Role::ControlPlane] => vec![Taint {
            key: CONTROL_PLANE.to_owned(),
            value: None,
            effect: TaintEffect::NoSchedule,
        }],
        None => Vec::new(),
    }
}

/// What the cluster needs of its control planes.
pub(super) fn check_control_planes(
    spec: &ClusterSpec,
    hosts: &[Expanded],
    entries: usize,
    etcd: &Etcd,
    at: &Path,
    context: &mut Context<'_>,
) {
    let hosts_at = at.key("hosts");
    let control_planes: Vec<&Expanded> = hosts
        .iter()
        .filter(|one| one.host.is_control_plane())
        .collect();
    let count = control_planes.len();
    // What is known of the hosts may not be all: then silence is better than a
    // complaint that goes away with the fault that caused it.
    let unclear = |entry| context.is_mended(&hosts_at.index(entry).key("roles"));
    if entries < spec.hosts.len() || (0..spec.hosts.len()).any(unclear) {
        return;
    }
    let roles_at = |one: &Expanded| hosts_at.index(one.entry).key("roles");
    // Where all of them are marked as removed, that has been said.
    let had_one = |host: &HostSpec| host.roles.contains(&Role::ControlPlane);
    if count == 0 && !spec.hosts.iter().any(had_one) {
        let message = match hosts.is_empty() {
            true => "there are no hosts",
            false => "no host has the role `control-plane`",
        };
        context.report(
            Fault::error(&hosts_at, message)
                .about_whole()
                .help("write `roles: [control-plane]` for one host, or for three"),
        );
    }
    if count > 0 && count.is_multiple_of(2) && matches!(etcd, Etcd::Local(_)) {
        let message = format!(
            "{count} control planes survive the loss of no more of them than {} would",
            count - 1
        );
        context.report(
            Fault::warning(&roles_at(control_planes[count - 1]), message)
                .help("etcd needs a majority: an odd number is the better choice"),
        );
    }
    let advertise_at = at.key("localAPIEndpoint").key("advertiseAddress");
    let advertised = spec.local_api_endpoint.as_ref();
    if let Some(address) = advertised.and_then(|endpoint| endpoint.advertise_address) {
        check_advertisable(address, &advertise_at, context);
        if count > 1 {
            let message = "several control planes can't advertise one address";
            context.report(
                Fault::error(&advertise_at, message)
                    .help("move it to `localAPIEndpoint.advertiseAddress` of its host"),
            );
        }
    }
    let blocked = |host: &Host| {
        let keeps_away = |taint: &Taint| taint.effect != TaintEffect::PreferNoSchedule;
        host.taints.iter().any(keeps_away)
    };
    if count > 0 && hosts.iter().all(|one| blocked(&one.host)) {
        context.report(
            Fault::warning(&hosts_at, "every host is tainted: pods have nowhere to go")
                .about_whole()
                .help("add a worker, or write `roles: [control-plane, worker]`"),
        );
    }
}
