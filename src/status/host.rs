//! The status of one host: one script, and the health endpoints of its components through
//! the same connection.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, join_all};
use ssh::{RunOptions, Session, SshError};

use super::access::Access;
use super::model::{ComponentStatus, Health};
use crate::cluster::tunnel::Tunnel;
use crate::host;
use crate::host::{UnitState, Vitals};
use crate::inventory::{Etcd, Host};
use crate::kubernetes::api;
use crate::kubernetes::api::{Dial, probe_http, probe_https};
use crate::run::Run;
use crate::run::error::Error;

/// Time limit for the script, which never waits.
const SCRIPT: Duration = Duration::from_secs(10);

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
pub(super) async fn ask(run: &Run, host: &Host, access: &Access) -> Result<Told, String> {
    let mut answer = try_once(run, host, access).await;
    // A connection from an earlier round may have been lost: try once more.
    if let Err(Error::Ssh(SshError::Lost { .. })) = &answer {
        answer = try_once(run, host, access).await;
    }
    answer.map_err(|error| {
        let why = super::one_line(&error, &host.name);
        if let Some(kept) = &run.kept {
            kept.put(&host.name, Err(why.clone()));
        }
        why
    })
}

async fn try_once(run: &Run, host: &Host, access: &Access) -> Result<Told, Error> {
    let session = run.connect(host).await?;
    if let Some(kept) = &run.kept {
        kept.put(&host.name, Ok(session.clone()));
    }
    let script = host::vitals(&run.cluster, host)?;
    let options = RunOptions {
        timeout: SCRIPT,
        max_output: 2 << 20,
        ..RunOptions::default()
    };
    let (output, probes) = tokio::join!(
        session.run(&script, &options),
        join_all(probes(run, host, &session, access))
    );
    let vitals = host::parse_vitals(&output?.stdout)?;
    let mut components = vec![kubelet(&vitals, &probes), runtime(host, &vitals)];
    components.extend(probes.into_iter().filter(|one| one.name != KUBELET));
    Ok(Told { vitals, components })
}

const KUBELET: &str = "kubelet";

type Probing<'a> = BoxFuture<'a, ComponentStatus>;

/// Checks the health endpoints of a host, at kubeadm's ports.
fn probes<'a>(
    run: &'a Run,
    host: &'a Host,
    session: &'a Session,
    access: &'a Access,
) -> Vec<Probing<'a>> {
    let mut probes = vec![probe(session, KUBELET, 10248, "/healthz", false)];
    if host.is_control_plane() {
        probes.push(api_server(run, host, session, access).boxed());
        probes.push(probe(
            session,
            "kube-controller-manager",
            10257,
            "/healthz",
            true,
        ));
        probes.push(probe(session, "kube-scheduler", 10259, "/livez", true));
        if matches!(run.cluster.etcd, Etcd::Local(_)) {
            probes.push(probe(session, "etcd", 2381, "/health", false));
        }
    }
    probes
}

fn probe<'a>(
    session: &'a Session,
    name: &'a str,
    port: u16,
    path: &'a str,
    tls: bool,
) -> Probing<'a> {
    let look = async move {
        let tunnel = Tunnel::new(session, IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        match tunnel.dial().await {
            Ok(stream) if tls => probe_https(stream, path).await,
            Ok(stream) => probe_http(stream, path).await,
            Err(error) => return refused(name, port, &error),
        }
        .into_component(name)
    };
    within(name, look).boxed()
}

/// The API server is asked as the admin, because anonymous requests may be disabled.
async fn api_server(run: &Run, host: &Host, session: &Session, access: &Access) -> ComponentStatus {
    const NAME: &str = "kube-apiserver";
    let look = async {
        match access.client(run, host, session) {
            Ok(client) => super::access::ready(&client).await.into_component(NAME),
            Err(why) => component(NAME, Health::Unknown, Some(&why)),
        }
    };
    within(NAME, look).await
}

async fn within(name: &str, look: impl Future<Output = ComponentStatus>) -> ComponentStatus {
    match tokio::time::timeout(PROBE, look).await {
        Ok(component) => component,
        Err(_) => {
            let why = format!("timed out after {} s", PROBE.as_secs());
            component(name, Health::Unhealthy, Some(&why))
        }
    }
}

/// Distinguishes a closed port from an sshd that does not forward, in which case the health
/// is unknown.
fn refused(name: &str, port: u16, error: &std::io::Error) -> ComponentStatus {
    match error.get_ref().and_then(|e| e.downcast_ref::<SshError>()) {
        Some(SshError::ForwardRefused {
            prohibited: true, ..
        }) => component(
            name,
            Health::Unknown,
            Some("sshd does not allow forwarding"),
        ),
        _ => {
            let why = format!("nothing listens on port {port}");
            component(name, Health::Unhealthy, Some(&why))
        }
    }
}

pub(super) fn component(name: &str, health: Health, reason: Option<&str>) -> ComponentStatus {
    ComponentStatus {
        name: name.into(),
        health,
        reason: reason.map(super::short),
    }
}

trait IntoComponent {
    fn into_component(self, name: &str) -> ComponentStatus;
}

impl IntoComponent for api::Health {
    fn into_component(self, name: &str) -> ComponentStatus {
        match self {
            api::Health::Ok => component(name, Health::Healthy, None),
            api::Health::No(why) => component(name, Health::Unhealthy, Some(&why)),
        }
    }
}

/// systemd first: a failed unit is a better explanation than a closed port.
fn kubelet(vitals: &Vitals, probes: &[ComponentStatus]) -> ComponentStatus {
    if let Some(why) = down(vitals.units.get("kubelet.service")) {
        return component(KUBELET, Health::Unhealthy, Some(&why));
    }
    match probes.iter().find(|one| one.name == KUBELET) {
        Some(probe) => probe.clone(),
        None => component(KUBELET, Health::Unknown, None),
    }
}

fn runtime(host: &Host, vitals: &Vitals) -> ComponentStatus {
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
    match (down(unit), vitals.socket) {
        (Some(why), _) => component(name, Health::Unhealthy, Some(&why)),
        (None, false) => component(name, Health::Unhealthy, Some("its socket does not exist")),
        (None, true) => component(name, Health::Healthy, None),
    }
}

/// Why a unit is not running, as systemd reports it.
fn down(unit: Option<&UnitState>) -> Option<String> {
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
            down(Some(&UnitState {
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
