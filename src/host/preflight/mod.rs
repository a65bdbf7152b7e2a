//! Preflight: what would keep a host from becoming a node.
//!
//! kubeadm's checks under kubeadm's names (v1.36), as far as they apply to
//! hosts that are prepared from outside, and some that kubeadm lacks. What
//! `apply` brings or sets by itself is no fault of a host: such a check says
//! what will be done, as [`Severity::Info`].

mod external_etcd;
mod fleet;
mod node;
mod proxy;
mod reach;
mod system;
#[cfg(test)]
mod tests;
mod virtual_address;

use std::collections::BTreeMap;

use serde::Serialize;

use super::facts::Gathered;
use crate::inventory::{Cluster, Host};

pub use external_etcd::check_external_etcd;
pub use reach::{
    Connection, Probe, check_reachability, parse_reachability, reachability, required_connections,
};
pub use virtual_address::{check_virtual_address, virtual_address};

/// One host, as preflight sees it.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The host as it should be.
    pub host: &'a Host,
    /// What it told.
    pub gathered: &'a Gathered,
    /// Whether it is part of this very cluster already (see [`belongs`]): then
    /// its own files and ports are no obstacle.
    pub owned: bool,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The check's name: kubeadm's, where kubeadm has it.
    pub check: String,
    /// The host's name in the inventory.
    pub host: String,
    /// How bad it is.
    pub severity: Severity,
    /// What was found; empty if all is well.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}: {}", self.host, self.check, self.message)?;
        match &self.remedy {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

/// How bad a finding is, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// All is well.
    Passed,
    /// `apply` will see to it, or it is good to know.
    Info,
    /// Worth a look; it stops nothing.
    Warning,
    /// `apply` stops here.
    Error,
}

/// Runs every check on every host. The order is that of the hosts, then that of
/// the checks.
pub fn check(cluster: &Cluster, subjects: &[Subject<'_>]) -> Vec<Finding> {
    let mut reports: Vec<Report<'_>> = subjects
        .iter()
        .map(|subject| {
            let mut report = Report::new(subject.host);
            system::check(cluster, subject, &mut report);
            node::check(cluster, subject, &mut report);
            virtual_address::interface(cluster, subject, &mut report);
            report
        })
        .collect();
    fleet::check(subjects, &mut reports);
    reports.into_iter().flat_map(Report::finish).collect()
}

/// Whether a host is part of this very cluster: its receipt says so, or its
/// kubelet trusts our CA. `ca` is the CA certificate as PEM.
pub fn belongs(cluster: &Cluster, gathered: &Gathered, ca: Option<&[u8]>) -> bool {
    use base64::Engine as _;
    let ours = ca.map(|pem| base64::engine::general_purpose::STANDARD.encode(pem));
    match &gathered.receipt_cluster {
        Some(name) => *name == cluster.name,
        None => ours.is_some() && gathered.kubelet_ca == ours,
    }
}

/// What all findings come to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Number of errors by host; hosts without any are missing.
    pub errors: BTreeMap<String, usize>,
    /// Number of warnings by host; hosts without any are missing.
    pub warnings: BTreeMap<String, usize>,
}

impl Summary {
    /// Counts.
    pub fn of(findings: &[Finding]) -> Self {
        let mut summary = Summary::default();
        for finding in findings {
            let counts = match finding.severity {
                Severity::Error => &mut summary.errors,
                Severity::Warning => &mut summary.warnings,
                Severity::Info | Severity::Passed => continue,
            };
            *counts.entry(finding.host.clone()).or_default() += 1;
        }
        summary
    }

    /// Whether nothing stands in the way.
    pub fn passed(&self) -> bool {
        self.errors.is_empty()
    }
}

/// Findings on one host.
struct Report<'a> {
    host: &'a Host,
    findings: Vec<Finding>,
}

impl<'a> Report<'a> {
    fn new(host: &'a Host) -> Self {
        Report {
            host,
            findings: Vec::new(),
        }
    }

    fn add(&mut self, check: &str, severity: Severity, message: String, remedy: Option<&str>) {
        self.findings.push(Finding {
            check: check.into(),
            host: self.host.name.clone(),
            severity,
            message,
            remedy: remedy.map(str::to_owned),
        });
    }

    fn pass(&mut self, check: &str) {
        self.add(check, Severity::Passed, String::new(), None);
    }

    fn info(&mut self, check: &str, message: impl Into<String>) {
        self.add(check, Severity::Info, message.into(), None);
    }

    fn warn(&mut self, check: &str, message: impl Into<String>, remedy: &str) {
        self.add(check, Severity::Warning, message.into(), Some(remedy));
    }

    fn error(&mut self, check: &str, message: impl Into<String>, remedy: &str) {
        self.add(check, Severity::Error, message.into(), Some(remedy));
    }

    /// An error unless it holds.
    fn demand(&mut self, check: &str, holds: bool, message: impl Into<String>, remedy: &str) {
        match holds {
            true => self.pass(check),
            false => self.error(check, message, remedy),
        }
    }

    /// The findings, those that the operator wants ignored demoted.
    fn finish(self) -> Vec<Finding> {
        let host = self.host;
        let demote = |mut finding: Finding| {
            let name = finding.check.to_lowercase();
            if finding.severity == Severity::Error
                && host
                    .preflight_ignore
                    .iter()
                    .any(|ignored| *ignored == name || ignored == "all")
            {
                finding.severity = Severity::Warning;
            }
            finding
        };
        self.findings.into_iter().map(demote).collect()
    }
}

/// `FileAvailable--etc-kubernetes-kubelet.conf` out of `FileAvailable` and the
/// path, as kubeadm names such checks.
fn path_check(kind: &str, path: &str) -> String {
    format!("{kind}-{}", path.replace('/', "-"))
}
