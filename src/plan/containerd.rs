//! containerd's configuration on hosts that have one of their own: whether ours goes over it.

use crate::cluster::survey::Surveyed;
use crate::host::preflight::{Finding, Severity};
use crate::inventory::Cluster;
use crate::kubernetes::containerd::{CHECK, judge};

/// Says what of a host's own configuration would be lost, or keeps containerd from serving
/// the kubelet.
pub(super) fn check_containerd(cluster: &Cluster, one: &Surveyed) -> Vec<Finding> {
    let faults = judge(cluster, &one.host, &one.gathered.facts).into_iter();
    let check = CHECK.to_lowercase();
    let ignored = one.host.preflight_ignore.iter();
    let is_ignored = ignored
        .into_iter()
        .any(|name| *name == check || name == "all");
    let findings = faults.map(|fault| Finding {
        check: CHECK.to_owned(),
        host: one.host.name.clone(),
        severity: match fault.is_error && !is_ignored {
            true => Severity::Error,
            false => Severity::Warning,
        },
        message: text::terminal::escape(&fault.message).into_owned(),
        remedy: Some(text::terminal::escape(&fault.remedy).into_owned()),
    });
    findings.collect()
}
