//! Waits until a control plane is healthy.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::Error;
use crate::engine::Part;
use crate::kubernetes::api::{ApiError, Dial, Health, probe_http, probe_https, wait_healthy};

use super::Run;
use super::cluster_api::{ClusterApi, Tunnel};
use super::evidence;
use super::survey::Surveyed;

/// The kubelet's `/healthz`, on loopback.
const KUBELET_HEALTHZ: u16 = 10248;
/// The controller manager's secure port, on loopback.
const CONTROLLER_MANAGER: u16 = 10257;
/// The scheduler's secure port, on loopback.
const SCHEDULER: u16 = 10259;

/// Time for one look. A component that starts accepts before it answers.
const LOOK: Duration = Duration::from_secs(5);

/// Waits for the API server: its `/livez` includes etcd.
pub(super) async fn wait_for_api(
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

/// Waits, but not for what won't come.
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
    Err(evidence::explain(&one.session, error).await)
}

/// Ends when something is seen that won't heal by itself, with the time that took and
/// what it is. Looks only every now and then: on the way to a healthy control plane
/// it costs no command.
async fn hopeless(one: &Surveyed) -> (Duration, String) {
    const EVERY: Duration = Duration::from_secs(20);
    let began = std::time::Instant::now();
    loop {
        tokio::time::sleep(EVERY).await;
        if let Some(why) = evidence::hopeless(&one.session).await {
            return (began.elapsed(), why);
        }
    }
}

/// Waits for the kubelet, the controller manager and the scheduler.
pub(super) async fn wait_for_the_rest(run: &Run, one: &Surveyed, part: &Part) -> Result<(), Error> {
    let timeouts = &run.cluster.timeouts;
    let components = timeouts.control_plane_component_health_check;
    part.doing(
        &one.host.name,
        "waiting for the controller manager and the scheduler",
    );
    let waits = futures::future::try_join3(
        wait_healthy(
            "the kubelet's /healthz",
            timeouts.kubelet_health_check,
            || look(one, KUBELET_HEALTHZ, "/healthz", false),
        ),
        wait_healthy("kube-controller-manager /healthz", components, || {
            look(one, CONTROLLER_MANAGER, "/healthz", true)
        }),
        wait_healthy("kube-scheduler /livez", components, || {
            look(one, SCHEDULER, "/livez", true)
        }),
    );
    let all = async { waits.await.map(|_| ()) };
    unless_hopeless(one, "the control plane's health", all).await
}

/// Waits for the kubelet alone.
pub(super) async fn wait_for_kubelet(run: &Run, one: &Surveyed) -> Result<(), Error> {
    let timeout = run.cluster.timeouts.kubelet_health_check;
    let look = || look(one, KUBELET_HEALTHZ, "/healthz", false);
    let what = "the kubelet's /healthz";
    unless_hopeless(one, what, wait_healthy(what, timeout, look)).await
}

async fn look(one: &Surveyed, port: u16, path: &str, tls: bool) -> Health {
    within(async {
        let tunnel = Tunnel::new(&one.session, IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        match tunnel.dial().await {
            Ok(stream) if tls => probe_https(stream, path).await,
            Ok(stream) => probe_http(stream, path).await,
            Err(error) => Health::No(error.to_string()),
        }
    })
    .await
}

pub(super) async fn within(look: impl Future<Output = Health>) -> Health {
    match tokio::time::timeout(LOOK, look).await {
        Ok(health) => health,
        Err(_) => Health::No(format!("no answer within {} s", LOOK.as_secs())),
    }
}
