//! One MTU for all hosts.

use std::collections::BTreeMap;

use super::report::{FleetCheck, Report};
use super::subject::Subject;

pub(super) const CHECK: FleetCheck = FleetCheck {
    names: &["MTU"],
    run: check_mtu,
};

/// Hosts that differ from most: pods on it lose large packets.
fn check_mtu(subjects: &[Subject<'_>], reports: &mut [Report<'_>]) {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for subject in subjects
        .iter()
        .filter(|subject| subject.gathered.facts.mtu > 0)
    {
        *counts.entry(subject.gathered.facts.mtu).or_default() += 1;
    }
    let Some((&usual, _)) = counts.iter().max_by_key(|(mtu, count)| (**count, **mtu)) else {
        return;
    };
    for (subject, report) in subjects.iter().zip(reports) {
        let facts = &subject.gathered.facts;
        if facts.mtu == 0 {
            continue;
        }
        match facts.mtu == usual {
            true => report.pass("MTU"),
            false => report.warn(
                "MTU",
                format!(
                    "MTU {} on {}, other hosts have {usual}",
                    facts.mtu, facts.default_interface
                ),
                "give all hosts of the cluster one MTU",
            ),
        }
    }
}
