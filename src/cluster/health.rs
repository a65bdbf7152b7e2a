//! Health endpoints of components.

use std::time::Duration;

use http::Request;

use super::answer::health_within;
use super::survey::Surveyed;
use crate::kubernetes::api::{ApiError, EtcdClient, Health, failed_checks};
use crate::kubernetes::health::HealthEndpoint;

/// Time limit for one check. A starting component accepts connections before it responds.
pub(super) const LOOK: Duration = Duration::from_secs(5);

/// Asks a component for its health from its own host, once.
pub(crate) async fn ask_component(one: &Surveyed, at: &HealthEndpoint) -> Health {
    let asked = async {
        match one.session.probe_health(at).await {
            Ok(health) => health,
            Err(error) => Health::No(error.to_string()),
        }
    };
    health_within(LOOK, asked).await
}

/// Asks systemd whether the kubelet runs, where its health endpoint is disabled.
pub(crate) async fn ask_kubelet_unit(one: &Surveyed) -> Health {
    let asked = async {
        match one.session.ask_kubelet_unit().await {
            Ok(health) => health,
            Err(error) => Health::No(error.to_string()),
        }
    };
    health_within(LOOK, asked).await
}

/// Asks an API server for its health, once: `/livez` or `/readyz`. The answer names the checks
/// that failed.
pub(crate) async fn ask_api_server(client: &kube::Client, path: &'static str) -> Health {
    ask_api_server_within(client, path, LOOK).await
}

/// The same with a time limit of its own.
pub(crate) async fn ask_api_server_within(
    client: &kube::Client,
    path: &'static str,
    limit: Duration,
) -> Health {
    let request = match Request::get(path).body(Vec::new()) {
        Ok(request) => request,
        Err(error) => return Health::No(error.to_string()),
    };
    let asked = async {
        match client.request_text(request).await {
            Ok(_) => Health::Ok,
            Err(error) => {
                let error = ApiError::request("check its health")(error);
                match Health::from_error(&error) {
                    Health::No(why) => Health::No(failed_checks(&why)),
                    other => other,
                }
            }
        }
    };
    health_within(limit, asked).await
}

/// Asks an etcd member for its health, once.
pub(crate) async fn ask_etcd(member: &EtcdClient) -> Health {
    health_within(LOOK, member.health()).await
}
