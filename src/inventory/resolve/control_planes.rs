//! What the cluster needs of its control planes.

use std::net::IpAddr;

use super::expanded_host::ExpandedHost;
use super::fault::Fault;
use super::resolver::Resolver;
use crate::inventory::cluster::{Etcd, Host};
use crate::inventory::spec::{ClusterSpec, HostSpec, Role, Taint, TaintEffect};
use crate::inventory::yaml::FieldPath;

/// What the cluster needs of its control planes.
pub(super) fn check_control_planes(
    spec: &ClusterSpec,
    hosts: &[ExpandedHost],
    entries: usize,
    etcd: &Etcd,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) {
    let hosts_at = at.key("hosts");
    let control_planes: Vec<&ExpandedHost> = hosts
        .iter()
        .filter(|one| one.host.is_control_plane())
        .collect();
    let count = control_planes.len();
    // What is known of the hosts may not be all: then silence is better than a
    // complaint that goes away with the mistake that caused it.
    let unclear = |entry| resolver.is_repaired(&hosts_at.index(entry).key("roles"));
    if entries < spec.hosts.len() || (0..spec.hosts.len()).any(unclear) {
        return;
    }
    let roles_at = |one: &ExpandedHost| hosts_at.index(one.entry).key("roles");
    // If all of them are listed as removed, that has been reported already.
    let had_one = |host: &HostSpec| host.roles.contains(&Role::ControlPlane);
    if count == 0 && !spec.hosts.iter().any(had_one) {
        let message = match hosts.is_empty() {
            true => "the inventory has no hosts",
            false => "a cluster needs at least one control plane",
        };
        resolver.report(
            Fault::error(&hosts_at, message)
                .about_whole()
                .help("give one host, or three, `roles: [control-plane]`"),
        );
    }
    if count > 0 && count.is_multiple_of(2) && matches!(etcd, Etcd::Local(_)) {
        let message = format!(
            "{count} control planes tolerate no more failures than {}",
            count - 1
        );
        resolver.report(
            Fault::warning(&roles_at(control_planes[count - 1]), message)
                .help("use an odd number: etcd needs a majority"),
        );
    }
    check_shared_address(spec, count, at, resolver);
    check_schedulable(hosts, count, &hosts_at, resolver);
}

/// One advertised address for the whole cluster fits only a single control plane.
fn check_shared_address(
    spec: &ClusterSpec,
    count: usize,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) {
    let advertise_at = at.key("localAPIEndpoint").key("advertiseAddress");
    let advertised = spec.local_api_endpoint.as_ref();
    if let Some(address) = advertised.and_then(|endpoint| endpoint.advertise_address) {
        check_advertisable(address, &advertise_at, resolver);
        if count > 1 {
            let message = "control planes can't share one advertised address";
            resolver
                .report(Fault::error(&advertise_at, message).help(
                    "move it to `localAPIEndpoint.advertiseAddress` of the host that has it",
                ));
        }
    }
}

/// Warns if pods could run nowhere.
fn check_schedulable(
    hosts: &[ExpandedHost],
    count: usize,
    hosts_at: &FieldPath,
    resolver: &mut Resolver<'_>,
) {
    let blocked = |host: &Host| {
        let keeps_away = |taint: &Taint| taint.effect != TaintEffect::PreferNoSchedule;
        host.taints.iter().any(keeps_away)
    };
    if count > 0 && hosts.iter().all(|one| blocked(&one.host)) {
        resolver.report(
            Fault::warning(
                hosts_at,
                "every host is tainted, so pods can't be scheduled",
            )
            .about_whole()
            .help("add a worker, or use `roles: [control-plane, worker]`"),
        );
    }
}

pub(super) fn check_advertisable(address: IpAddr, at: &FieldPath, resolver: &mut Resolver<'_>) {
    if address.is_unspecified() || address.is_loopback() || address.is_multicast() {
        let message = format!("other hosts can't reach {address}");
        resolver.report(
            Fault::error(at, message)
                .help("use an address of this host that the other hosts can reach"),
        );
    }
}
