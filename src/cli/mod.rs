//! The command line: one file per verb, its arguments and a call into the
//! library.

mod add_node;
mod apply;
mod completions;
mod hosts;
mod init;
mod kubeconfig;
mod load;
mod phases;
mod plan;
mod preflight;
mod prompt;
mod remove_node;
mod render;
mod reset;
mod schema;
mod session;
mod status;
mod validate;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::report::EventFormat;
use crate::report::Printer;
use crate::run::error::Error;
use crate::run::error::ExitStatus;

/// Turns machines that you reach over SSH into a Kubernetes cluster.
#[derive(Debug, Parser)]
#[command(name = "clusterctl-rs", version, max_term_width = 100, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

const AFTER_HELP: &str = "\
Example, a first cluster:
  clusterctl-rs init                 write a commented inventory.yaml, then edit it
  clusterctl-rs hosts trust          look at the hosts' keys and trust them
  clusterctl-rs preflight            see what the hosts lack
  clusterctl-rs apply                bring the cluster up
  clusterctl-rs kubeconfig --merge   let kubectl find it

Exit codes:
  0  done
  1  failed
  2  inventory or command line wrong
  3  `plan --exit-code` found changes, or `status --exit-code` something that isn't well
  4  done, but some hosts were set aside
  5  preflight refused
  6  another run holds the lock";

/// Apart from a verb's own options, so that those are read first.
const EVERY_VERB: &str = "Options of every verb";

/// Options of every verb.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// The inventory [default: inventory.yaml]
    #[arg(
        short,
        long,
        global = true,
        help_heading = EVERY_VERB,
        env = "CLUSTERCTL_INVENTORY",
        hide_env_values = true,
        value_name = "FILE"
    )]
    inventory: Option<PathBuf>,
    /// Show every command with its host, exit status and time (twice: SSH's own log)
    #[arg(short, long, global = true, help_heading = EVERY_VERB, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Form of the result on stdout
    #[arg(long, global = true, help_heading = EVERY_VERB, value_enum, default_value_t, value_name = "FORM")]
    output: OutputFormat,
    /// Form of the events on stderr
    #[arg(long, global = true, help_heading = EVERY_VERB, value_enum, default_value_t, value_name = "FORM")]
    events: EventFormat,
}

/// Form of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum OutputFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Init(init::Init),
    Validate(validate::Validate),
    Schema(schema::Schema),
    Hosts(hosts::Hosts),
    Preflight(preflight::Preflight),
    Render(render::Render),
    Plan(plan::Plan),
    Apply(apply::Apply),
    AddNode(add_node::AddNode),
    RemoveNode(remove_node::RemoveNode),
    Reset(reset::Reset),
    Status(status::Status),
    Phases(phases::Phases),
    Kubeconfig(kubeconfig::Kubeconfig),
    Completions(completions::Completions),
}

/// Runs the verb that the command line names.
///
/// # Errors
/// Whatever the verb says; `main` renders it.
pub async fn run(cli: Cli) -> Result<ExitStatus, Error> {
    let global = cli.global;
    match cli.verb {
        Verb::Init(verb) => verb.run(&global),
        Verb::Validate(verb) => verb.run(&global),
        Verb::Schema(verb) => verb.run(),
        Verb::Hosts(verb) => verb.run(&global).await,
        Verb::Preflight(verb) => verb.run(&global).await,
        Verb::Render(verb) => verb.run(&global).await,
        Verb::Plan(verb) => verb.run(&global).await,
        Verb::Apply(verb) => verb.run(&global).await,
        Verb::AddNode(verb) => verb.run(&global).await,
        Verb::RemoveNode(verb) => verb.run(&global).await,
        Verb::Reset(verb) => verb.run(&global).await,
        Verb::Status(verb) => verb.run(&global).await,
        Verb::Phases(verb) => verb.run(&global),
        Verb::Kubeconfig(verb) => verb.run(&global).await,
        Verb::Completions(verb) => verb.run(),
    }
}

impl Cli {
    /// How much the operator wants to hear: the level of the log on stderr.
    pub fn log_filter(&self) -> &'static str {
        match self.global.verbose {
            0 | 1 => "warn,russh=error",
            2 => "info,clusterctl=debug",
            _ => "debug",
        }
    }
}

impl Global {
    /// The inventory's path: the verb's own argument, `-i`, the environment,
    /// `inventory.yaml`.
    fn inventory(&self, argument: Option<&PathBuf>) -> PathBuf {
        argument
            .or(self.inventory.as_ref())
            .cloned()
            .unwrap_or_else(|| "inventory.yaml".into())
    }

    fn printer(&self) -> Printer {
        Printer::new()
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
