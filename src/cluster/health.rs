//! Whether a component answers on its health endpoint.

use std::time::Duration;

use super::survey::Surveyed;
use crate::kubernetes::api::Health;
use crate::run::remote::HealthProbe;

/// Where components answer whether they are healthy, unless they are told otherwise.
pub(crate) const LOOPBACK: &str = "127.0.0.1";
/// The kubelet's `/healthz`, on loopback.
pub(crate) const KUBELET_HEALTHZ: u16 = 10248;
/// The controller manager's secure port, on loopback.
pub(crate) const CONTROLLER_MANAGER: u16 = 10257;
/// The scheduler's secure port, on loopback.
pub(crate) const SCHEDULER: u16 = 10259;

/// Time for one look. A component that starts accepts before it answers.
const LOOK: Duration = Duration::from_secs(5);

pub(crate) async fn look(one: &Surveyed, port: u16, path: &str, tls: bool) -> Health {
    let probe = HealthProbe {
        address: LOOPBACK,
        port,
        path,
        tls,
    };
    within(async {
        match one.session.probe_health(probe).await {
            Ok(health) => health,
            Err(error) => Health::No(error.to_string()),
        }
    })
    .await
}

pub(crate) async fn within(look: impl Future<Output = Health>) -> Health {
    match tokio::time::timeout(LOOK, look).await {
        Ok(health) => health,
        Err(_) => Health::No(format!("no answer within {} s", LOOK.as_secs())),
    }
}
