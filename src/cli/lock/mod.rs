//! `lock`: verbs about which run may change the cluster, one file each.

mod break_lock;
mod status;

use clap::{Args, Subcommand};

use super::Global;
use crate::cluster::lock_survey::LockSurvey;
use crate::run::error::{Error, ExitStatus};
use crate::run::lock::process_id;

/// Show or break the lock that keeps runs from changing the cluster at the same time
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  clusterctl-rs lock status")]
pub(super) struct LockArgs {
    #[command(subcommand)]
    verb: LockVerb,
}

#[derive(Debug, Subcommand)]
enum LockVerb {
    Status(status::StatusArgs),
    Break(break_lock::BreakArgs),
}

impl LockArgs {
    pub(super) async fn run(self, global: &Global) -> Result<ExitStatus, Error> {
        match self.verb {
            LockVerb::Status(verb) => verb.run(global).await,
            LockVerb::Break(verb) => verb.run(global).await,
        }
    }
}

/// One sentence: who has the lock, since when, doing what.
fn describe(survey: &LockSurvey) -> String {
    let seen = &survey.seen;
    let Some(holder) = seen.holder() else {
        return format!(
            "the lock is free; the last run had number {}",
            seen.number()
        );
    };
    let owner = holder.owner;
    let process = match process_id(owner) {
        "" => String::new(),
        id => format!(" (process {id})"),
    };
    let state = match holder.is_over {
        true => "; it is over, and the next run takes the lock",
        false => "",
    };
    format!(
        "held by {}{process} for `{}` since {}, last heard of {} s ago ({}), number {}{state}",
        owner.holder,
        owner.verb,
        owner.since,
        holder.age.as_secs(),
        holder.place,
        holder.number,
    )
}
