//! Waits until the components of a control plane, or a kubelet, are healthy.

use std::time::Duration;

use super::api::ClusterApi;
use super::diagnose;
use super::health::{CONTROLLER_MANAGER, KUBELET_HEALTHZ, SCHEDULER, look, within};
use super::survey::Surveyed;
use crate::kubernetes::api::{ApiError, wait_healthy};
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
    let look = || within(api.health("/livez"));
    let what = "kube-apiserver /livez";
    unless_hopeless(one, what, wait_healthy(what, timeout, look)).await
}

/// Waits, but gives up early if success has become impossible.
async fn unless_hopeless(
    one: &Surveyed,
    what: &str,
    wait: impl Future<Output = Result<(), ApiError>>,
) -> Result<(), Error> {
    let error = tokio::select! {
        result = wait => match result {
            Ok(()) => return Ok(()),
            Err(error) => error,
        },
        (after, last) = hopeless(one) => ApiError::Timeout {
            what: what.to_owned(),
            after,
            last,
        },
    };
    Err(diagnose::explain(&one.session, error).await)
}

/// Ends when a component is found to be crash-looping, with the elapsed time and the
/// reason. Checks only every 20 s, so that a healthy control plane costs no extra command.
async fn hopeless(one: &Surveyed) -> (Duration, String) {
    const EVERY: Duration = Duration::from_secs(20);
    let began = std::time::Instant::now();
    loop {
        tokio::time::sleep(EVERY).await;
        if let Some(why) = diagnose::hopeless(&one.session).await {
            return (began.elapsed(), why);
        }
    }
}

/// Waits for the kubelet, the controller manager and the scheduler.
pub(crate) async fn wait_for_the_rest(run: &Run, one: &Surveyed, part: &Part) -> Result<(), Error> {
    let timeouts = &run.cluster.timeouts;
    let components = timeouts.control_plane_component_health_check;
    part.doing(
        &one.host.name,
        "waiting for the controller manager and the scheduler",
    );
    let waits = futures::future::try_join3(
        wait_healthy("kubelet /healthz", timeouts.kubelet_health_check, || {
            look(one, KUBELET_HEALTHZ, "/healthz", false)
        }),
        wait_healthy("kube-controller-manager /healthz", components, || {
            look(one, CONTROLLER_MANAGER, "/healthz", true)
        }),
        wait_healthy("kube-scheduler /livez", components, || {
            look(one, SCHEDULER, "/livez", true)
        }),
    );
    let all = async { waits.await.map(|_| ()) };
    unless_hopeless(one, "the control plane to become healthy", all).await
}

/// Waits for the kubelet alone.
pub(crate) async fn wait_for_kubelet(run: &Run, one: &Surveyed) -> Result<(), Error> {
    let timeout = run.cluster.timeouts.kubelet_health_check;
    let look = || look(one, KUBELET_HEALTHZ, "/healthz", false);
    let what = "kubelet /healthz";
    unless_hopeless(one, what, wait_healthy(what, timeout, look)).await
}
