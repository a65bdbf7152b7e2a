//! `add-node`: adds hosts to a running cluster.

use std::path::Path;

use clap::{Args, ValueEnum};
use text::count;

use super::Global;
use super::apply::conclude;
use super::load::load_inventory;
use super::open_run::{AccessMode, OpenRun, PartArgs};
use super::prompt::confirm;
use super::select::{name_hosts, no_host};
use crate::apply::certs::make_certificates;
use crate::apply::references::update_references;
use crate::inventory::edit::{EditError, HostEntry};
use crate::inventory::{Host, Role, edit};
use crate::plan::draft::Draft;
use crate::run::error::{Error, ExitStatus};
use crate::run::phase::Phase;

/// Add hosts to the cluster; leave all others untouched
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  clusterctl-rs add-node worker4     (already in the inventory)
  clusterctl-rs add-node worker4 --address 192.0.2.24
  clusterctl-rs add-node cp3 --address 192.0.2.13 --role control-plane

With --address, the host is first added to the inventory, keeping its comments and layout. To
add back a host that `remove-node` removed, its name is enough.

Does the same as `apply --hosts NAME`, but needs a running cluster. To resume an interrupted
run, run the same command again.")]
pub(super) struct AddNodeArgs {
    /// Hosts: names, ranges (`w[1:9]`) or groups
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// IP address or DNS name for SSH; adds the host to the inventory
    #[arg(long)]
    address: Option<String>,
    /// Role of the host
    #[arg(long, value_enum, default_value_t, requires = "address")]
    role: RoleName,
    /// SSH user, if not the one in the inventory
    #[arg(long, requires = "address")]
    user: Option<String>,
    /// SSH port, if not the one in the inventory
    #[arg(long, requires = "address")]
    port: Option<u16>,
    /// Don't ask for confirmation
    #[arg(short, long)]
    yes: bool,
}

/// Roles, named as in the inventory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum RoleName {
    #[default]
    Worker,
    ControlPlane,
}

impl AddNodeArgs {
    pub(super) async fn run(mut self, global: &Global) -> Result<ExitStatus, Error> {
        let path = global.inventory(None);
        if self.address.is_none() {
            let cluster = load_inventory(&path, global.printer())?;
            self.names = name_hosts(&self.names, &cluster).map_err(or_new)?;
        }
        let edit = self.plan_edit(&path, global)?;
        let cluster = edit::preview_edit(&path, |text| edit.apply_to(text))?;
        // The admin kubeconfig holds the first control plane's certificate and does not
        // name the new hosts, so any control plane may be used here.
        let part = PartArgs::hosts(self.names.clone()).without(Phase::Kubeconfig);
        let mut opened =
            OpenRun::with(global, "add-node", &path, cluster, &part, AccessMode::Write)?;
        // Existing hosts need not be connected to.
        opened.run.options.one_control_plane = true;
        opened.run.options.prunes = false;
        tokio::select! {
            result = self.add_hosts(global, &opened, &path, &edit) => return result,
            () = crate::run::interrupt::interrupted() => {}
        }
        crate::apply::release_lock(&opened.run).await;
        Err(Error::Interrupted)
    }

    // Long: the order of the steps is what matters here.
    async fn add_hosts(
        &self,
        global: &Global,
        opened: &OpenRun,
        path: &Path,
        edit: &Edit,
    ) -> Result<ExitStatus, Error> {
        let run = &opened.run;
        let printer = global.printer();
        let mut draft = Draft::new(run).await?;
        if !draft.has_api() {
            return Err(Error::Refused {
                message: format!(
                    "there is no cluster to add to: the API server of {} is not responding",
                    run.cluster.name
                ),
                hint: "run `clusterctl-rs apply` to set up all hosts in the inventory".into(),
            });
        }
        self.refuse_ready(run, &draft)?;
        let mut aside = std::mem::take(&mut draft.aside);
        if self
            .names
            .iter()
            .all(|name| aside.iter().any(|one| one.host == *name))
        {
            // No host is left to add: nothing has been changed, not even the inventory.
            let Some(first) = aside.pop() else {
                return Ok(ExitStatus::Done);
            };
            for one in &aside {
                printer.err(&format!("{}: {}", one.host, one.error));
            }
            return Err(first.error.on(&first.host));
        }
        let mut plan = draft.plan(run).await?;
        plan.refuse_held()?;
        if !self.yes {
            let document = draft.document(run).await?;
            printer.err_coloured(&document.render(printer.color_err));
            let question = match edit.is_none() {
                true => format!("Make {}?", count(plan.count(), "change")),
                false => format!(
                    "Make {} and edit {}?",
                    count(plan.count(), "change"),
                    path.display()
                ),
            };
            confirm(&question)?;
        }
        // Before the first change: if the run is interrupted from here on, the same command
        // finds the host in the inventory and continues.
        if edit::edit_file(path, |text| edit.apply_to(text))?.changed() {
            run.events().note(edit.describe(path, &self.names));
        }
        if plan.changes_certs() {
            make_certificates(run, &mut draft)?;
            plan = draft.plan(run).await?;
        }
        aside.extend(crate::apply::apply(run, &plan).await?);
        let mut control_planes = run.cluster.control_planes();
        let references_updated = match control_planes.any(|host| self.names.contains(&host.name)) {
            true => update_references(run, run.cluster.hosts.clone()).await?,
            false => true,
        };
        printer.out(&opened.summary.render());
        Ok(
            match (
                conclude(printer, &opened.summary, &aside),
                references_updated,
            ) {
                (ExitStatus::Done, false) => ExitStatus::SetAside,
                (status, _) => status,
            },
        )
    }

    /// Which edit the inventory needs first.
    fn plan_edit(&self, path: &Path, global: &Global) -> Result<Edit, Error> {
        let cluster = load_inventory(path, global.printer())?;
        let marked: Vec<&String> = cluster
            .removed_hosts
            .iter()
            .filter(|name| self.names.contains(name))
            .collect();
        let left = cluster.removed_hosts.iter();
        let marks: Vec<String> = left
            .filter(|name| !marked.contains(name))
            .cloned()
            .collect();
        let all = edit::preview_edit(path, |text| edit::set_removed_hosts(text, &marks))?;
        let edit = Edit {
            marks: (!marked.is_empty()).then_some(marks),
            host: None,
        };
        let Some(address) = &self.address else {
            let known = |name: &&String| all.hosts.iter().any(|host| host.name == **name);
            return match self.names.iter().find(|name| !known(name)) {
                None => Ok(edit),
                Some(name) => Err(or_new(no_host(name, &all))),
            };
        };
        let [name] = self.names.as_slice() else {
            return Err(Error::Usage {
                message: "`--address` takes one host, but several are named".into(),
                hint: Some("add them one at a time, or write them into the inventory".into()),
            });
        };
        if name.contains(['[', ']']) {
            return Err(Error::Usage {
                message: format!("`--address` takes one host, but `{name}` is a range"),
                hint: Some("write the range into the inventory".into()),
            });
        }
        let host = HostEntry {
            name: name.clone(),
            address: address.clone(),
            roles: vec![self.role()],
            user: self.user.clone(),
            port: self.port,
        };
        match all.hosts.iter().find(|known| known.name == *name) {
            Some(known) => check_same(known, &host, path).map(|()| edit),
            None => Ok(Edit {
                host: Some(host),
                ..edit
            }),
        }
    }

    fn role(&self) -> Role {
        match self.role {
            RoleName::Worker => Role::Worker,
            RoleName::ControlPlane => Role::ControlPlane,
        }
    }

    /// Rejects hosts whose Node is already Ready: that is a job for `apply`.
    fn refuse_ready(&self, run: &crate::run::Run, draft: &Draft) -> Result<(), Error> {
        let hosts = run.cluster.hosts.iter();
        for host in hosts.filter(|host| run.takes_part(host)) {
            if draft.is_ready(&host.node_name) {
                let name = &host.name;
                return Err(Error::Usage {
                    message: format!(
                        "node {} is already in the cluster and Ready",
                        host.node_name
                    ),
                    hint: Some(format!(
                        "to bring it in line with the inventory, run `clusterctl-rs apply --hosts \
                         {name}`; to replace it, run `clusterctl-rs remove-node {name}` first"
                    )),
                });
            }
        }
        Ok(())
    }
}

/// An edit of the inventory.
struct Edit {
    /// The new list of removed hosts, if it changes.
    marks: Option<Vec<String>>,
    /// A host to add.
    host: Option<HostEntry>,
}

impl Edit {
    fn is_none(&self) -> bool {
        self.marks.is_none() && self.host.is_none()
    }

    fn apply_to(&self, text: &str) -> Result<String, EditError> {
        let mut text = text.to_owned();
        if let Some(marks) = &self.marks {
            text = edit::set_removed_hosts(&text, marks)?;
        }
        match &self.host {
            Some(host) => edit::add_host(&text, host),
            None => Ok(text),
        }
    }

    fn describe(&self, path: &Path, names: &[String]) -> String {
        let path = path.display();
        match &self.host {
            Some(host) => format!("added {} to `hosts` in {path}", host.name),
            None => format!(
                "removed from `removedHosts` in {path}: {}",
                names.join(", ")
            ),
        }
    }
}

/// Checks that a host which is already in the inventory has the settings that the flags
/// give.
fn check_same(known: &Host, flags: &HostEntry, path: &Path) -> Result<(), Error> {
    let user = flags.user.is_none() || known.ssh.user == flags.user;
    let port = flags.port.is_none() || known.ssh.port == flags.port;
    let roles = flags.roles.iter().all(|role| known.roles.contains(role));
    if known.address == flags.address && roles && user && port {
        return Ok(());
    }
    Err(Error::Usage {
        message: format!(
            "{} is already in {}, with different settings (address {})",
            known.name,
            path.display(),
            known.address
        ),
        hint: Some("edit it there, then run `clusterctl-rs add-node` with its name only".into()),
    })
}

/// Adds to an error of an unknown host what to do if it is new.
fn or_new(error: Error) -> Error {
    match error {
        Error::Usage { message, hint } => Error::Usage {
            message,
            hint: Some(format!(
                "{}; to add a new host, pass its `--address`",
                hint.unwrap_or_default()
            )),
        },
        other => other,
    }
}
