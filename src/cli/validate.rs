//! `validate`: checks the inventory without touching a host.

use std::path::PathBuf;

use clap::Args;
use text::count;

use super::Global;
use super::load::load_inventory;
use super::next::is_new;
use crate::desired;
use crate::run::error::{Error, ExitStatus};
use crate::run::state::State;

/// Check the inventory, reporting all errors at once; connect to no host
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  clusterctl-rs validate prod.yaml")]
pub(super) struct ValidateArgs {
    /// The inventory
    file: Option<PathBuf>,
}

impl ValidateArgs {
    pub(super) fn run(&self, global: &Global) -> Result<ExitStatus, Error> {
        let path = global.inventory(self.file.as_ref());
        let cluster = load_inventory(&path, global.printer())?;
        desired::artifacts::check_sources(&cluster)?;
        let control_planes = cluster.control_planes().count();
        global.printer().out(&format!(
            "{} is valid: cluster {}, Kubernetes {}, {}, {}",
            path.display(),
            cluster.name,
            cluster.version,
            count(control_planes, "control plane"),
            count(cluster.hosts.len() - control_planes, "worker"),
        ));
        let state = State::peek(cluster.state_dir())?;
        if is_new(&state) {
            let knows_hosts = state.known_hosts().exists()
                || cluster
                    .hosts
                    .iter()
                    .all(|host| !host.ssh.known_hosts.is_empty());
            let verb = if knows_hosts {
                "preflight"
            } else {
                "hosts trust"
            };
            global.say_next(&format!("run {}", global.command(verb, self.file.as_ref())));
        }
        Ok(ExitStatus::Done)
    }
}
