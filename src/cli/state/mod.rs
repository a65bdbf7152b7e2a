//! `state`: verbs about the state directory, one file each.

mod recover;

use clap::{Args, Subcommand};

use super::Global;
use crate::run::error::{Error, ExitStatus};

/// Recover the state directory: the cluster's keys on this machine
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  clusterctl-rs state recover")]
pub(super) struct StateArgs {
    #[command(subcommand)]
    verb: StateVerb,
}

#[derive(Debug, Subcommand)]
enum StateVerb {
    Recover(recover::RecoverArgs),
}

impl StateArgs {
    pub(super) async fn run(self, global: &Global) -> Result<ExitStatus, Error> {
        match self.verb {
            StateVerb::Recover(verb) => verb.run(global).await,
        }
    }
}
