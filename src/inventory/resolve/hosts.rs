//! The hosts: ranges, groups, roles, addresses.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use super::control_planes::check_advertisable;
use super::expanded_host::ExpandedHost;
use super::fault::Fault;
use super::files::ManagedPaths;
use super::host_names::{check_host_name, expand_names};
use super::layer::SettingsLayer;
use super::range::MAX_HOSTS;
use super::removed::drop_removed_hosts;
use super::resolver::Resolver;
use super::syntax;
use super::unique::check_unique;
use crate::inventory::cluster::Host;
use crate::inventory::spec::{ClusterSpec, HostSpec, Role, Taint, TaintEffect};
use crate::inventory::yaml::{FieldPath, find_closest, shorten};
use crate::layout::names::CONTROL_PLANE;

/// Resolves every host that is not listed as removed. Also returns how
/// many entries of the file are known, the removed ones included.
pub(super) fn resolve_hosts(
    spec: &ClusterSpec,
    managed: &ManagedPaths<'_>,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) -> (Vec<ExpandedHost>, usize) {
    let cluster = SettingsLayer::from_cluster(spec, managed, at, resolver);
    let groups: BTreeMap<&str, SettingsLayer> = spec
        .groups
        .iter()
        .map(|(name, group)| {
            let at = at.key("groups").key(name);
            resolver.check_key(&at, name, syntax::check_label_value(name));
            (
                name.as_str(),
                SettingsLayer::from_group(group, managed, &at, resolver),
            )
        })
        .collect();
    let hosts_at = at.key("hosts");
    let mut expanded: Vec<ExpandedHost> = Vec::new();
    for (entry, host) in spec.hosts.iter().enumerate() {
        let at = hosts_at.index(entry);
        let mut layer = cluster.clone();
        for group in find_group_layers(host, &groups, &at, resolver) {
            layer = group.clone().overlay_on(&layer);
        }
        // The host's own settings come last, over those of all its groups.
        let layer = SettingsLayer::from_host(host, managed, &at, resolver).overlay_on(&layer);
        let roles = resolve_roles(&host.roles, &at.key("roles"), resolver);
        let names = expand_names(host, &at, resolver);
        if expanded.len() + names.len() > MAX_HOSTS {
            let message = format!("too many hosts: at most {MAX_HOSTS} are supported");
            resolver.report(Fault::error(&at.key("name"), message));
            break;
        }
        let is_single = names.len() == 1;
        let node_name = resolve_node_name(host, is_single, &at, resolver);
        let given = resolve_advertise_address(spec, host, is_single, &roles, &at, resolver);
        for (name, address) in names {
            let advertise_address = given.or_else(|| parse_advertisable(&address));
            let node_name = node_name.clone().unwrap_or_else(|| name.clone());
            let host = Host {
                advertise_address,
                groups: host.groups.clone(),
                ..new_host(name, node_name, address, &roles, &layer)
            };
            expanded.push(ExpandedHost { host, entry });
        }
    }
    check_unused_groups(spec, at, resolver);
    let entries: HashSet<usize> = expanded.iter().map(|one| one.entry).collect();
    let expanded = drop_removed_hosts(expanded, spec, at, resolver);
    check_unique(&expanded, &hosts_at, resolver);
    (expanded, entries.len())
}

fn new_host(
    name: String,
    node_name: String,
    address: String,
    roles: &[Role],
    layer: &SettingsLayer,
) -> Host {
    Host {
        taints: resolve_taints(layer.taints.as_deref(), roles),
        name,
        node_name,
        address,
        roles: roles.to_vec(),
        labels: layer.labels.clone(),
        advertise_address: None,
        cri_socket: layer.cri_socket(),
        image_pull_policy: layer.image_pull_policy(),
        kubelet_extra_args: layer.kubelet_extra_args(),
        kubelet_config: layer.kubelet_config.clone(),
        groups: Vec::new(),
        preflight_ignore: layer.preflight_ignore.clone(),
        sysctls: layer.sysctls.clone(),
        files: layer.files.clone(),
        ssh: layer.ssh.clone().into_settings(),
    }
}

fn find_group_layers<'a>(
    host: &HostSpec,
    groups: &'a BTreeMap<&str, SettingsLayer>,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) -> Vec<&'a SettingsLayer> {
    let mut seen = HashSet::new();
    let mut layers = Vec::new();
    for (index, name) in host.groups.iter().enumerate() {
        let at = at.key("groups").index(index);
        if !seen.insert(name) {
            let message = format!("duplicate group `{}`", shorten(name));
            resolver.report(Fault::error(&at, message));
        }
        if let Some(layer) = groups.get(name.as_str()) {
            layers.push(layer);
            continue;
        }
        let message = format!("unknown group `{}`", shorten(name));
        let fault = Fault::error(&at, message);
        let all: Vec<&str> = groups.keys().copied().collect();
        resolver.report(match find_closest(name, groups.keys().copied()) {
            Some(name) => fault.help(format!("did you mean `{name}`?")),
            None if all.is_empty() => fault.help("define it in `spec.groups`"),
            None => fault.help(format!("defined groups: {}", all.join(", "))),
        });
    }
    layers
}

fn check_unused_groups(spec: &ClusterSpec, at: &FieldPath, resolver: &mut Resolver<'_>) {
    let used: HashSet<&String> = spec.hosts.iter().flat_map(|host| &host.groups).collect();
    for name in spec.groups.keys().filter(|name| !used.contains(name)) {
        let at = at.key("groups").key(name);
        let message = format!("group `{}` is not used by any host", shorten(name));
        resolver.report(Fault::warning(&at, message).at_key());
    }
}

fn resolve_roles(given: &[Role], at: &FieldPath, resolver: &mut Resolver<'_>) -> Vec<Role> {
    let mut roles = given.to_vec();
    roles.sort();
    roles.dedup();
    if roles.is_empty() {
        resolver.report(
            Fault::error(at, "the host has no role")
                .help("write `[control-plane]`, `[worker]` or both"),
        );
    } else if roles.len() < given.len() {
        resolver.report(
            Fault::error(at, "duplicate role")
                .about_whole()
                .help("remove one of the two"),
        );
    }
    roles
}

fn resolve_node_name(
    host: &HostSpec,
    is_single: bool,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) -> Option<String> {
    let name = host.node_registration.name.as_ref()?;
    let at = at.key("nodeRegistration").key("name");
    if resolver.check(&at, check_host_name(name)).is_some() && !is_single {
        resolver.report(Fault::error(
            &at,
            "a range of hosts can't share one node name",
        ));
    }
    Some(name.clone())
}

/// The operator's choice: the host's own, or the cluster's, which fits only
/// where there is one control plane.
fn resolve_advertise_address(
    spec: &ClusterSpec,
    host: &HostSpec,
    is_single: bool,
    roles: &[Role],
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) -> Option<IpAddr> {
    let at = at.key("localAPIEndpoint");
    let own = host.local_api_endpoint.as_ref();
    let cluster = spec.local_api_endpoint.as_ref();
    if let Some(port) = own.and_then(|own| own.bind_port)
        && Some(port) != cluster.and_then(|cluster| cluster.bind_port)
    {
        let fault = Fault::error(
            &at.key("bindPort"),
            "`bindPort` must be the same for all API servers",
        );
        resolver.report(fault.help("set `spec.localAPIEndpoint.bindPort`"));
    }
    let address = own.and_then(|own| own.advertise_address);
    if let Some(address) = address {
        let at = at.key("advertiseAddress");
        check_advertisable(address, &at, resolver);
        if !is_single {
            let message = "a range of hosts can't share one advertised address";
            resolver.report(Fault::error(&at, message));
        }
    }
    let fallback = cluster.and_then(|cluster| cluster.advertise_address);
    let is_only = is_single && roles.contains(&Role::ControlPlane) && {
        let is_control_plane = |host: &&HostSpec| {
            host.roles.contains(&Role::ControlPlane) && !spec.removed_hosts.contains(&host.name)
        };
        spec.hosts.iter().filter(is_control_plane).count() == 1
    };
    address.or(fallback.filter(|_| is_only))
}

/// The address that SSH connects to, if the host can advertise it. One on the
/// loopback is a forwarded port: facts will know better.
fn parse_advertisable(address: &str) -> Option<IpAddr> {
    let address: IpAddr = address.parse().ok()?;
    (!address.is_loopback()).then_some(address)
}

fn resolve_taints(given: Option<&[Taint]>, roles: &[Role]) -> Vec<Taint> {
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
