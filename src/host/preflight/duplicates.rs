//! What has to be unique in a cluster.

use super::report::{FleetCheck, Report};
use super::subject::Subject;
use crate::host::facts::Facts;

pub(super) const CHECK: FleetCheck = FleetCheck {
    names: &[
        "DuplicateMachineID",
        "DuplicateProductUUID",
        "DuplicateHostname",
    ],
    run: check_duplicates,
};

fn check_duplicates(subjects: &[Subject<'_>], reports: &mut [Report<'_>]) {
    for (index, report) in reports.iter_mut().enumerate() {
        let subject = &subjects[index];
        let others: Vec<&Subject<'_>> = subjects
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != index)
            .map(|(_, other)| other)
            .collect();
        check_machine_id(subject, &others, report);
        check_product_uuid(subject, &others, report);
        check_hostname(subject, &others, report);
    }
}

/// Those of whom `of` says what it says of the subject, if that is anything at all.
fn same<'a>(
    subject: &Subject<'_>,
    others: &[&'a Subject<'a>],
    of: fn(&Facts) -> &str,
) -> Vec<&'a Subject<'a>> {
    let value = of(&subject.gathered.facts);
    let others = others.iter().copied();
    let same = others.filter(|other| !value.is_empty() && of(&other.gathered.facts) == value);
    same.collect()
}

fn names(subjects: &[&Subject<'_>]) -> Vec<String> {
    let names = subjects.iter().map(|subject| subject.host.name.clone());
    names.collect()
}

fn check_machine_id<'a>(
    subject: &Subject<'_>,
    others: &[&'a Subject<'a>],
    report: &mut Report<'_>,
) {
    const NAME: &str = "DuplicateMachineID";
    let facts = &subject.gathered.facts;
    let found = same(subject, others, |facts| &facts.machine_id);
    // Clones share the id, but hardly name and address as well.
    let very_same = found.iter().find(|other| {
        let theirs = &other.gathered.facts;
        theirs.hostname == facts.hostname
            && theirs.default_ip.is_some()
            && theirs.default_ip == facts.default_ip
    });
    if let Some(other) = very_same {
        report.error(
            NAME,
            format!("this is the same machine as {}", other.host.name),
            "correct the addresses in the inventory",
        );
    } else if found.is_empty() {
        report.pass(NAME);
    } else {
        report.warn(
            NAME,
            format!(
                "the machine-id is also that of {}",
                names(&found).join(", ")
            ),
            "on a cloned machine: empty /etc/machine-id, run systemd-machine-id-setup and reboot",
        );
    }
}

fn check_product_uuid<'a>(
    subject: &Subject<'_>,
    others: &[&'a Subject<'a>],
    report: &mut Report<'_>,
) {
    const NAME: &str = "DuplicateProductUUID";
    let found = same(subject, others, |facts| &facts.product_uuid);
    match found.is_empty() {
        true => report.pass(NAME),
        // Containers on one machine share it, and do no harm by that.
        false => report.warn(
            NAME,
            format!(
                "the product_uuid is also that of {}",
                names(&found).join(", ")
            ),
            "give every virtual machine a UUID of its own",
        ),
    }
}

fn check_hostname<'a>(subject: &Subject<'_>, others: &[&'a Subject<'a>], report: &mut Report<'_>) {
    const NAME: &str = "DuplicateHostname";
    let (host, hostname) = (subject.host, &subject.gathered.facts.hostname);
    let mut found = names(&same(subject, others, |facts| &facts.hostname));
    // Another one's node may have been given the name of this machine.
    let node = others.iter().filter(|other| {
        other.host.node_name == *hostname
            && host.node_name != *hostname
            && other.gathered.facts.hostname != *hostname
    });
    found.extend(node.map(|other| format!("node {}", other.host.node_name)));
    match found.is_empty() {
        true => report.pass(NAME),
        false => report.warn(
            NAME,
            format!(
                "the host name `{hostname}` is also that of {}",
                found.join(", ")
            ),
            "give every machine a name of its own (hostnamectl set-hostname)",
        ),
    }
}
