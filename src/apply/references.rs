//! Updates references to control planes after some were added or removed.

use std::sync::Arc;

use crate::inventory::{Cluster, Host};
use crate::plan::draft::Draft;
use crate::run::error::Error;
use crate::run::phase::Phase;
use crate::run::selection::Selection;
use crate::run::tracker::Tracker;
use crate::run::{Options, Run};

/// Updates everything that refers to control planes to `hosts`, the cluster's current
/// hosts: load balancers on workers, API objects, the admin kubeconfig on this machine.
/// Nothing else on any host is observed.
///
/// Returns whether everything was updated; warns about workers that were not.
///
/// # Errors
/// Those of `apply`.
pub async fn update_references(run: &Run, hosts: Vec<Host>) -> Result<bool, Error> {
    let mut phases = vec![
        Phase::UploadConfig,
        Phase::BootstrapToken,
        Phase::Addons,
        Phase::Kubeconfig,
    ];
    // Workers refer to individual control planes only if they run load balancers.
    let balancers = run.cluster.load_balancer.is_local();
    phases.extend(balancers.then_some(Phase::LoadBalancer));
    let names: Vec<String> = phases.iter().map(|phase| phase.name().to_owned()).collect();
    let first = hosts.iter().find(|host| host.is_control_plane());
    let only = match balancers {
        true => Vec::new(),
        false => first.iter().map(|host| host.name.clone()).collect(),
    };
    let run = Run {
        options: Options {
            selection: Selection::new(&names, &[])?,
            hosts: only,
            one_control_plane: false,
            // What else left the inventory waits for an `apply` that shows it.
            prunes: false,
            ..run.options.clone()
        },
        cluster: Arc::new(Cluster {
            hosts,
            ..Cluster::clone(&run.cluster)
        }),
        state: run.state.clone(),
        connector: run.connector.clone(),
        tracker: Tracker::new(run.events().clone()),
        journal: run.journal.clone(),
        inventory: run.inventory.clone(),
        lock: run.lock.clone(),
        kept: run.kept.clone(),
    };
    let mut draft = Draft::new(&run).await?;
    let mut aside = std::mem::take(&mut draft.aside);
    let plan = draft.plan(&run).await?;
    if !plan.is_empty() {
        aside.extend(super::apply(&run, &plan).await?);
    }
    for one in &aside {
        // The full error was reported when it occurred.
        let why = one.error.to_string();
        run.events().warn(format!(
            "{} still has the old list of control planes ({}): run `clusterctl-rs apply` once it is fixed",
            one.host,
            why.lines().next().unwrap_or_default()
        ));
    }
    Ok(aside.is_empty())
}
