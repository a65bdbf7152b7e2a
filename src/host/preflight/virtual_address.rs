//! Whether kube-vip's address is free, and its interface there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::finding::Finding;
use super::reach::{Connection, Probe};
use super::report::{HostCheck, Report};
use super::subject::Subject;
use crate::inventory::{Cluster, LoadBalancer};

const NAME: &str = "AddressAvailable";

pub(super) const CHECK: HostCheck = HostCheck {
    names: &["NetworkInterface"],
    run: check_interface,
};

/// Every control plane needs the interface that the inventory names.
fn check_interface(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
    let LoadBalancer::KubeVip {
        interface: Some(wanted),
        ..
    } = &cluster.load_balancer
    else {
        return;
    };
    let addresses = &subject.gathered.facts.addresses;
    let there: BTreeSet<&str> = addresses.iter().map(|one| one.interface.as_str()).collect();
    if !subject.host.is_control_plane() || there.is_empty() {
        return;
    }
    report.demand(
        "NetworkInterface",
        there.contains(wanted.as_str()),
        format!(
            "there is no interface {wanted} with an address of its own for kube-vip, only {}",
            Vec::from_iter(there).join(", ")
        ),
        "correct loadBalancer.interface, or leave it out: then it is the one with the host's address",
    );
}

/// The attempt that tells, made from the first control plane of a cluster that is yet
/// to come: on one that runs, one of its own has the address. `None` without
/// kube-vip.
pub fn virtual_address(cluster: &Cluster, subjects: &[Subject<'_>]) -> Option<Connection> {
    let address = cluster.virtual_address()?;
    let mut control_planes = subjects
        .iter()
        .filter(|subject| subject.host.is_control_plane());
    let first = control_planes.clone().next()?;
    let new = control_planes.all(|subject| !subject.owned);
    new.then(|| Connection {
        from: first.host.name.clone(),
        to: address.to_string(),
        address,
        port: cluster.bind_port,
    })
}

/// Judges it: whoever answers, if only to refuse, has the address.
pub fn check_virtual_address(
    subjects: &[Subject<'_>],
    attempt: &Connection,
    probes: &BTreeMap<(IpAddr, u16), Probe>,
) -> Vec<Finding> {
    let Some(subject) = subjects.iter().find(|one| one.host.name == attempt.from) else {
        return Vec::new();
    };
    let mut report = Report::new(subject.host);
    let address = attempt.address;
    let holder = subjects.iter().find_map(|one| {
        let mut own = one.gathered.facts.addresses.iter();
        let held = own.find(|held| held.address == address)?;
        Some((&one.host.name, &held.interface))
    });
    let taken = format!("{address} (controlPlaneEndpoint, for kube-vip) is already in use");
    match (holder, probes.get(&(address, attempt.port))) {
        (Some((host, interface)), _) => report.error(
            NAME,
            format!("{taken}: {host} has it on {interface}"),
            "remove it there (`ip address delete`), or choose a free address",
        ),
        // A host that kube-vip was killed on has it without showing it among its own.
        (None, Some(Probe::Open | Probe::Refused)) => report.error(
            NAME,
            format!("{taken}: something answers there"),
            "choose a free address; `ip neigh` on this host shows which machine has this one",
        ),
        (None, _) => report.pass(NAME),
    }
    report.finish()
}
