//! `reset`: removes Kubernetes from hosts.

use clap::Args;
use serde_json::json;
use text::count;

use super::open_run::{AccessMode, OpenRun, PartArgs};
use super::prompt::confirm_by_name;
use super::{Global, OutputFormat};
use crate::inventory::Etcd;
use crate::remove::reset::{
    Inspection, Outcome, ResetHost, ResetOptions, inspect_hosts, reset_hosts,
};
use crate::report::{kept, table};
use crate::run::error::{Error, ExitStatus};

/// Remove Kubernetes from hosts and restore what was there before
#[derive(Debug, Args)]
#[command(
    override_usage = "clusterctl-rs reset [OPTIONS] <NAME>...\n       clusterctl-rs reset [OPTIONS] --all",
    after_help = "Examples:
  clusterctl-rs reset worker3
  clusterctl-rs reset --all --yes && clusterctl-rs apply --yes

Stops the kubelet and all pods, removes everything that `apply` and Kubernetes created on the
hosts, and restores files, units, sysctls and swap. Hosts that `apply` never touched are left
alone. Kept are installed packages, logs in /var/log/pods and /var/log/containers, images pulled
by pods, and anything clusterctl-rs did not create (it is listed).

Pods are killed, not drained: use `remove-node` to drain. If other control planes remain, the
hosts' etcd members and Nodes are removed from the cluster.

`reset --all` keeps the CA and its keys in .clusterctl/NAME/pki for the next `apply`; delete
that directory to get new ones."
)]
pub(super) struct ResetArgs {
    /// Hosts: names, patterns (`*`, `?`), ranges (`w[1:9]`) or groups
    #[arg(
        value_name = "NAME",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    names: Vec<String>,
    /// All hosts in the inventory
    #[arg(long)]
    all: bool,
    /// Don't ask for confirmation
    #[arg(short, long)]
    yes: bool,
    /// Keep images that `apply` imported, to speed up the next `apply`
    #[arg(long)]
    keep_images: bool,
    /// Reset control planes even if the remaining etcd members lose quorum
    #[arg(long)]
    force: bool,
}

impl ResetArgs {
    pub(super) async fn run(self, global: &Global) -> Result<ExitStatus, Error> {
        let part = PartArgs::hosts(self.names.clone());
        let opened = OpenRun::open(global, "reset", None, &part, AccessMode::Write)?;
        tokio::select! {
            result = self.reset_hosts(global, &opened) => return result,
            () = crate::run::interrupt::interrupted() => {}
        }
        crate::apply::release_lock(&opened.run).await;
        Err(Error::Interrupted)
    }

    async fn reset_hosts(&self, global: &Global, opened: &OpenRun) -> Result<ExitStatus, Error> {
        let run = &opened.run;
        let printer = global.printer();
        let options = ResetOptions {
            keep_images: self.keep_images,
            force: self.force,
        };
        let inspection = inspect_hosts(run).await;
        if !self.yes {
            confirm_reset(global, opened, &inspection)?;
        }
        let hosts = reset_hosts(run, options, inspection).await?;
        let failed = hosts.iter().filter(|host| host.outcome.is_err()).count();
        if failed == 0 && hosts.len() == run.cluster.hosts.len() {
            forget_cluster(run)?;
        }
        match global.output {
            OutputFormat::Json => printer.json(&render_json(&hosts)),
            OutputFormat::Text => printer.out(&render_text(&hosts)),
        }
        Ok(match failed {
            0 => ExitStatus::Done,
            n if n == hosts.len() => ExitStatus::Failed,
            _ => ExitStatus::SetAside,
        })
    }
}

/// Says what will be destroyed and asks for the cluster's name.
fn confirm_reset(
    global: &Global,
    opened: &OpenRun,
    inspection: &Inspection<'_>,
) -> Result<(), Error> {
    const SHOWN: usize = 20;
    let run = &opened.run;
    let cluster = &run.cluster;
    let wanted = inspection.describe();
    let whole = wanted.len() == cluster.hosts.len();
    let more = match wanted.len().saturating_sub(SHOWN) {
        0 => String::new(),
        n => format!("\n  and {n} more"),
    };
    let shown: String = wanted
        .iter()
        .take(SHOWN)
        .map(|(host, what)| format!("\n  {host}: {what}"))
        .collect();
    global.printer().err(&format!(
        "This removes Kubernetes from {} of cluster {}:{shown}{more}\n{}",
        count(wanted.len(), "host"),
        cluster.name,
        if whole && matches!(cluster.etcd, Etcd::External(_)) {
            "The cluster will be destroyed. Its data stays in the external etcd."
        } else if whole {
            "The cluster and all its data will be destroyed."
        } else {
            "Pods on these hosts will be killed."
        }
    ));
    confirm_by_name("Type the name of the cluster to continue", &cluster.name)
}

/// Removes the kubeconfig of a cluster that no longer exists. Its CA is kept for the next
/// one.
fn forget_cluster(run: &crate::run::Run) -> Result<(), Error> {
    if run.state.remove(&run.state.kubeconfig())? {
        run.events().note(format!(
            "removed the kubeconfig; kept the CA and its keys in {} for the next apply",
            run.state.dir().join("pki").display()
        ));
    }
    // The next cluster is another, though it has the same CA.
    run.state.forget_owner()?;
    if let Etcd::External(etcd) = &run.cluster.etcd {
        run.events().note(format!(
            "etcd at {} still holds the cluster's data, and the next apply will use it; to start \
             with an empty cluster, run `etcdctl del --prefix /registry/` against it first",
            etcd.endpoints.join(", ")
        ));
    }
    Ok(())
}

fn render_text(hosts: &[ResetHost]) -> String {
    let mut rows = Vec::new();
    let mut notes = String::new();
    for host in hosts {
        let result = match &host.outcome {
            Ok(Outcome::Clean { .. }) => "clean",
            Ok(Outcome::Untouched { .. }) => "untouched",
            Err(_) => "FAILED",
        };
        rows.push(vec![host.name.clone(), result.to_owned()]);
        for note in list_notes(host) {
            notes.push_str(&format!("\n{}: {note}", host.name));
        }
    }
    let table = table(&["HOST", "RESULT"], &rows);
    match notes.is_empty() {
        true => table,
        false => format!("{table}\n{notes}"),
    }
}

/// Remarks about one host.
fn list_notes(host: &ResetHost) -> Vec<String> {
    match &host.outcome {
        Ok(Outcome::Clean { left, .. }) => left.iter().map(|what| kept(what)).collect(),
        Ok(Outcome::Untouched { joined: true }) => {
            vec!["the kubelet has joined a cluster, but not through clusterctl-rs; use `kubeadm reset`".into()]
        }
        Ok(Outcome::Untouched { joined: false }) => Vec::new(),
        Err(error) => vec![error.to_string()],
    }
}

fn render_json(hosts: &[ResetHost]) -> String {
    let hosts: Vec<_> = hosts
        .iter()
        .map(|host| match &host.outcome {
            Ok(Outcome::Clean { left, .. }) => {
                json!({"name": host.name, "result": "clean", "left": left})
            }
            Ok(Outcome::Untouched { joined }) => {
                json!({"name": host.name, "result": "untouched", "joined": joined})
            }
            Err(error) => json!({
                "name": host.name, "result": "failed",
                "error": error.to_string(), "hint": error.hint(),
            }),
        })
        .collect();
    json!({ "hosts": hosts }).to_string()
}
