//! Access to the API with the admin kubeconfig, or why there is none.

use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};

use super::one_line::one_line;
use crate::cluster::answer::{Silent, answer_within, ask_first};
use crate::cluster::endpoint::probe_endpoint;
use crate::cluster::operator_access::OperatorAccess;
use crate::inventory::{Endpoint, Host};
use crate::kubernetes::api::ApiError;
use crate::run::Run;
use crate::run::error::Error;
use crate::run::remote::Remote;

/// Time limit for listing Nodes through one control plane.
const LIST: Duration = Duration::from_secs(5);

/// The credentials for the API, or why there are none.
pub(super) struct Access(Result<OperatorAccess, String>);

impl Access {
    /// Reads the admin kubeconfig.
    pub(super) fn read(run: &Run) -> Self {
        Access(OperatorAccess::read(run).map_err(|error| match error {
            Error::NoKubeconfig { .. } => {
                "there is no admin kubeconfig yet; run `clusterctl-rs apply`".into()
            }
            error => error.to_string(),
        }))
    }

    /// A client of the API server on a control plane.
    pub(super) fn client(
        &self,
        run: &Run,
        host: &Host,
        remote: &Remote,
    ) -> Result<kube::Client, String> {
        let access = self.0.as_ref().map_err(Clone::clone)?;
        let client = access.client(run, host, remote);
        client.map_err(|error| error.to_string())
    }

    /// Lists all Nodes through the first of `through` that responds; returns that one's
    /// name, too.
    pub(super) async fn list_nodes(
        &self,
        run: &Run,
        through: &[(&Host, Remote)],
    ) -> Result<(String, Vec<Node>), String> {
        let access = self.0.as_ref().map_err(Clone::clone)?;
        let hosts = through.iter().map(|(host, remote)| (*host, remote));
        let asked = ask_first(hosts, async |host, remote| {
            let nodes: Api<Node> = Api::all(access.client(run, host, remote)?);
            let listing = async {
                let list = nodes.list(&ListParams::default()).await;
                list.map_err(ApiError::request("list nodes"))
            };
            let list = answer_within(LIST, listing).await?;
            Ok((host.name.clone(), list.items))
        });
        let answer = asked.await.into_result();
        answer.map_err(|silent| tell_silent(&silent))
    }

    /// Whether the endpoint reaches the API, as seen from the first of `through`.
    pub(super) async fn probe_endpoint(
        &self,
        run: &Run,
        through: &[(&Host, Remote)],
    ) -> Option<(Endpoint, Result<(), String>)> {
        let (access, (_, remote)) = self.0.as_ref().ok().zip(through.first())?;
        probe_endpoint(&run.cluster, &access.ca, remote).await
    }
}

/// Why no control plane answered, on one line.
pub(super) fn tell_silent(silent: &Silent<'_>) -> String {
    let said: Vec<String> = silent
        .0
        .iter()
        .map(|(host, error)| {
            let why = one_line(error, &host.name);
            format!("through {}: {why}", host.name)
        })
        .collect();
    match said.is_empty() {
        true => "no control plane is reachable".into(),
        false => said.join("; "),
    }
}
