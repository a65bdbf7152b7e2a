//! The command line: one file per verb, its arguments and a call into the
//! library.

mod add_node;
mod apply;
mod artifacts;
mod completions;
mod hosts;
mod init;
mod kubeconfig;
mod load;
mod lock;
mod next;
mod open_run;
mod phases;
mod plan;
mod preflight;
mod prompt;
mod remove_node;
mod render;
mod reset;
mod schema;
mod select;
mod state;
mod status;
mod validate;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::report::EventFormat;
use crate::report::Printer;
use crate::run::error::Error;
use crate::run::error::ExitStatus;

/// Turn machines that you reach over SSH into a Kubernetes cluster
#[derive(Debug, Parser)]
#[command(name = "clusterctl-rs", version, max_term_width = 100, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

const AFTER_HELP: &str = "\
Example: a first cluster
  clusterctl-rs init                 write a commented inventory.yaml; add your hosts to it
  clusterctl-rs hosts trust          check the hosts' SSH keys and trust them
  clusterctl-rs preflight            check that the hosts are ready
  clusterctl-rs apply                create the cluster
  clusterctl-rs kubeconfig --merge   make it available to kubectl

Exit codes:
  0  done
  1  failed
  2  invalid inventory or command line
  3  `plan --exit-code` found changes, or `status --exit-code` found a problem
  4  done, but some hosts were set aside
  5  preflight checks failed
  6  another run holds the lock";

/// A separate heading, so that a verb's own options come first.
const EVERY_VERB: &str = "Global options";

/// Options of every verb, shown below its own.
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
    /// Show each command with its host, exit status and duration; `-vv` adds the SSH log
    #[arg(short, long, global = true, help_heading = EVERY_VERB, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Format of the result on stdout
    #[arg(long, global = true, help_heading = EVERY_VERB, value_enum, default_value_t, value_name = "FORMAT")]
    output: OutputFormat,
    /// Format of the events on stderr
    #[arg(long, global = true, help_heading = EVERY_VERB, value_enum, default_value_t, value_name = "FORMAT")]
    events: EventFormat,
}

/// Format of a result.
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
    Init(init::InitArgs),
    Validate(validate::ValidateArgs),
    Schema(schema::SchemaArgs),
    Hosts(hosts::HostsArgs),
    Preflight(preflight::PreflightArgs),
    Render(render::RenderArgs),
    Plan(plan::PlanArgs),
    Apply(apply::ApplyArgs),
    AddNode(add_node::AddNodeArgs),
    RemoveNode(remove_node::RemoveNodeArgs),
    Reset(reset::ResetArgs),
    Status(status::StatusArgs),
    Lock(lock::LockArgs),
    Artifacts(artifacts::ArtifactsArgs),
    State(state::StateArgs),
    Phases(phases::PhasesArgs),
    Kubeconfig(kubeconfig::KubeconfigArgs),
    Completions(completions::CompletionsArgs),
}

/// Runs the verb on the command line.
///
/// # Errors
/// Whatever the verb fails with; `main` renders it.
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
        Verb::Artifacts(verb) => verb.run(&global).await,
        Verb::Lock(verb) => verb.run(&global).await,
        Verb::State(verb) => verb.run(&global).await,
        Verb::Phases(verb) => verb.run(&global),
        Verb::Kubeconfig(verb) => verb.run(&global).await,
        Verb::Completions(verb) => verb.run(),
    }
}

impl Cli {
    /// The log level on stderr, from `-v`.
    pub fn log_filter(&self) -> &'static str {
        match self.global.verbose {
            0 | 1 => "warn,russh=error",
            2 => "info,clusterctl=debug",
            _ => "debug",
        }
    }
}

impl Global {
    /// The path of the inventory: the verb's own argument, else `-i`, else the environment,
    /// else `inventory.yaml`.
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
