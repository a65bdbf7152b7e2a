//! The address that other nodes know a host by.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::duplicates::listed;
use super::report::{FleetCheck, HostCheck, Report};
use super::subject::Subject;
use crate::inventory::Cluster;

const OWN: &str = "NodeAddress";
const SAME_NAME: &str = "DuplicateAddress";

pub(super) const CHECK: HostCheck = HostCheck {
    names: &[OWN],
    run: check_own_address,
};

pub(super) const SAME: FleetCheck = FleetCheck {
    names: &[SAME_NAME],
    run: check_same_addresses,
};

/// The kubelet and etcd refuse an address that no interface has.
fn check_own_address(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
    let facts = &subject.gathered.facts;
    let remedy = "set localAPIEndpoint.advertiseAddress of the host to an address that it has, and \
                  that the other hosts reach";
    let Some(address) = subject.advertised() else {
        report.error(
            OWN,
            "the host has no default route and several addresses",
            remedy,
        );
        return;
    };
    let own: Vec<String> = facts
        .addresses
        .iter()
        .map(|own| own.address.to_string())
        .collect();
    let is_own = own.is_empty() || facts.addresses.iter().any(|own| own.address == address);
    let both = cluster.networking.has_both_families();
    if !is_own {
        let own = own.join(", ");
        report.error(
            OWN,
            format!("no interface has {address}, only {own}: it is translated on the way"),
            remedy,
        );
    } else if both && !own.is_empty() && facts.node_addresses(subject.host, both).len() < 2 {
        let (has, lacks) = match address.is_ipv4() {
            true => ("IPv4", "IPv6"),
            false => ("IPv6", "IPv4"),
        };
        report.warn(
            OWN,
            format!("the cluster has both families, but the host only an {has} address"),
            &format!(
                "give the interface of {address} a global {lacks} address, or set `node-ip` in \
                 nodeRegistration.kubeletExtraArgs"
            ),
        );
    } else if facts.default_ip.is_none() && !own.is_empty() {
        report.info(
            OWN,
            format!("there is no default route: the kubelet is told {address} (node-ip)"),
        );
    } else {
        report.pass(OWN);
    }
}

/// Hosts behind one kind of translation look the same from the inside.
fn check_same_addresses(_: &Cluster, subjects: &[Subject<'_>], reports: &mut [Report<'_>]) {
    let advertised = groups(subjects, Subject::advertised);
    let defaults = groups(subjects, |subject| subject.gathered.facts.default_ip);
    for (subject, report) in subjects.iter().zip(reports) {
        let shared = |groups: &BTreeMap<IpAddr, Vec<&str>>, address: Option<IpAddr>| {
            let hosts = groups.get(&address?)?;
            (hosts.len() > 1).then(|| (address, listed(hosts)))
        };
        let own = subject.advertised();
        let default = subject.gathered.facts.default_ip;
        if let (Some((Some(address), hosts)), true) = (shared(&advertised, own), own.is_some()) {
            report.error(
                SAME_NAME,
                format!("{hosts} have the same address, {address}"),
                "set localAPIEndpoint.advertiseAddress of each to an address of its own, by which \
                 the other hosts reach it",
            );
        } else if let Some((Some(address), hosts)) = shared(&defaults, default) {
            report.info(
                SAME_NAME,
                format!(
                    "{hosts} have the same address behind their default route, {address}: each \
                     kubelet is told its own (node-ip)"
                ),
            );
        } else {
            report.pass(SAME_NAME);
        }
    }
}

/// Names of hosts by their address.
fn groups<'a>(
    subjects: &[Subject<'a>],
    of: impl Fn(&Subject<'a>) -> Option<IpAddr>,
) -> BTreeMap<IpAddr, Vec<&'a str>> {
    let mut groups: BTreeMap<IpAddr, Vec<&str>> = BTreeMap::new();
    for subject in subjects {
        if let Some(address) = of(subject) {
            groups.entry(address).or_default().push(&subject.host.name);
        }
    }
    groups
}
