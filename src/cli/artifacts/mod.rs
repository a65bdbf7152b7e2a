//! `artifacts`: verbs about binaries and images on this machine, one file each.

mod fetch;

use clap::{Args, Subcommand};

use super::Global;
use crate::run::error::{Error, ExitStatus};

/// Download and verify Kubernetes' binaries; connect to no host
#[derive(Debug, Args)]
#[command(
    after_help = "Example: fill a directory for a site without internet\n  clusterctl-rs artifacts fetch --out artifacts"
)]
pub(super) struct ArtifactsArgs {
    #[command(subcommand)]
    verb: ArtifactsVerb,
}

#[derive(Debug, Subcommand)]
enum ArtifactsVerb {
    Fetch(fetch::FetchArgs),
}

impl ArtifactsArgs {
    pub(super) async fn run(self, global: &Global) -> Result<ExitStatus, Error> {
        match self.verb {
            ArtifactsVerb::Fetch(verb) => verb.run(global).await,
        }
    }
}
