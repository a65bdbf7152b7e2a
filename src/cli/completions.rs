//! `completions`: completion scripts for shells.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::run::error::{Error, ExitStatus};

/// Print a completion script for your shell
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  clusterctl-rs completions bash > /etc/bash_completion.d/clusterctl-rs"
)]
pub(super) struct CompletionsArgs {
    /// Shell to write completions for
    shell: Shell,
}

impl CompletionsArgs {
    pub(super) fn run(&self) -> Result<ExitStatus, Error> {
        let mut text = Vec::new();
        clap_complete::generate(
            self.shell,
            &mut super::Cli::command(),
            "clusterctl-rs",
            &mut text,
        );
        crate::report::Printer::new().out(String::from_utf8_lossy(&text).trim_end());
        Ok(ExitStatus::Done)
    }
}
