//! Every check.
//!
//! To add one: its file, with a `CHECK`, and a line in one of these lists. What needs a
//! conversation (`forwarding`, `reach`, `external_etcd`, the address of
//! `virtual_address`) is asked by the caller and judged there.

use super::finding::Finding;
use super::report::{FleetCheck, HostCheck, Report};
use super::subject::Subject;
use super::{
    addresses, beside, clocks, commands, disk_space, duplicates, kernel_settings, machine, mtu,
    names, networks, one_network, package_state, places, ports, proxies, proxy_credentials,
    remains, runtime, swap, system_verification, virtual_address,
};
use crate::inventory::Cluster;

/// Checks of each host by itself, in the order of their findings.
const HOST_CHECKS: [HostCheck; 18] = [
    machine::CHECK,
    commands::CHECK,
    package_state::CHECK,
    places::CHECK,
    system_verification::CHECK,
    kernel_settings::CHECK,
    swap::CHECK,
    disk_space::CHECK,
    ports::CHECK,
    remains::CHECK,
    beside::CHECK,
    runtime::CHECK,
    names::CHECK,
    addresses::CHECK,
    networks::CHECK,
    proxies::CHECK,
    proxy_credentials::CHECK,
    virtual_address::CHECK,
];

/// Checks of hosts against each other; their findings come last.
const FLEET_CHECKS: [FleetCheck; 5] = [
    clocks::CHECK,
    duplicates::CHECK,
    addresses::SAME,
    one_network::CHECK,
    mtu::CHECK,
];

/// Runs every check on every host. The order is that of the hosts, then that of
/// the checks.
pub fn check_hosts(cluster: &Cluster, subjects: &[Subject<'_>]) -> Vec<Finding> {
    let reports = subjects.iter().map(|subject| Report::new(subject.host));
    let mut reports: Vec<Report<'_>> = reports.collect();
    for (subject, report) in subjects.iter().zip(&mut reports) {
        for check in &HOST_CHECKS {
            (check.run)(cluster, subject, report);
        }
    }
    for check in &FLEET_CHECKS {
        (check.run)(cluster, subjects, &mut reports);
    }
    debug_assert_eq!(unlisted_names(&reports), Vec::<&str>::new());
    reports.into_iter().flat_map(Report::finish).collect()
}

/// Names of findings that no check says it may have. Operators put these names into
/// `preflight.ignore`, so they are part of the interface.
fn unlisted_names<'a>(reports: &'a [Report<'_>]) -> Vec<&'a str> {
    let host_names = HOST_CHECKS.iter().flat_map(|check| check.names);
    let fleet_names = FLEET_CHECKS.iter().flat_map(|check| check.names);
    let listed: Vec<&str> = host_names.chain(fleet_names).copied().collect();
    let names = reports.iter().flat_map(Report::names);
    names
        .filter(|name| {
            !listed
                .iter()
                .any(|listed| text::glob::matches(listed, name))
        })
        .collect()
}
