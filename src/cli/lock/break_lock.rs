//! `lock break`: takes the lock from a run that is dead.

use clap::Args;
use text::count;

use super::describe;
use crate::cli::Global;
use crate::cli::open_run::{AccessMode, OpenRun, PartArgs};
use crate::cli::prompt::confirm;
use crate::cluster::lock_survey::{break_lock, survey_lock};
use crate::run::error::{Error, ExitStatus};

/// Free the lock of a run that is dead, after showing whose it is
#[derive(Debug, Args)]
#[command(after_help = "Example:
  clusterctl-rs lock break

A run that is killed frees its lock by itself after two minutes, or at once for the next run of
the same machine. If the run is not dead after all, it changes nothing more: every host that is
reached refuses it from now on.")]
pub(super) struct BreakArgs {
    /// Don't ask for confirmation
    #[arg(short, long)]
    yes: bool,
}

impl BreakArgs {
    pub(super) async fn run(self, global: &Global) -> Result<ExitStatus, Error> {
        let part = PartArgs::default();
        // Without the lock of this machine: it may be that run's.
        let opened = OpenRun::open(global, "lock break", None, &part, AccessMode::Read)?;
        let run = &opened.run;
        let survey = survey_lock(run).await;
        let printer = global.printer();
        if survey.seen.holder().is_none() {
            printer.out(&describe(&survey));
            return Ok(ExitStatus::Done);
        }
        if !self.yes {
            printer.err(&describe(&survey));
            confirm("Break this lock?")?;
        }
        let broken = break_lock(run, &survey).await?;
        for (host, why) in &broken.missed {
            run.events().warn(format!(
                "{host} was not reached: a run that is not dead after all could still change it ({why})"
            ));
        }
        printer.out(&format!(
            "broke the lock; {} refuse the run that had it",
            count(broken.hosts, "host")
        ));
        Ok(match broken.missed.is_empty() {
            true => ExitStatus::Done,
            false => ExitStatus::SetAside,
        })
    }
}
