//! `remove-node`: takes hosts out of a cluster that lives on.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use text::count;

use super::load::load;
use super::prompt::confirm;
use super::session::{Access, Part, Session};
use super::{Global, OutputFormat};
use crate::inventory::{Cluster, edit};
use crate::remove::node::{Removal, RemoveOptions};
use crate::run::error::{Error, ExitStatus};

/// Take hosts out of the cluster: drain, leave etcd, delete the Node, clean the host
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  clusterctl-rs remove-node worker3
  clusterctl-rs remove-node worker3 --timeout 20m --yes
  clusterctl-rs remove-node cp1 --unreachable     (it is gone for good)

Pods are evicted as `kubectl drain` does it, disruption budgets respected. If that doesn't work in
time, the node takes pods again and nothing else has happened. Control planes are no different: the
first one goes like any other, unless etcd would lose its quorum. The inventory then says that the
hosts are gone (spec.removedHosts); `add-node NAME` brings them back.

A run that was interrupted is taken up by the same command. A host that was gone and is back is
cleaned by it, too.")]
pub(super) struct RemoveNode {
    /// Hosts, by name
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// How long pods may take to leave a node, such as 90s or 20m
    #[arg(long, default_value = "5m", value_parser = duration, value_name = "TIME")]
    timeout: Duration,
    /// Lose pods that no controller makes anew, and data in emptyDir volumes
    #[arg(long)]
    force: bool,
    /// Don't connect to the hosts, which are gone for good, and start their pods elsewhere
    #[arg(long)]
    unreachable: bool,
    /// Leave the inventory as it is
    #[arg(long)]
    keep_inventory: bool,
    /// Don't ask before changing things
    #[arg(short, long)]
    yes: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    crate::inventory::parse_duration(text).map_err(|wrong| format!("it {wrong}"))
}

impl RemoveNode {
    pub(super) async fn run(self, global: &Global) -> Result<ExitStatus, Error> {
        let path = global.inventory(None);
        let cluster = load(&path, global.printer())?;
        check(&self.names, &cluster)?;
        // Those that are marked already are looked at once more: a run may have
        // been cut short, a host may have come back.
        let marks = without(&cluster.removed_hosts, &self.names);
        let cluster = edit::preview_edit(&path, |text| edit::set_removed_hosts(text, &marks))?;
        let part = Part::hosts(self.names.clone());
        let session = Session::with(global, "remove-node", &path, cluster, &part, Access::Write)?;
        if !self.yes {
            confirm(&format!(
                "Remove {} from cluster {}?",
                self.names.join(", "),
                session.run.cluster.name
            ))?;
        }
        let options = RemoveOptions {
            timeout: self.timeout,
            force: self.force,
            unreachable: self.unreachable,
        };
        // Ctrl-C is the phases' business: a node that was cordoned must not stay so.
        let removal = crate::remove::node::remove(&session.run, options).await?;
        let edited = match self.keep_inventory || removal.removed.is_empty() {
            true => Ok(false),
            false => mark(&path, &removal),
        };
        let printer = global.printer();
        printer.out(&match global.output {
            OutputFormat::Json => self.json(&removal, matches!(edited, Ok(true))),
            OutputFormat::Text => self.text(&removal, matches!(edited, Ok(true))),
        });
        if let Some(error) = removal.failed {
            return Err(error);
        }
        edited?;
        Ok(match removal.in_step {
            true => ExitStatus::Done,
            false => ExitStatus::SetAside,
        })
    }

    fn text(&self, removal: &Removal, edited: bool) -> String {
        let mut lines = Vec::new();
        for one in &removal.removed {
            lines.push(match (one.cleaned, self.unreachable) {
                (true, _) => format!("{}: removed, and clean", one.name),
                (false, true) => format!("{}: removed; nobody connected to it", one.name),
                (false, false) => format!("{}: removed; nothing of ours was on it", one.name),
            });
            let left = one.left.iter();
            lines.extend(left.map(|what| format!("  left, for it is not ours: {what}")));
        }
        let gone = removal.removed.len();
        if edited {
            lines.push(format!(
                "the inventory marks {} as removed; add-node brings {} back",
                count(gone, "host"),
                if gone == 1 { "it" } else { "them" }
            ));
        }
        lines.join("\n")
    }

    fn json(&self, removal: &Removal, edited: bool) -> String {
        let hosts: Vec<_> = removal
            .removed
            .iter()
            .map(|one| json!({"name": one.name, "cleaned": one.cleaned, "left": one.left}))
            .collect();
        let error = removal.failed.as_ref().map(ToString::to_string);
        json!({"removed": hosts, "inventoryEdited": edited, "error": error}).to_string()
    }
}

/// Every name has to be a host's, as it stands there: no patterns.
fn check(names: &[String], cluster: &Cluster) -> Result<(), Error> {
    for name in names {
        let known = cluster.hosts.iter().any(|host| host.name == *name);
        if !known && !cluster.removed_hosts.contains(name) {
            return Err(super::session::no_host(name, cluster));
        }
    }
    Ok(())
}

fn without(list: &[String], names: &[String]) -> Vec<String> {
    let stays = |name: &&String| !names.contains(name);
    list.iter().filter(stays).cloned().collect()
}

/// Marks the hosts in the inventory, as it stands by now. Says whether that
/// changed it.
fn mark(path: &std::path::Path, removal: &Removal) -> Result<bool, Error> {
    let gone: Vec<String> = removal.removed.iter().map(|one| one.name.clone()).collect();
    let now = crate::inventory::load(path)?.0;
    // Who has deleted a host's entry in the meantime needs no mark.
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
