//! After control planes have come or gone: what names them elsewhere.

use std::sync::Arc;

use super::{Draft, Options, Phase, Run, Selection};
use crate::Error;
use crate::engine::Tracker;
use crate::inventory::{Cluster, Host};

/// Puts in step with `hosts`, which are those of the cluster now, whatever names its
/// control planes: the load balancers on workers, objects of the API, the admin
/// kubeconfig on this machine. Nothing else on any host is looked at.
///
/// # Errors
/// As those of `apply`; workers that can't be reached are only warned of.
pub async fn in_step(run: &Run, hosts: Vec<Host>) -> Result<(), Error> {
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
        aside.extend(super::execute(&run, &plan).await?);
    }
    for one in aside {
        run.events().warn(format!(
            "{}: {}; `clusterctl-rs apply` puts it in step later",
            one.host, one.error
        ));
    }
    Ok(())
}
