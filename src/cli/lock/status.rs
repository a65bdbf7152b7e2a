//! `lock status`: who has the lock.

use clap::Args;
use serde_json::json;

use super::describe;
use crate::cli::open_run::{AccessMode, OpenRun, PartArgs};
use crate::cli::{Global, OutputFormat};
use crate::cluster::lock_survey::{LockSurvey, survey_lock};
use crate::report::table;
use crate::run::error::{Error, ExitStatus};
use crate::run::lock::process_id;

/// Show which run has the lock, since when, and what it does
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  clusterctl-rs lock status
  clusterctl-rs lock status --output json

The lock is the Lease kube-system/clusterctl-rs. Before there is an API, and behind it, each host
knows the number of the run that changed it last, and refuses runs with smaller numbers.")]
pub(super) struct StatusArgs {}

impl StatusArgs {
    pub(super) async fn run(self, global: &Global) -> Result<ExitStatus, Error> {
        let part = PartArgs::default();
        let opened = OpenRun::open(global, "lock status", None, &part, AccessMode::Read)?;
        let survey = survey_lock(&opened.run).await;
        for (host, why) in &survey.silent {
            opened.run.events().warn(format!("{host}: {why}"));
        }
        match global.output {
            OutputFormat::Json => global.printer().json(&render_json(&survey)),
            OutputFormat::Text => global.printer().out(&render_text(&survey)),
        }
        Ok(match survey.silent.is_empty() {
            true => ExitStatus::Done,
            false => ExitStatus::SetAside,
        })
    }
}

fn render_text(survey: &LockSurvey) -> String {
    let rows: Vec<Vec<String>> = survey
        .seen
        .hosts
        .iter()
        .map(|(host, found)| {
            let owner = &found.turn.owner;
            vec![
                host.clone(),
                found.turn.number.to_string(),
                format!("{} by {}", owner.verb, owner.holder),
                format!("{} s", found.age.as_secs()),
            ]
        })
        .collect();
    let text = describe(survey);
    match rows.is_empty() {
        true => text,
        false => format!(
            "{text}\n\n{}",
            table(&["HOST", "NUMBER", "LAST CHANGED BY", "AGO"], &rows)
        ),
    }
}

fn render_json(survey: &LockSurvey) -> String {
    let seen = &survey.seen;
    let holder = seen.holder().map(|holder| {
        let owner = holder.owner;
        json!({"holder": owner.holder, "process": process_id(owner), "verb": owner.verb,
            "since": owner.since.to_string(), "secondsAgo": holder.age.as_secs(),
            "place": holder.place, "number": holder.number, "over": holder.is_over})
    });
    let hosts: Vec<_> = seen
        .hosts
        .iter()
        .map(|(name, found)| {
            let owner = &found.turn.owner;
            json!({"name": name, "number": found.turn.number, "holder": owner.holder,
                "verb": owner.verb, "secondsAgo": found.age.as_secs()})
        })
        .collect();
    json!({"number": seen.number(), "heldBy": holder, "hosts": hosts}).to_string()
}
