//! `reset`: takes Kubernetes off hosts.

use clap::Args;
use serde_json::json;
use text::count;

use super::prompt::confirm_by_name;
use super::session::{Access, Part, Session};
use super::{Global, OutputFormat};
use crate::inventory::Etcd;
use crate::remove::reset::{Outcome, ResetHost, ResetOptions};
use crate::report::table;
use crate::run::error::{Error, ExitStatus};

/// Take Kubernetes off hosts, and put back what stood there before
#[derive(Debug, Args)]
#[command(
    override_usage = "clusterctl-rs reset [OPTIONS] <NAME>...\n       clusterctl-rs reset [OPTIONS] --all",
    after_help = "Examples:
  clusterctl-rs reset worker3
  clusterctl-rs reset --all --yes && clusterctl-rs apply --yes

Stops kubelet and pods, removes what apply put on the hosts and what Kubernetes made there,
and puts back files, units, sysctls and swap as they were. Hosts that apply never touched stay
untouched. What stays: installed packages, the logs below /var/log/pods and /var/log/containers,
images that pods pulled, and whatever else is not ours (it is listed).

Pods on the hosts die at once: nothing is drained. Where other control planes stay, etcd lets go
of the members that leave, and the API of their Nodes.

After `reset --all`, the CA and its keys stay in .clusterctl/NAME/pki, and the next apply uses
them again; remove that directory to get new ones."
)]
pub(super) struct Reset {
    /// Hosts, by name or pattern (`*` and `?`)
    #[arg(
        value_name = "NAME",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    names: Vec<String>,
    /// All hosts of the inventory
    #[arg(long)]
    all: bool,
    /// Don't ask for the cluster's name before destroying it
    #[arg(short, long)]
    yes: bool,
    /// Leave the images that apply brought, so that the next one is faster
    #[arg(long)]
    keep_images: bool,
    /// Reset control planes even if the etcd members that stay lose their quorum
    #[arg(long)]
    force: bool,
}

impl Reset {
    pub(super) async fn run(self, global: &Global) -> Result<ExitStatus, Error> {
        let part = Part::hosts(self.names.clone());
        let session = Session::open(global, "reset", None, &part, Access::Write)?;
        if !self.yes {
            ask(global, &session)?;
        }
        tokio::select! {
            result = self.go(global, &session) => result,
            () = crate::run::interrupt::interrupted() => Err(Error::Interrupted),
        }
    }

    async fn go(&self, global: &Global, session: &Session) -> Result<ExitStatus, Error> {
        let run = &session.run;
        let printer = global.printer();
        let options = ResetOptions {
            keep_images: self.keep_images,
            force: self.force,
        };
        let hosts = crate::remove::reset::reset(run, options).await?;
        let failed = hosts.iter().filter(|host| host.outcome.is_err()).count();
        if failed == 0 && hosts.len() == run.cluster.hosts.len() {
            forget_cluster(run)?;
        }
        printer.out(&match global.output {
            OutputFormat::Json => json(&hosts),
            OutputFormat::Text => text(&hosts),
        });
        Ok(match failed {
            0 => ExitStatus::Done,
            n if n == hosts.len() => ExitStatus::Failed,
            _ => ExitStatus::SetAside,
        })
    }
}

/// Asks for the cluster's name, having said what is at stake.
fn ask(global: &Global, session: &Session) -> Result<(), Error> {
    const SHOWN: usize = 20;
    let run = &session.run;
    let cluster = &run.cluster;
    let wanted: Vec<&str> = cluster
        .hosts
        .iter()
        .filter(|host| run.takes_part(host))
        .map(|host| host.name.as_str())
        .collect();
    let whole = wanted.len() == cluster.hosts.len();
    let more = match wanted.len().saturating_sub(SHOWN) {
        0 => String::new(),
        n => format!(", and {n} more"),
    };
    global.printer().err(&format!(
        "This takes Kubernetes off {} of cluster {}: {}{more}.\n{}",
        count(wanted.len(), "host"),
        cluster.name,
        wanted[..wanted.len().min(SHOWN)].join(", "),
        if whole && matches!(cluster.etcd, Etcd::External(_)) {
            "The cluster will be gone. What it stores stays in the external etcd."
        } else if whole {
            "The cluster and all that it stores will be gone."
        } else {
            "Pods that run there die."
        }
    ));
    confirm_by_name("Type the cluster's name to go on", &cluster.name)
}

/// The cluster is gone: its kubeconfig leads nowhere. Its CA may serve the next
/// one.
fn forget_cluster(run: &crate::run::Run) -> Result<(), Error> {
    if run.state.remove(&run.state.kubeconfig())? {
        run.events().note(format!(
            "the kubeconfig is removed; the CA and its keys stay in {} for the next apply",
            run.state.dir().join("pki").display()
        ));
    }
    if let Etcd::External(etcd) = &run.cluster.etcd {
        run.events().note(format!(
            "etcd at {} keeps all that the cluster stored, and the next apply finds it there; to \
             begin anew, first run `etcdctl del --prefix /registry/` against it",
            etcd.endpoints.join(", ")
        ));
    }
    Ok(())
}

fn text(hosts: &[ResetHost]) -> String {
    let mut rows = Vec::new();
    let mut notes = String::new();
    for host in hosts {
        let result = match &host.outcome {
            Ok(Outcome::Clean { .. }) => "clean",
            Ok(Outcome::Untouched { .. }) => "untouched",
            Err(_) => "FAILED",
        };
        rows.push(vec![host.name.clone(), result.to_owned()]);
        for note in self::notes(host) {
            notes.push_str(&format!("\n{}: {note}", host.name));
        }
    }
    let table = table(&["HOST", "RESULT"], &rows);
    match notes.is_empty() {
        true => table,
        false => format!("{table}\n{notes}"),
    }
}

/// What there is to say about a host.
fn notes(host: &ResetHost) -> Vec<String> {
    match &host.outcome {
        Ok(Outcome::Clean { left, .. }) => left
            .iter()
            .map(|what| format!("left, for it is not ours: {what}"))
            .collect(),
        Ok(Outcome::Untouched { joined: true }) => {
            vec!["a kubelet has joined a cluster there, but not by us: see `kubeadm reset`".into()]
        }
        Ok(Outcome::Untouched { joined: false }) => Vec::new(),
        Err(error) => vec![error.to_string()],
    }
}

fn json(hosts: &[ResetHost]) -> String {
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
