//! Waits until the components of a control plane, or a kubelet, are healthy.

use std::time::Duration;

use super::answer::health_within;
use super::api::ClusterApi;
use super::crash_loop::{Crash, CrashWatch, Stage};
use super::diagnose;
use super::etcd::member_client;
use super::health::{LOOK, ask_component, ask_kubelet_unit};
use super::survey::Surveyed;
use crate::inventory::Etcd;
use crate::kubernetes::Component;
use crate::kubernetes::api::{ApiError, Health, wait_healthy};
use crate::kubernetes::health::{component_endpoint, kubelet_endpoint};
use crate::layout::components::{API_SERVER, CONTROLLER_MANAGER, ETCD, KUBELET, SCHEDULER};
use crate::layout::health;
use crate::run::Run;
use crate::run::error::Error;
use crate::run::tracker::Part;

/// How long the kubelet of a node in use has to stay healthy after a change.
const STAYS: Duration = Duration::from_secs(2);

/// Waits for etcd, then for the API server. Its `/livez` includes etcd, but what it says of
/// that may be a second old: of the member that a change has just ended.
pub(crate) async fn wait_for_api(
    run: &Run,
    one: &Surveyed,
    api: &ClusterApi,
    watch: &mut CrashWatch,
    part: &Part,
) -> Result<(), Error> {
    let timeout = run.cluster.timeouts.control_plane_component_health_check;
    part.doing(&one.host.name, "waiting for etcd and the API server");
    let what = "kube-apiserver /livez";
    let wait = async {
        if matches!(run.cluster.etcd, Etcd::Local(_)) {
            wait_healthy("etcd", timeout, || ask_member(run, one)).await?;
        }
        wait_healthy(what, timeout, || api.ask_health(health::API_SERVER)).await
    };
    let crashes = watch.find(one, Stage::Api);
    let involved = &[ETCD, API_SERVER, KUBELET];
    unless_crash_looping(run, one, what, involved, wait, crashes).await
}

/// Whether the etcd member of a host works. Alarms count for nothing here: a change may be what
/// ends one.
async fn ask_member(run: &Run, one: &Surveyed) -> Health {
    let asked = async {
        let client = member_client(run, &one.session, &one.host)?;
        Ok::<_, Error>(client.status().await?)
    };
    health_within(LOOK, async {
        match asked.await {
            Ok(status) if status.has_leader() => Health::Ok,
            Ok(_) => Health::No("it has no leader".into()),
            Err(error) => Health::No(error.to_string()),
        }
    })
    .await
}

/// Waits, but gives up early if success has become impossible. `involved` are the
/// components whose logs may tell why a wait has timed out.
async fn unless_crash_looping(
    run: &Run,
    one: &Surveyed,
    what: &str,
    involved: &[&str],
    wait: impl Future<Output = Result<(), ApiError>>,
    crashes: impl Future<Output = Crash>,
) -> Result<(), Error> {
    let began = tokio::time::Instant::now();
    let crash = tokio::select! {
        result = wait => match result {
            Ok(()) => return Ok(()),
            Err(error) => {
                return Err(diagnose::explain_unhealthy(&one.session, involved, error).await);
            }
        },
        crash = crashes => crash,
    };
    Err(diagnose::explain_crash(run, one, what, began.elapsed(), crash).await)
}

/// Waits for the kubelet, the controller manager and the scheduler.
pub(crate) async fn wait_for_the_rest(
    run: &Run,
    one: &Surveyed,
    watch: &mut CrashWatch,
    part: &Part,
) -> Result<(), Error> {
    part.doing(
        &one.host.name,
        "waiting for the controller manager and the scheduler",
    );
    let waits = futures::future::try_join3(
        stays_healthy(run, one, watch.is_live()),
        component_healthy(run, one, Component::ControllerManager),
        component_healthy(run, one, Component::Scheduler),
    );
    let all = async { waits.await.map(|_| ()) };
    let what = "the control plane to become healthy";
    let involved = &[KUBELET, CONTROLLER_MANAGER, SCHEDULER];
    let crashes = watch.find(one, Stage::Rest);
    unless_crash_looping(run, one, what, involved, all, crashes).await
}

/// Waits for the kubelet alone. `live` says whether the node is in use.
pub(crate) async fn wait_for_kubelet(run: &Run, one: &Surveyed, live: bool) -> Result<(), Error> {
    let mut watch = CrashWatch::of_kubelet(live);
    let wait = stays_healthy(run, one, live);
    let crashes = watch.find(one, Stage::Kubelet);
    unless_crash_looping(run, one, "the kubelet", &[KUBELET], wait, crashes).await
}

/// A kubelet that fails may answer before it does.
async fn stays_healthy(run: &Run, one: &Surveyed, live: bool) -> Result<(), ApiError> {
    kubelet_healthy(run, one).await?;
    if live {
        tokio::time::sleep(STAYS).await;
        kubelet_healthy(run, one).await?;
    }
    Ok(())
}

/// Waits for the kubelet's health endpoint, or, where the operator has disabled
/// that, for its unit.
async fn kubelet_healthy(run: &Run, one: &Surveyed) -> Result<(), ApiError> {
    let timeout = run.cluster.timeouts.kubelet_health_check;
    match kubelet_endpoint(&one.host) {
        Some(at) => {
            let what = format!("kubelet {}", at.path);
            wait_healthy(&what, timeout, || ask_component(one, &at)).await
        }
        None => wait_healthy("kubelet.service", timeout, || ask_kubelet_unit(one)).await,
    }
}

/// Waits for a component that runs as a static pod. One whose health endpoint
/// the operator has disabled can't be asked, and isn't waited for.
async fn component_healthy(
    run: &Run,
    one: &Surveyed,
    component: Component,
) -> Result<(), ApiError> {
    let timeout = run.cluster.timeouts.control_plane_component_health_check;
    let facts = &one.gathered.facts;
    match component_endpoint(component, &run.cluster, &one.host, Some(facts)) {
        Some(at) => {
            let what = format!("{} {}", component.name(), at.path);
            wait_healthy(&what, timeout, || ask_component(one, &at)).await
        }
        None => Ok(()),
    }
}
