//! Checks of hosts against each other.

use std::collections::BTreeMap;

use super::{Report, Subject};

/// A clock that is further off than this is worth a look, in nanoseconds (5 s).
const SKEW_WARNING: i128 = 5_000_000_000;

/// Certificates are valid from five minutes before they are made: a clock that
/// is further behind takes them for not yet valid. In nanoseconds, with some
/// room (4 min).
const SKEW_ERROR: i128 = 240_000_000_000;

pub(super) fn check(subjects: &[Subject<'_>], reports: &mut [Report<'_>]) {
    clocks(subjects, reports);
    duplicates(subjects, reports);
    mtus(subjects, reports);
}

/// Every clock against the median, and against the workstation's, by which
/// certificates are made.
fn clocks(subjects: &[Subject<'_>], reports: &mut [Report<'_>]) {
    let mut offsets: Vec<i128> = subjects
        .iter()
        .filter_map(|subject| subject.gathered.clock_offset)
        .collect();
    offsets.sort_unstable();
    let Some(&median) = offsets.get(offsets.len() / 2) else {
        return;
    };
    for (subject, report) in subjects.iter().zip(reports) {
        let Some(offset) = subject.gathered.clock_offset else {
            continue;
        };
        let from_median = offset.saturating_sub(median);
        let behind = offset.saturating_neg();
        let seconds = |nanos: i128| format!("{:.1} s", nanos.saturating_abs() as f64 / 1e9);
        let message = format!(
            "the clock is {} {} the workstation's, {} from the middle of all hosts",
            seconds(offset),
            if offset < 0 { "behind" } else { "ahead of" },
            seconds(from_median),
        );
        let remedy = "set the clock, and let chrony or systemd-timesyncd keep it";
        let apart = from_median.saturating_abs();
        if apart > SKEW_ERROR || behind > SKEW_ERROR {
            report.error("ClockSkew", message, remedy);
        } else if apart > SKEW_WARNING || behind > SKEW_WARNING {
            report.warn("ClockSkew", message, remedy);
        } else {
            report.pass("ClockSkew");
        }
    }
}

fn duplicates(subjects: &[Subject<'_>], reports: &mut [Report<'_>]) {
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

/// Whoever differs from most: pods on it lose large packets.
fn mtus(subjects: &[Subject<'_>], reports: &mut [Report<'_>]) {
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
