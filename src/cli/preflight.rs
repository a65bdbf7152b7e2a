//! `preflight`: checks all hosts and shows how to fix each finding.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;

use super::next::is_new;
use super::open_run::{AccessMode, OpenRun, PartArgs};
use super::{Global, OutputFormat};
use crate::host::preflight::{Finding, Severity, group_findings};
use crate::plan::preflight::UNCHECKED;
use crate::report::table;
use crate::run::error::{Error, ExitStatus};

/// Check all hosts and show how to fix each finding; change nothing
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  clusterctl-rs preflight\n  clusterctl-rs preflight --hosts 'worker*'\n\nExit code: 5 if a finding is an error, 4 if workers could not be checked."
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
            let aside: Vec<String> = report.aside.iter().map(|one| one.host.clone()).collect();
            printer.out(&render(&report.hosts, &aside, &report.findings));
        }
        // `apply` sets a worker aside that it can't reach, and stops without a control plane.
        let cluster = &opened.run.cluster;
        let is_control_plane = |name: &str| cluster.control_planes().any(|host| host.name == name);
        let stops = |finding: &&Finding| {
            finding.severity == Severity::Error
                && (finding.check != UNCHECKED || is_control_plane(&finding.host))
        };
        let errors = report.findings.iter().filter(stops).count();
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

/// A table of hosts by checks, limited to checks with findings, followed by the findings, each
/// once for all hosts that share it. Of a host that could not be checked it says why.
fn render(hosts: &[String], unchecked: &[String], findings: &[Finding]) -> String {
    if findings.is_empty() {
        return format!("all checks passed on {}", text::count(hosts.len(), "host"));
    }
    let checks: BTreeSet<&str> = findings
        .iter()
        .map(|finding| finding.check.as_str())
        .collect();
    let cell = |host: &String, check: &str| {
        let worst = findings
            .iter()
            .filter(|finding| finding.host == *host && finding.check == check)
            .map(|finding| finding.severity)
            .max();
        match worst {
            Some(Severity::Error) => "ERROR",
            Some(Severity::Warning) => "warning",
            Some(Severity::Info) => "info",
            None if unchecked.contains(host) => "-",
            Some(Severity::Passed) | None => "ok",
        }
        .to_owned()
    };
    let hosts: Vec<&String> = hosts.iter().chain(unchecked).collect();
    let mut header = vec!["CHECK"];
    header.extend(hosts.iter().map(|host| host.as_str()));
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
    for finding in group_findings(findings) {
        text.push_str(&format!("\n{finding}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(host: &str, check: &str, message: &str) -> Finding {
        Finding {
            check: check.into(),
            host: host.into(),
            severity: Severity::Error,
            message: message.into(),
            remedy: None,
        }
    }

    #[test]
    fn what_could_not_be_checked_is_in_the_table_with_its_reason() {
        assert_eq!(
            render(&["w1".into()], &[], &[]),
            "all checks passed on 1 host"
        );
        let findings = [
            finding("w2", UNCHECKED, "cannot connect to w2: connection refused"),
            finding("cp1", "Swap", "swap is on"),
        ];
        let text = render(&["cp1".into()], &["w2".into()], &findings);
        insta::assert_snapshot!(text, @r#"
        CHECK       cp1    w2
        Connection  ok     ERROR
        Swap        ERROR  -

        w2: Connection: cannot connect to w2: connection refused
        cp1: Swap: swap is on
        "#);
    }

    #[test]
    fn what_several_hosts_share_is_told_once() {
        let findings = ["w1", "w2"].map(|host| finding(host, "MTU", "too small"));
        let text = render(&["w1".into(), "w2".into()], &[], &findings);
        assert!(text.ends_with("\nw1, w2: MTU: too small"), "{text}");
    }
}
