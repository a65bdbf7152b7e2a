//! Findings on one host, as checks make them.

use super::finding::{Finding, Severity};
use super::subject::Subject;
use crate::inventory::{Cluster, Host};

/// A check of one host by itself, or a small family of them.
pub(super) struct HostCheck {
    /// The names that its findings may have; `*` stands for anything.
    pub(super) names: &'static [&'static str],
    /// Looks at one host.
    pub(super) run: fn(&Cluster, &Subject<'_>, &mut Report<'_>),
}

/// A check of hosts against each other.
pub(super) struct FleetCheck {
    /// The names that its findings may have; `*` stands for anything.
    pub(super) names: &'static [&'static str],
    /// Looks at all hosts; the reports are in their order.
    pub(super) run: fn(&Cluster, &[Subject<'_>], &mut [Report<'_>]),
}

/// Findings on one host.
pub(super) struct Report<'a> {
    host: &'a Host,
    findings: Vec<Finding>,
}

impl<'a> Report<'a> {
    pub(super) fn new(host: &'a Host) -> Self {
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

    pub(super) fn pass(&mut self, check: &str) {
        self.add(check, Severity::Passed, String::new(), None);
    }

    pub(super) fn info(&mut self, check: &str, message: impl Into<String>) {
        self.add(check, Severity::Info, message.into(), None);
    }

    pub(super) fn warn(&mut self, check: &str, message: impl Into<String>, remedy: &str) {
        self.add(check, Severity::Warning, message.into(), Some(remedy));
    }

    pub(super) fn error(&mut self, check: &str, message: impl Into<String>, remedy: &str) {
        self.add(check, Severity::Error, message.into(), Some(remedy));
    }

    /// An error unless it holds.
    pub(super) fn demand(
        &mut self,
        check: &str,
        holds: bool,
        message: impl Into<String>,
        remedy: &str,
    ) {
        match holds {
            true => self.pass(check),
            false => self.error(check, message, remedy),
        }
    }

    /// The names of what was found.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.findings.iter().map(|finding| finding.check.as_str())
    }

    /// Whether nothing was found yet, good or bad.
    pub(super) fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    /// The findings, those that the operator wants ignored demoted.
    pub(super) fn finish(self) -> Vec<Finding> {
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
pub(super) fn path_check(kind: &str, path: &str) -> String {
    format!("{kind}-{}", path.replace('/', "-"))
}
