//! What checks find.

use std::collections::HashMap;

use serde::Serialize;

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

/// Findings that say the same of several hosts as one, which names them all: in the order of
/// the first of each.
pub fn group_findings<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Vec<Finding> {
    let mut places: HashMap<(&str, Severity, &str, Option<&str>), usize> = HashMap::new();
    let mut groups: Vec<(&Finding, Vec<&str>)> = Vec::new();
    for finding in findings {
        let remedy = finding.remedy.as_deref();
        let key = (
            finding.check.as_str(),
            finding.severity,
            finding.message.as_str(),
            remedy,
        );
        match places.get(&key) {
            Some(at) => groups[*at].1.push(&finding.host),
            None => {
                places.insert(key, groups.len());
                groups.push((finding, vec![&finding.host]));
            }
        }
    }
    let together = |(finding, hosts): (&Finding, Vec<&str>)| Finding {
        host: hosts.join(", "),
        ..finding.clone()
    };
    groups.into_iter().map(together).collect()
}

/// How bad a finding is, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// All is well.
    Passed,
    /// `apply` takes care of it, or it is good to know.
    Info,
    /// Worth a look; it stops nothing.
    Warning,
    /// `apply` stops here.
    Error,
}
