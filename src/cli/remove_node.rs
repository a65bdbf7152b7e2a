//! `remove-node`: removes hosts from a cluster that keeps running.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use text::count;

use super::load::load_inventory;
use super::open_run::{AccessMode, OpenRun, PartArgs};
use super::prompt::confirm;
use super::select::name_hosts;
use super::{Global, OutputFormat};
use crate::inventory::edit;
use crate::remove::node::{Removal, RemoveOptions};
use crate::run::error::{Error, ExitStatus};

/// Remove hosts from the cluster: drain, leave etcd, delete the Node, clean the host
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  clusterctl-rs remove-node worker3
  clusterctl-rs remove-node worker3 --timeout 20m --yes
  clusterctl-rs remove-node cp1 --unreachable     (the host is gone for good)

Evicts pods as `kubectl drain` does, respecting disruption budgets. If draining times out, the
node is uncordoned and nothing else is changed. Any control plane can be removed, the first one
included, unless etcd would lose its quorum. Removed hosts are listed in the inventory
(spec.removedHosts); `add-node NAME` adds them back.

To resume an interrupted run, or to clean a host that was unreachable and is back, run the same
command again.")]
pub(super) struct RemoveNodeArgs {
    /// Hosts: names, ranges (`w[1:9]`) or groups
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// How long draining a node may take, such as 90s or 20m
    #[arg(long, default_value = "5m", value_parser = parse_duration, value_name = "TIME")]
    timeout: Duration,
    /// Delete pods without a controller, and data in emptyDir volumes
    #[arg(long)]
    force: bool,
    /// Don't connect to the hosts: they are gone for good; start their pods elsewhere
    #[arg(long)]
    unreachable: bool,
    /// Don't edit the inventory
    #[arg(long)]
    keep_inventory: bool,
    /// Don't ask for confirmation
    #[arg(short, long)]
    yes: bool,
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    crate::inventory::parse_duration(text).map_err(|wrong| format!("it {wrong}"))
}

impl RemoveNodeArgs {
    pub(super) async fn run(mut self, global: &Global) -> Result<ExitStatus, Error> {
        let path = global.inventory(None);
        let cluster = load_inventory(&path, global.printer())?;
        self.names = name_hosts(&self.names, &cluster)?;
        // Hosts that are already marked as removed are handled again: an earlier run may
        // have been interrupted, or a host may be back.
        let marks = drop_names(&cluster.removed_hosts, &self.names);
        let cluster = edit::preview_edit(&path, |text| edit::set_removed_hosts(text, &marks))?;
        let part = PartArgs::hosts(self.names.clone());
        let opened = OpenRun::with(
            global,
            "remove-node",
            &path,
            cluster,
            &part,
            AccessMode::Write,
        )?;
        if !self.yes {
            confirm(&format!(
                "Remove {} from cluster {}?",
                self.names.join(", "),
                opened.run.cluster.name
            ))?;
        }
        let options = RemoveOptions {
            timeout: self.timeout,
            force: self.force,
            unreachable: self.unreachable,
        };
        // The phases handle Ctrl-C themselves: a node must not stay cordoned.
        let removal = crate::remove::node::remove_nodes(&opened.run, options).await?;
        let edited = match self.keep_inventory || removal.removed.is_empty() {
            true => Ok(false),
            false => mark_removed(&path, &removal),
        };
        let printer = global.printer();
        let is_edited = matches!(edited, Ok(true));
        match global.output {
            OutputFormat::Json => printer.json(&self.render_json(&removal, is_edited)),
            OutputFormat::Text => printer.out(&self.render_text(&removal, is_edited)),
        }
        if let Some(error) = removal.failed {
            return Err(error);
        }
        edited?;
        Ok(match removal.references_updated {
            true => ExitStatus::Done,
            false => ExitStatus::SetAside,
        })
    }

    fn render_text(&self, removal: &Removal, edited: bool) -> String {
        let mut lines = Vec::new();
        for one in &removal.removed {
            lines.push(match (one.cleaned, self.unreachable) {
                (true, _) => format!("{}: removed and cleaned", one.name),
                (false, true) => format!("{}: removed, not cleaned (not connected)", one.name),
                (false, false) => format!("{}: removed, nothing to clean", one.name),
            });
            let left = one.left.iter();
            lines.extend(left.map(|what| format!("  {}", crate::report::kept(what))));
        }
        let gone = removal.removed.len();
        if edited {
            lines.push(format!(
                "marked {} as removed in the inventory; `add-node` adds {} back",
                count(gone, "host"),
                if gone == 1 { "it" } else { "them" }
            ));
        }
        lines.join("\n")
    }

    fn render_json(&self, removal: &Removal, edited: bool) -> String {
        let hosts: Vec<_> = removal
            .removed
            .iter()
            .map(|one| json!({"name": one.name, "cleaned": one.cleaned, "left": one.left}))
            .collect();
        let error = removal.failed.as_ref().map(ToString::to_string);
        json!({"removed": hosts, "inventoryEdited": edited, "error": error}).to_string()
    }
}

fn drop_names(list: &[String], names: &[String]) -> Vec<String> {
    let stays = |name: &&String| !names.contains(name);
    list.iter().filter(stays).cloned().collect()
}

/// Marks the hosts as removed in the inventory, in its current state. Returns whether that
/// changed it.
fn mark_removed(path: &std::path::Path, removal: &Removal) -> Result<bool, Error> {
    let gone: Vec<String> = removal.removed.iter().map(|one| one.name.clone()).collect();
    let now = crate::inventory::load(path)?.0;
    // If the host's entry has been deleted in the meantime, it needs no mark.
    let there = |name: &String| now.hosts.iter().any(|host| host.name == *name);
    let marks: Vec<String> = now
        .removed_hosts
        .iter()
        .cloned()
        .chain(gone.into_iter().filter(there))
        .collect();
    let edited = edit::edit_file(path, |text| edit::set_removed_hosts(text, &marks))?;
    Ok(edited.changed())
}
