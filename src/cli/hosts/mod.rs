//! `hosts`: verbs about the hosts themselves, one file each.

pub(in crate::cli) mod trust;

use clap::{Args, Subcommand};

use super::Global;
use crate::run::error::{Error, ExitStatus};

/// Check and trust the SSH keys of hosts
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  clusterctl-rs hosts trust")]
pub(super) struct HostsArgs {
    #[command(subcommand)]
    verb: HostsVerb,
}

#[derive(Debug, Subcommand)]
enum HostsVerb {
    Trust(trust::TrustArgs),
}

impl HostsArgs {
    pub(super) async fn run(self, global: &Global) -> Result<ExitStatus, Error> {
        match self.verb {
            HostsVerb::Trust(verb) => verb.run(global).await,
        }
    }
}
