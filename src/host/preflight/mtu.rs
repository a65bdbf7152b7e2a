//! One MTU for all hosts.

use std::collections::BTreeMap;

use super::report::{FleetCheck, Report};
use super::subject::Subject;
use crate::inventory::Cluster;

pub(super) const CHECK: FleetCheck = FleetCheck {
    names: &["MTU"],
    run: check_mtu,
};

/// Hosts that differ from most: pods on it lose large packets.
fn check_mtu(_: &Cluster, subjects: &[Subject<'_>], reports: &mut [Report<'_>]) {
    let mtu_of = |subject: &Subject<'_>| match subject.advertised() {
        Some(address) => subject.gathered.facts.mtu_of(address),
        None => subject.gathered.facts.mtu,
    };
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for mtu in subjects.iter().map(mtu_of).filter(|mtu| *mtu > 0) {
        *counts.entry(mtu).or_default() += 1;
    }
    let Some((&usual, _)) = counts.iter().max_by_key(|(mtu, count)| (**count, **mtu)) else {
        return;
    };
    for (subject, report) in subjects.iter().zip(reports) {
        let mtu = mtu_of(subject);
        if mtu == 0 {
            continue;
        }
        match mtu == usual {
            true => report.pass("MTU"),
            false => report.warn(
                "MTU",
                format!(
                    "MTU {mtu} on {}, other hosts have {usual}",
                    subject.interface().unwrap_or("its interface")
                ),
                "give all hosts of the cluster one MTU",
            ),
        }
    }
}
