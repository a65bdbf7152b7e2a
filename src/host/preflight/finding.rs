//! What checks find.

use std::collections::BTreeMap;

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

/// How bad a finding is, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
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

    /// Whether there are no errors.
    pub fn passed(&self) -> bool {
        self.errors.is_empty()
    }
}
