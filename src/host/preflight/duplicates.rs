//! What has to be unique in a cluster.

use std::collections::BTreeMap;

use super::report::{FleetCheck, Report};
use super::subject::Subject;
use crate::host::facts::Facts;
use crate::inventory::Cluster;

const MACHINE_ID: &str = "DuplicateMachineID";
const PRODUCT_UUID: &str = "DuplicateProductUUID";
const HOSTNAME: &str = "DuplicateHostname";

pub(super) const CHECK: FleetCheck = FleetCheck {
    names: &[MACHINE_ID, PRODUCT_UUID, HOSTNAME],
    run: check_duplicates,
};

fn check_duplicates(_: &Cluster, subjects: &[Subject<'_>], reports: &mut [Report<'_>]) {
    let ids = Groups::of(subjects, |facts| &facts.machine_id);
    let uuids = Groups::of(subjects, |facts| &facts.product_uuid);
    let hostnames = Groups::of(subjects, |facts| &facts.hostname);
    for (subject, report) in subjects.iter().zip(reports) {
        check_machine_id(subject, &ids, report);
        // Containers on one machine share it, and do no harm by that.
        match uuids.shared(subject) {
            None => report.pass(PRODUCT_UUID),
            Some(hosts) => report.warn(
                PRODUCT_UUID,
                format!("{hosts} have the same product_uuid"),
                "give every virtual machine a UUID of its own",
            ),
        }
        check_hostname(subject, subjects, &hostnames, report);
    }
}

/// Hosts by what they say of themselves.
struct Groups<'a> {
    of: fn(&Facts) -> &str,
    by_value: BTreeMap<&'a str, Vec<&'a Subject<'a>>>,
}

impl<'a> Groups<'a> {
    fn of(subjects: &'a [Subject<'a>], of: fn(&Facts) -> &str) -> Self {
        let mut by_value: BTreeMap<&str, Vec<&Subject<'_>>> = BTreeMap::new();
        for subject in subjects {
            let value = of(&subject.gathered.facts);
            by_value.entry(value).or_default().push(subject);
        }
        // What a host doesn't say is no likeness.
        by_value.remove("");
        Groups { of, by_value }
    }

    /// All hosts that say what this one says, if there are others.
    fn with(&self, subject: &Subject<'_>) -> &[&'a Subject<'a>] {
        let value = (self.of)(&subject.gathered.facts);
        let group = self.by_value.get(value).map_or(&[][..], Vec::as_slice);
        if group.len() > 1 { group } else { &[] }
    }

    /// Their names, the same text for each of them: so it is told once.
    fn shared(&self, subject: &Subject<'_>) -> Option<String> {
        let group = self.with(subject);
        let names: Vec<&str> = group.iter().map(|one| one.host.name.as_str()).collect();
        (!names.is_empty()).then(|| listed(&names))
    }
}

/// Names in a sentence: `a, b and c`, of many the first few and their number.
pub(super) fn listed(names: &[&str]) -> String {
    const MOST: usize = 5;
    match names {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [firsts @ .., last] if names.len() <= MOST => format!("{} and {last}", firsts.join(", ")),
        _ => format!(
            "{} and {} more",
            names[..MOST - 1].join(", "),
            names.len() - MOST + 1
        ),
    }
}

fn check_machine_id(subject: &Subject<'_>, ids: &Groups<'_>, report: &mut Report<'_>) {
    let facts = &subject.gathered.facts;
    // Clones share the id, but hardly name and address as well; nor do two machines behind
    // one kind of address translation share all their addresses.
    let very_same = ids.with(subject).iter().find(|other| {
        let theirs = &other.gathered.facts;
        other.host.name != subject.host.name
            && theirs.hostname == facts.hostname
            && theirs.default_ip.is_some()
            && theirs.default_ip == facts.default_ip
            && theirs.addresses == facts.addresses
    });
    if let Some(other) = very_same {
        report.error(
            MACHINE_ID,
            format!("this is the same machine as {}", other.host.name),
            "correct the addresses in the inventory",
        );
        return;
    }
    match ids.shared(subject) {
        None => report.pass(MACHINE_ID),
        Some(hosts) => report.warn(
            MACHINE_ID,
            format!("{hosts} have the same machine-id"),
            "on a cloned machine: empty /etc/machine-id, run systemd-machine-id-setup and reboot",
        ),
    }
}

fn check_hostname(
    subject: &Subject<'_>,
    subjects: &[Subject<'_>],
    hostnames: &Groups<'_>,
    report: &mut Report<'_>,
) {
    let (host, hostname) = (subject.host, &subject.gathered.facts.hostname);
    const REMEDY: &str = "give every machine a name of its own (hostnamectl set-hostname)";
    if let Some(hosts) = hostnames.shared(subject) {
        let message = format!("{hosts} have the same host name, `{hostname}`");
        report.warn(HOSTNAME, message, REMEDY);
        return;
    }
    // Another one's node may have been given the name of this machine.
    let mut others = subjects.iter();
    let node = others.find(|other| {
        other.host.name != host.name
            && other.host.node_name == *hostname
            && host.node_name != *hostname
    });
    match node {
        None => report.pass(HOSTNAME),
        Some(other) => report.warn(
            HOSTNAME,
            format!(
                "the host name `{hostname}` is also that of node {}",
                other.host.node_name
            ),
            REMEDY,
        ),
    }
}
