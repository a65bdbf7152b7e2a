//! What has to be unique in a cluster.

use super::report::{FleetCheck, Report};
use super::subject::Subject;

pub(super) const CHECK: FleetCheck = FleetCheck {
    names: &[
        "DuplicateMachineID",
        "DuplicateProductUUID",
        "DuplicateHostname",
    ],
    run: check,
};

fn check(subjects: &[Subject<'_>], reports: &mut [Report<'_>]) {
    for index in 0..subjects.len() {
        let (facts, host) = (&subjects[index].gathered.facts, subjects[index].host);
        let others = || {
            subjects
                .iter()
                .enumerate()
                .filter(move |(other, _)| *other != index)
        };
        let same = |value: &str, of: &dyn Fn(&Subject<'_>) -> String| -> Vec<String> {
            let found = others().filter(|(_, other)| !value.is_empty() && of(other) == value);
            found.map(|(_, other)| other.host.name.clone()).collect()
        };
        let report = &mut reports[index];

        let machine = same(&facts.machine_id, &|other| {
            other.gathered.facts.machine_id.clone()
        });
        let very_same = others().find(|(_, other)| {
            let theirs = &other.gathered.facts;
            machine.contains(&other.host.name)
                && theirs.hostname == facts.hostname
                && theirs.default_ip.is_some()
                && theirs.default_ip == facts.default_ip
        });
        if let Some((_, other)) = very_same {
            report.error(
                "DuplicateMachineID",
                format!("this is the same machine as {}", other.host.name),
                "correct the addresses in the inventory",
            );
        } else if machine.is_empty() {
            report.pass("DuplicateMachineID");
        } else {
            report.warn(
                "DuplicateMachineID",
                format!("the machine-id is also that of {}", machine.join(", ")),
                "on a cloned machine: empty /etc/machine-id, run systemd-machine-id-setup and reboot",
            );
        }

        let uuid = same(&facts.product_uuid, &|other| {
            other.gathered.facts.product_uuid.clone()
        });
        match uuid.is_empty() {
            true => report.pass("DuplicateProductUUID"),
            // Containers on one machine share it, and do no harm by that.
            false => report.warn(
                "DuplicateProductUUID",
                format!("the product_uuid is also that of {}", uuid.join(", ")),
                "give every virtual machine a UUID of its own",
            ),
        }

        let mut hostname = same(&facts.hostname, &|other| {
            other.gathered.facts.hostname.clone()
        });
        let node = others().filter(|(_, other)| {
            other.host.node_name == facts.hostname
                && host.node_name != facts.hostname
                && other.gathered.facts.hostname != facts.hostname
        });
        hostname.extend(node.map(|(_, other)| format!("node {}", other.host.node_name)));
        match hostname.is_empty() {
            true => report.pass("DuplicateHostname"),
            false => report.warn(
                "DuplicateHostname",
                format!(
                    "the host name `{}` is also that of {}",
                    facts.hostname,
                    hostname.join(", ")
                ),
                "give every machine a name of its own (hostnamectl set-hostname)",
            ),
        }
    }
}
