//! Finds the API server to plan with.

use std::time::Duration;

use tokio::time::Instant;

use super::model::Live;
use crate::cluster::answer::{Silent, answer_within, ask_first};
use crate::cluster::api::ClusterApi;
use crate::cluster::survey::Surveyed;
use crate::desired::context::Context;
use crate::kubernetes::api::{AppliedSet, ClusterLock, Health};
use crate::layout::components::API_SERVER as API_SERVER_POD;
use crate::layout::health::API_SERVER;
use crate::layout::paths;
use crate::run::Run;
use crate::run::error::Error;

/// Time limit for one answer. A busy API server may need a while, and one that is not waited
/// for is taken for one that is down.
const ANSWER: Duration = Duration::from_secs(20);

/// Asks the API for its Nodes, through the first control plane that responds; `None` if
/// none does. Where there is a cluster, it is waited for: it may just be starting.
///
/// # Errors
/// An API server that responds with an error.
pub(crate) async fn find_live_api(
    run: &Run,
    context: &Context,
    control_planes: &[&Surveyed],
) -> Result<Option<Live>, Error> {
    let deadline = Instant::now() + run.cluster.timeouts.kubernetes_api_call;
    let may_come_up = control_planes.iter().any(|one| may_come_up(one));
    let mut told = false;
    loop {
        let silent = match ask_for_nodes(run, context, control_planes).await {
            Ok(live) => return live.map(Some),
            Err(silent) => silent,
        };
        // What serves with another CA's certificate does so however long it is waited for.
        let only_strangers = silent.all(|error| matches!(error, Error::Stranger { .. }));
        let waits = context.exists && may_come_up && !only_strangers && Instant::now() < deadline;
        let silent = silent.last_or("no control plane has joined");
        if context.exists && (!told || !waits) {
            let what = match waits {
                true => "waiting for an API server to respond",
                false => "no API server responds, so nothing is known about nodes and objects",
            };
            run.events().note(format!("{what} ({silent})"));
            told = true;
        }
        if !waits {
            return Ok(None);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Whether an API server may start without our help: its manifest is there, and the kubelet
/// runs.
fn may_come_up(one: &Surveyed) -> bool {
    let gathered = &one.gathered;
    let kubelet = gathered.units.get("kubelet.service");
    gathered.present.contains(&paths::manifest(API_SERVER_POD))
        && kubelet.is_some_and(|unit| unit.active == "active")
}

/// The first API server that responds, and its Nodes; otherwise why none does.
async fn ask_for_nodes<'a>(
    run: &Run,
    context: &Context,
    control_planes: &[&'a Surveyed],
) -> Result<Result<Live, Error>, Silent<'a>> {
    // One whose etcd has lost its data serves an empty cluster.
    let owned = control_planes
        .iter()
        .filter(|one| context.owns(one) && !context.etcd.has_lost_data(&one.host));
    let asked = ask_first(owned.map(|one| (&one.host, one)), async |_, one| {
        // What is wrong on this machine is no reason to ask the next.
        let api = match ClusterApi::new(run, &context.pki, one) {
            Ok(api) => api,
            Err(error) => return Ok(Err(error)),
        };
        match api.ask_health_within(API_SERVER, ANSWER).await {
            Health::Ok => {}
            Health::No(why) => return Err(Error::NotReady { why }),
            Health::Never(why) => return Err(Error::Stranger { why }),
        }
        // One whose etcd has just come back is healthy, and doesn't answer yet.
        match answer_within(ANSWER, list_nodes(run, one, api)).await {
            Err(Error::Api(error)) if !error.is_transient() => Ok(Err(error.into())),
            Err(error) => Err(error),
            Ok(live) => Ok(Ok(live)),
        }
    });
    asked.await.into_result()
}

async fn list_nodes(run: &Run, one: &Surveyed, mut api: ClusterApi) -> Result<Live, Error> {
    let nodes = match api.nodes().await {
        // The run that started it was interrupted before the admin had any rights.
        Err(error) if error.is_forbidden() => {
            api = api.elevated().ok_or(error)?;
            api.nodes().await?
        }
        nodes => nodes?,
    };
    let applied_set = match run.first_phase_through_api() {
        Some(_) => api.applier().read_set().await?,
        None => AppliedSet::default(),
    };
    // What a run that changes nothing doesn't depend on.
    let lock = ClusterLock::read(&api.admin).await.ok();
    Ok(Live {
        api,
        nodes,
        lock,
        applied_set,
        through: one.host.name.clone(),
    })
}
