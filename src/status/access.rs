//! Access to the API with the admin kubeconfig, through any control plane.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use http::Request;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};
use ssh::Session;
use zeroize::Zeroizing;

use crate::cluster::endpoint;
use crate::cluster::tunnel::Tunnel;
use crate::inventory::{Endpoint, Host};
use crate::kubernetes::api::{ApiError, Health, Identity};
use crate::kubernetes::{api, read_embedded};
use crate::run::Run;

/// Time limit for listing Nodes through one control plane.
const LIST: Duration = Duration::from_secs(5);

/// The credentials for the API, or why there are none.
pub(super) struct Access(Result<(String, Identity), String>);

impl Access {
    /// Reads the admin kubeconfig.
    pub(super) fn of(run: &Run) -> Self {
        let path = run.state.kubeconfig();
        let read = match std::fs::read_to_string(&path).map(Zeroizing::new) {
            Ok(text) => read_embedded(&text)
                .map(|(ca, cert, key)| (ca, Identity { cert, key }))
                .ok_or_else(|| format!("{} contains no client certificate", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err("there is no admin kubeconfig yet; run `clusterctl-rs apply`".into())
            }
            Err(error) => Err(format!("cannot read {}: {error}", path.display())),
        };
        Access(read)
    }

    /// A client of the API server on a control plane.
    pub(super) fn client(
        &self,
        run: &Run,
        host: &Host,
        session: &Session,
    ) -> Result<kube::Client, String> {
        let (ca, identity) = self.0.as_ref().map_err(Clone::clone)?;
        let address = host
            .advertise_address
            .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let tunnel = Tunnel::new(session, address, run.cluster.bind_port);
        api::client(tunnel, ca, identity).map_err(|error| error.to_string())
    }

    /// Lists all Nodes through the first of `through` that responds; returns that one's
    /// name, too.
    pub(super) async fn nodes(
        &self,
        run: &Run,
        through: &[(&Host, Session)],
    ) -> Result<(String, Vec<Node>), String> {
        self.0.as_ref().map_err(Clone::clone)?;
        let mut said = Vec::new();
        for (host, session) in through {
            let client = self.client(run, host, session)?;
            let nodes: Api<Node> = Api::all(client);
            let params = ListParams::default();
            let why = match tokio::time::timeout(LIST, nodes.list(&params)).await {
                Ok(Ok(list)) => return Ok((host.name.clone(), list.items)),
                Ok(Err(error)) => ApiError::request("list nodes")(error).to_string(),
                Err(_) => format!("timed out after {} s", LIST.as_secs()),
            };
            said.push(format!("through {}: {}", host.name, super::short(&why)));
        }
        Err(match said.is_empty() {
            true => "no control plane is reachable".into(),
            false => said.join("; "),
        })
    }

    /// Whether the endpoint reaches the API, as seen from the first of `through`.
    pub(super) async fn endpoint(
        &self,
        run: &Run,
        through: &[(&Host, Session)],
    ) -> Option<(Endpoint, Result<(), String>)> {
        let ((ca, _), (_, session)) = self.0.as_ref().ok().zip(through.first())?;
        endpoint::probe(&run.cluster, ca, session).await
    }
}

/// Whether an API server is ready.
pub(super) async fn ready(client: &kube::Client) -> Health {
    let request = match Request::get("/readyz").body(Vec::new()) {
        Ok(request) => request,
        Err(error) => return Health::No(error.to_string()),
    };
    match client.request_text(request).await {
        Ok(_) => Health::Ok,
        Err(error) => {
            let text = ApiError::request("query /readyz")(error).to_string();
            // Only the failed checks.
            let failed: Vec<&str> = text
                .lines()
                .filter(|line| line.starts_with("[-]"))
                .collect();
            Health::No(match failed.is_empty() {
                true => text,
                false => failed.join(" "),
            })
        }
    }
}
