//! `preflight`: checks all hosts and shows how to fix each finding.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;

use super::next::is_new;
use super::open_run::{AccessMode, OpenRun, PartArgs};
use super::{Global, OutputFormat};
use crate::host::preflight::{Finding, Severity};
use crate::report::table;
use crate::run::error::{Error, ExitStatus};

/// Check all hosts and show how to fix each finding; change nothing
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  clusterctl-rs preflight\n  clusterctl-rs preflight --hosts 'worker*'\n\nExit code: 5 if a finding is an error; `apply` would stop there."
)]
pub(super) struct PreflightArgs {
    /// The inventory
    file: Option<PathBuf>,
    /// Only these hosts: names, patterns (`*`, `?`), ranges (`w[1:9]`) or groups, comma-separated
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    hosts: Vec<String>,
}

impl PreflightArgs {
    pub(super) async fn run(self, global: &Global) -> Result<ExitStatus, Error> {
        let part = PartArgs::hosts(self.hosts);
        let opened = OpenRun::open(
            global,
            "preflight",
            self.file.as_ref(),
            &part,
            AccessMode::Read,
        )?;
        let report = crate::plan::preflight::report_findings(&opened.run).await?;
        let printer = global.printer();
        if global.output == OutputFormat::Json {
            let json = serde_json::json!({
                "hosts": report.hosts,
                "setAside": report.aside.iter().map(|one| &one.host).collect::<Vec<_>>(),
                "findings": report.findings,
            });
            printer.json(&json.to_string());
        } else {
            printer.out(&render(&report.hosts, &report.findings));
        }
        let errors = report
            .findings
            .iter()
            .filter(|f| f.severity == Severity::Error)
            .count();
        let verb = |verb| global.command(verb, self.file.as_ref());
        if errors > 0 || !report.aside.is_empty() {
            let again = verb("preflight");
            global.say_next(&format!("fix what is listed above, then run {again} again"));
        } else if is_new(&opened.run.state) {
            global.say_next(&format!("run {}", verb("plan")));
        }
        Ok(match (errors, report.aside.is_empty()) {
            (0, true) => ExitStatus::Done,
            (0, false) => ExitStatus::SetAside,
            _ => ExitStatus::Preflight,
        })
    }
}

/// A table of hosts by checks, limited to checks with findings, followed by the findings.
fn render(hosts: &[String], findings: &[Finding]) -> String {
    if hosts.is_empty() {
        return "no host could be checked".into();
    }
    if findings.is_empty() {
        return format!("all checks passed on {}", text::count(hosts.len(), "host"));
    }
    let checks: BTreeSet<&str> = findings
        .iter()
        .map(|finding| finding.check.as_str())
        .collect();
    let cell = |host: &str, check: &str| {
        let worst = findings
            .iter()
            .filter(|finding| finding.host == host && finding.check == check)
            .map(|finding| finding.severity)
            .max();
        match worst {
            Some(Severity::Error) => "ERROR",
            Some(Severity::Warning) => "warning",
            Some(Severity::Info) => "info",
            Some(Severity::Passed) | None => "ok",
        }
        .to_owned()
    };
    let mut header = vec!["CHECK"];
    header.extend(hosts.iter().map(String::as_str));
    let rows: Vec<Vec<String>> = checks
        .iter()
        .map(|check| {
            let mut row = vec![(*check).to_owned()];
            row.extend(hosts.iter().map(|host| cell(host, check)));
            row
        })
        .collect();
    let mut text = table(&header, &rows);
    text.push('\n');
    for finding in findings {
        text.push_str(&format!("\n{finding}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nobody_answered_nothing_has_passed() {
        assert_eq!(render(&[], &[]), "no host could be checked");
        assert_eq!(render(&["w1".into()], &[]), "all checks passed on 1 host");
    }
}
