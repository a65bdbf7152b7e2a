//! Applies a plan: the phases of `apply`, one file each.
//!
//! | phase | file |
//! |---|---|
//! | preflight | `plan/preflight.rs`: a plan is made only of hosts that passed |
//! | certs | `certs.rs`, before the rest, for a plan is about their content |
//! | hosts | `hosts.rs`; for workers' load balancers (phase load-balancer) as well |
//! | control-plane | `control_plane.rs`, with `etcd.rs` and `virtual_address.rs` |
//! | kubeconfig | `kubeconfig.rs` |
//! | upload-config | `upload_config.rs` |
//! | upload-certs | `upload_certs.rs` |
//! | bootstrap-token | `bootstrap_token.rs` |
//! | addons | `addons.rs` |
//! | join | `join.rs` |
//! | network | `network.rs` |
//! | nodes | `nodes.rs` |
//! | what left the inventory | `applied_set.rs` |
//!
//! `carry_out` has the order in which they run.

mod addons;
mod applied_set;
mod bootstrap_token;
pub mod certs;
mod control_plane;
mod endpoint;
mod etcd;
mod execution;
mod hosts;
mod join;
mod kubeconfig;
mod network;
mod nodes;
mod objects;
mod open_changes;
mod put_back;
pub mod references;
mod rollout;
mod upload_certs;
mod upload_config;
mod virtual_address;
mod workers;

use tokio::sync::watch;

use self::applied_set::Announced;
use self::execution::Execution;
use self::objects::Changes;
use crate::cluster::lock;
use crate::cluster::survey::Aside;
use crate::plan::model::Plan;
use crate::run::Run;
use crate::run::error::Error;

/// Applies `plan`. Returns the workers that failed and were set aside.
///
/// # Errors
/// The first failing control plane, or the first error of the API: the run cannot continue
/// then.
pub async fn apply(run: &Run, plan: &Plan) -> Result<Vec<Aside>, Error> {
    let execution = Execution::new(run, plan)?;
    let clients = match plan.responds {
        true => execution.clients()?,
        false => Vec::new(),
    };
    // On the heap, all of these: the future of a whole run is large.
    let taken = Box::pin(lock::acquire(run, clients, &plan.lock)).await?;
    let result = Box::pin(change(&execution)).await;
    // A verb that does more than this keeps it.
    if taken {
        Box::pin(lock::release(run)).await;
    }
    result
}

/// A run that began without an API puts its turn into the one that it has started.
async fn adopt_lock(execution: &Execution<'_>) -> Result<(), Error> {
    if execution.plan.responds || !execution.needs_api() {
        return Ok(());
    }
    let offset = execution.plan.lock.clock_offset;
    lock::adopt(execution.run, execution.clients()?, offset).await
}

async fn change(execution: &Execution<'_>) -> Result<Vec<Aside>, Error> {
    let (run, owner) = (execution.run, &execution.plan.context.owner);
    // Before the first host is changed: its receipt names this cluster.
    if run.state.owner()?.as_ref() != Some(owner) {
        run.state.remember_owner(owner)?;
    }
    Box::pin(carry_out(execution)).await
}

/// Ends the turn of a run that was interrupted, so that the next one need not wait.
pub async fn release_lock(run: &Run) {
    lock::release(run).await;
}

/// Hosts proceed in parallel and wait for others only where the cluster requires it:
/// workers are prepared while the control planes start, and join once the API server is up.
async fn carry_out(execution: &Execution<'_>) -> Result<Vec<Aside>, Error> {
    execution.announce_parts();
    let (api_is_ready, wait_for_api) = watch::channel(false);
    let cluster = async {
        control_plane::bring_up(execution).await?;
        Box::pin(adopt_lock(execution)).await?;
        kubeconfig::write(execution)?;
        if execution.needs_api() {
            let changes = Changes::determine(execution).await?;
            let applied_set = Announced::begin(execution).await?;
            upload_config::apply(execution, &changes).await?;
            upload_certs::apply(execution, &changes).await?;
            bootstrap_token::apply(execution, &changes).await?;
            addons::apply(execution, &changes).await?;
            network::apply_manifest(execution, &changes).await?;
            applied_set.prune(execution).await?;
            endpoint::check_endpoint(execution).await?;
        }
        let token = bootstrap_token::create_for_run(execution).await?;
        // An error means that there is no receiver: a cluster may have no workers.
        let _ = api_is_ready.send(true);
        Ok::<_, Error>(token)
    };
    let workers = workers::bring_up(execution, wait_for_api);
    tokio::pin!(cluster);
    tokio::pin!(workers);
    // A failing control plane ends the run at once: workers would wait for the API in vain.
    let (token, finished) = tokio::select! {
        token = &mut cluster => (token, None),
        finished = &mut workers => (cluster.await, Some(finished)),
    };
    let token = match token {
        Ok(token) => token,
        Err(error) => {
            if finished.is_none() {
                execution.rollout.stop(&error);
                tokio::select! {
                    _ = &mut workers => {}
                    () = execution.open_changes.none_left() => {}
                }
            }
            return Err(error);
        }
    };
    let rest = async {
        match finished {
            Some(aside) => (aside, control_plane::finish_nodes(execution).await),
            None => futures::join!(workers, control_plane::finish_nodes(execution)),
        }
    };
    // A slow host may take longer than the token is valid.
    let (aside, control_planes) = tokio::select! {
        done = rest => done,
        never = token.keep_alive(execution) => match never {},
    };
    control_planes?;
    Ok(aside)
}
