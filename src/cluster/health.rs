//! Health endpoints of components.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::survey::Surveyed;
use super::tunnel::Tunnel;
use crate::kubernetes::api::{Dial, Health, probe_http, probe_https};

/// The kubelet's `/healthz`, on loopback.
pub(crate) const KUBELET_HEALTHZ: u16 = 10248;
/// The controller manager's secure port, on loopback.
pub(crate) const CONTROLLER_MANAGER: u16 = 10257;
/// The scheduler's secure port, on loopback.
pub(crate) const SCHEDULER: u16 = 10259;

/// Time limit for one check. A starting component accepts connections before it responds.
const LOOK: Duration = Duration::from_secs(5);

pub(crate) async fn look(one: &Surveyed, port: u16, path: &str, tls: bool) -> Health {
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

pub(crate) async fn within(look: impl Future<Output = Health>) -> Health {
    match tokio::time::timeout(LOOK, look).await {
        Ok(health) => health,
        Err(_) => Health::No(format!("timed out after {} s", LOOK.as_secs())),
    }
}
