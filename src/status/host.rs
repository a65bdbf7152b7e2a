//! The status of one host: one script, and the health endpoints of its components through
//! the same connection.

use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, join_all};
use ssh::SshError;

use super::access::Access;
use super::model::{ComponentStatus, Health};
use super::one_line::{one_line, short};
use crate::cluster::answer::answer_within;
use crate::cluster::health::ask_api_server;
use crate::host::{UnitState, Vitals};
use crate::inventory::Host;
use crate::kubernetes::health::{HealthEndpoint, component_endpoint, kubelet_endpoint};
use crate::kubernetes::{Component, api};
use crate::layout::components::{API_SERVER, KUBELET};
use crate::layout::health::API_SERVER_READY;
use crate::layout::names::KUBELET_UNIT;
use crate::run::Run;
use crate::run::error::Error;
use crate::run::remote::Remote;

/// Time limit for one health endpoint.
const PROBE: Duration = Duration::from_secs(4);

/// What a host reported.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) vitals: Vitals,
    pub(super) components: Vec<ComponentStatus>,
}

/// Connects, if necessary, and asks. Failures are remembered, so that they are not repeated
/// in this round.
pub(super) async fn ask_host(run: &Run, host: &Host, access: &Access) -> Result<Told, String> {
    let mut answer = ask_once(run, host, access).await;
    // A connection from an earlier round may have been lost: try once more.
    if let Err(Error::Ssh(SshError::Lost { .. })) = &answer {
        answer = ask_once(run, host, access).await;
    }
    answer.map_err(|error| {
        let why = one_line(&error, &host.name);
        if let Some(kept) = &run.kept {
            kept.put(&host.name, Err(why.clone()));
        }
        why
    })
}

async fn ask_once(run: &Run, host: &Host, access: &Access) -> Result<Told, Error> {
    let remote = run.connect(host).await?;
    if let Some(kept) = &run.kept {
        kept.put(&host.name, Ok(remote.clone()));
    }
    let (vitals, probes) = tokio::join!(
        remote.read_vitals(&run.cluster, host),
        join_all(probes(run, host, &remote, access))
    );
    let vitals = vitals?;
    let mut components = vec![
        kubelet_status(&vitals, &probes),
        runtime_status(host, &vitals),
    ];
    components.extend(probes.into_iter().filter(|one| one.name != KUBELET));
    Ok(Told { vitals, components })
}

type Probing<'a> = BoxFuture<'a, ComponentStatus>;

/// The components of a host, each asked where the inventory has it listen.
fn probes<'a>(
    run: &'a Run,
    host: &'a Host,
    remote: &'a Remote,
    access: &'a Access,
) -> Vec<Probing<'a>> {
    let mut probes = Vec::new();
    // Without an endpoint, the kubelet's unit alone has to tell.
    probes.extend(kubelet_endpoint(host).map(|at| probe(remote, KUBELET, at)));
    if !host.is_control_plane() {
        return probes;
    }
    probes.push(api_server(run, host, remote, access).boxed());
    // In the order in which they are shown.
    let others = [
        Component::ControllerManager,
        Component::Scheduler,
        Component::Etcd,
    ];
    let here = Component::all(&run.cluster);
    for one in others.into_iter().filter(|one| here.contains(one)) {
        let at = component_endpoint(one, &run.cluster, host, None);
        // One that the inventory gives no endpoint can't be judged, and is left out.
        probes.extend(at.map(|at| probe(remote, one.name(), at)));
    }
    probes
}

fn probe<'a>(remote: &'a Remote, name: &'static str, at: HealthEndpoint) -> Probing<'a> {
    let look = async move {
        match remote.probe_health(&at).await {
            Ok(health) => health.into_component(name),
            Err(error) => explain_refusal(name, &at, &error),
        }
    };
    answer_in_time(name, look).boxed()
}

/// The API server is asked as the admin: not everybody lets strangers ask.
async fn api_server(run: &Run, host: &Host, remote: &Remote, access: &Access) -> ComponentStatus {
    let look = async {
        match access.client(run, host, remote) {
            Ok(client) => ask_api_server(&client, API_SERVER_READY)
                .await
                .into_component(API_SERVER),
            Err(why) => component(API_SERVER, Health::Unknown, Some(&why)),
        }
    };
    answer_in_time(API_SERVER, look).await
}

async fn answer_in_time(
    name: &str,
    look: impl Future<Output = ComponentStatus>,
) -> ComponentStatus {
    match answer_within(PROBE, async { Ok::<_, Error>(look.await) }).await {
        Ok(component) => component,
        Err(error) => component(name, Health::Unhealthy, Some(&error.to_string())),
    }
}

/// Nothing listens there; or sshd forwards nothing, and its health is unknown.
fn explain_refusal(name: &str, at: &HealthEndpoint, error: &std::io::Error) -> ComponentStatus {
    match error.get_ref().and_then(|e| e.downcast_ref::<SshError>()) {
        Some(SshError::ForwardRefused {
            prohibited: true, ..
        }) => component(
            name,
            Health::Unknown,
            Some("sshd does not allow forwarding"),
        ),
        _ => {
            let why = format!("nothing listens on {} port {}", at.address, at.port);
            component(name, Health::Unhealthy, Some(&why))
        }
    }
}

pub(super) fn component(name: &str, health: Health, reason: Option<&str>) -> ComponentStatus {
    ComponentStatus {
        name: name.into(),
        health,
        reason: reason.map(short),
    }
}

trait IntoComponent {
    fn into_component(self, name: &str) -> ComponentStatus;
}

impl IntoComponent for api::Health {
    fn into_component(self, name: &str) -> ComponentStatus {
        match self {
            api::Health::Ok => component(name, Health::Healthy, None),
            api::Health::No(why) | api::Health::Never(why) => {
                component(name, Health::Unhealthy, Some(&why))
            }
        }
    }
}

/// systemd's word first: a unit that is down says more than a closed port. It is
/// the only one where the inventory disables the kubelet's health endpoint.
fn kubelet_status(vitals: &Vitals, probes: &[ComponentStatus]) -> ComponentStatus {
    if let Some(why) = why_down(vitals.units.get(KUBELET_UNIT)) {
        return component(KUBELET, Health::Unhealthy, Some(&why));
    }
    match probes.iter().find(|one| one.name == KUBELET) {
        Some(probe) => probe.clone(),
        None => component(KUBELET, Health::Healthy, None),
    }
}

fn runtime_status(host: &Host, vitals: &Vitals) -> ComponentStatus {
    let name = ["containerd", "crio"]
        .into_iter()
        .find(|name| host.cri_socket.contains(name));
    let Some(name) = name else {
        return match vitals.socket {
            true => component("container runtime", Health::Healthy, None),
            false => component(
                "container runtime",
                Health::Unhealthy,
                Some("its socket does not exist"),
            ),
        };
    };
    let unit = vitals.units.get(&format!("{name}.service"));
    match (why_down(unit), vitals.socket) {
        (Some(why), _) => component(name, Health::Unhealthy, Some(&why)),
        (None, false) => component(name, Health::Unhealthy, Some("its socket does not exist")),
        (None, true) => component(name, Health::Healthy, None),
    }
}

/// Why a unit is not running, as systemd reports it.
fn why_down(unit: Option<&UnitState>) -> Option<String> {
    let unit = unit?;
    match (unit.load.as_str(), unit.active.as_str()) {
        (_, "active" | "reloading") => None,
        ("loaded", state) => Some(state.to_owned()),
        ("not-found", _) => Some("not installed".into()),
        (load, _) => Some(load.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_is_down_says_how() {
        let unit = |load: &str, active: &str| {
            why_down(Some(&UnitState {
                load: load.into(),
                active: active.into(),
                file: "enabled".into(),
                ..UnitState::default()
            }))
        };
        assert_eq!(unit("loaded", "active"), None);
        assert_eq!(unit("loaded", "failed").as_deref(), Some("failed"));
        assert_eq!(
            unit("not-found", "inactive").as_deref(),
            Some("not installed")
        );
        assert_eq!(unit("masked", "inactive").as_deref(), Some("masked"));
    }
}
