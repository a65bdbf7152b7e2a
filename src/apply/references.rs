//! After control planes have come or gone: what names them elsewhere.

use std::sync::Arc;

use crate::inventory::{Cluster, Host};
use crate::plan::draft::Draft;
use crate::run::error::Error;
use crate::run::phase::Phase;
use crate::run::selection::Selection;
use crate::run::tracker::Tracker;
use crate::run::{Options, Run};

/// Puts in step with `hosts`, which are those of the cluster now, whatever names its
/// control planes: the load balancers on workers, objects of the API, the admin
/// kubeconfig on this machine. Nothing else on any host is looked at.
///
/// Says whether all of it is; workers that aren't are warned of.
///
/// # Errors
/// As those of `apply`.
pub async fn in_step(run: &Run, hosts: Vec<Host>) -> Result<bool, Error> {
    let mut phases = vec![
        Phase::UploadConfig,
        Phase::BootstrapToken,
        Phase::Addons,
        Phase::Kubeconfig,
    ];
    // Only their own balancers make workers know control planes one by one.
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
        kept: run.kept.clone(),
    };
    let mut draft = Draft::new(&run).await?;
    let mut aside = std::mem::take(&mut draft.aside);
    let plan = draft.plan(&run).await?;
    if !plan.is_empty() {
        aside.extend(super::apply(&run, &plan).await?);
    }
    for one in &aside {
        // The whole of it was told when it happened.
        let why = one.error.to_string();
        run.events().warn(format!(
            "{} still has the old list of control planes ({}): run `clusterctl-rs apply` once it is fixed",
            one.host,
            why.lines().next().unwrap_or_default()
        ));
    }
    Ok(aside.is_empty())
}
