//! Whether a component answers on its health endpoint.

use std::time::Duration;

use http::Request;

use super::answer::health_within;
use super::survey::Surveyed;
use crate::kubernetes::api::{ApiError, EtcdClient, Health, failed_checks};
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

/// Asks a component for its health, once.
pub(crate) async fn ask_component(one: &Surveyed, port: u16, path: &str, tls: bool) -> Health {
    let probe = HealthProbe {
        address: LOOPBACK,
        port,
        path,
        tls,
    };
    let asked = async {
        match one.session.probe_health(probe).await {
            Ok(health) => health,
            Err(error) => Health::No(error.to_string()),
        }
    };
    health_within(LOOK, asked).await
}

/// Asks an API server for its health, once: `/livez` or `/readyz`. Of the checks that it lists,
/// those that failed are told.
pub(crate) async fn ask_api_server(client: &kube::Client, path: &'static str) -> Health {
    let request = match Request::get(path).body(Vec::new()) {
        Ok(request) => request,
        Err(error) => return Health::No(error.to_string()),
    };
    let asked = async {
        match client.request_text(request).await {
            Ok(_) => Health::Ok,
            Err(error) => {
                let error = ApiError::request("ask for its health")(error);
                Health::No(failed_checks(&error.to_string()))
            }
        }
    };
    health_within(LOOK, asked).await
}

/// Asks an etcd member for its health, once.
pub(crate) async fn ask_etcd(member: &EtcdClient) -> Health {
    health_within(LOOK, member.health()).await
}
