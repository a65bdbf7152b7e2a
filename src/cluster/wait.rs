//! Waits until the components of a control plane, or a kubelet, are healthy.

use std::time::Duration;

use super::api::ClusterApi;
use super::diagnose;
use super::health::{ask_component, ask_kubelet_unit};
use super::survey::Surveyed;
use crate::kubernetes::Component;
use crate::kubernetes::api::{ApiError, wait_healthy};
use crate::kubernetes::health::{component_endpoint, kubelet_endpoint};
use crate::layout::health;
use crate::run::Run;
use crate::run::error::Error;
use crate::run::tracker::Part;

/// Waits for the API server: its `/livez` includes etcd.
pub(crate) async fn wait_for_api(
    run: &Run,
    one: &Surveyed,
    api: &ClusterApi,
    part: &Part,
) -> Result<(), Error> {
    let timeout = run.cluster.timeouts.control_plane_component_health_check;
    part.doing(&one.host.name, "waiting for etcd and the API server");
    let look = || api.ask_health(health::API_SERVER);
    let what = "kube-apiserver /livez";
    unless_crash_looping(one, what, wait_healthy(what, timeout, look)).await
}

/// Waits, but gives up early if success has become impossible.
async fn unless_crash_looping(
    one: &Surveyed,
    what: &str,
    wait: impl Future<Output = Result<(), ApiError>>,
) -> Result<(), Error> {
    let error = tokio::select! {
        result = wait => match result {
            Ok(()) => return Ok(()),
            Err(error) => error,
        },
        (after, last) = find_crash_loop(one) => ApiError::Timeout {
            what: what.to_owned(),
            after,
            last,
        },
    };
    Err(diagnose::explain_unhealthy(&one.session, error).await)
}

/// Ends when a component is found to be crash-looping, with the elapsed time and the
/// reason. Checks only every 20 s, so that a healthy control plane costs no extra command.
async fn find_crash_loop(one: &Surveyed) -> (Duration, String) {
    const EVERY: Duration = Duration::from_secs(20);
    let began = tokio::time::Instant::now();
    loop {
        tokio::time::sleep(EVERY).await;
        if let Ok(Some(why)) = one.session.find_crash_loop().await {
            return (began.elapsed(), why);
        }
    }
}

/// Waits for the kubelet, the controller manager and the scheduler.
pub(crate) async fn wait_for_the_rest(run: &Run, one: &Surveyed, part: &Part) -> Result<(), Error> {
    part.doing(
        &one.host.name,
        "waiting for the controller manager and the scheduler",
    );
    let waits = futures::future::try_join3(
        kubelet_healthy(run, one),
        component_healthy(run, one, Component::ControllerManager),
        component_healthy(run, one, Component::Scheduler),
    );
    let all = async { waits.await.map(|_| ()) };
    unless_crash_looping(one, "the control plane to become healthy", all).await
}

/// Waits for the kubelet alone.
pub(crate) async fn wait_for_kubelet(run: &Run, one: &Surveyed) -> Result<(), Error> {
    unless_crash_looping(one, "the kubelet", kubelet_healthy(run, one)).await
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
