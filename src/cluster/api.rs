//! The cluster's API as seen through the SSH session to a control plane.

use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};
use pki::Pki;
use serde_json::Value;

use super::health::{ask_api_server, ask_api_server_within};
use super::survey::Surveyed;
use crate::kubernetes::api;
use crate::kubernetes::api::{ApiError, Applier, Health, Identity};
use crate::kubernetes::health::api_server_endpoint;
use crate::run::Run;
use crate::run::error::Error;

/// Clients of one API server.
pub(crate) struct ClusterApi {
    /// As `kubernetes-admin`.
    pub(crate) admin: kube::Client,
    /// As `kubernetes-super-admin`, which needs no RBAC objects.
    super_admin: Option<kube::Client>,
    budget: Duration,
}

impl ClusterApi {
    /// Clients of the API server on `control_plane`. Connects lazily.
    pub(crate) fn new(run: &Run, pki: &Pki, control_plane: &Surveyed) -> Result<Self, Error> {
        let facts = &control_plane.gathered.facts;
        let at = api_server_endpoint(&run.cluster, &control_plane.host, Some(facts));
        let remote = &control_plane.session;
        let name = &control_plane.host.name;
        let client = |user: &str| -> Result<Option<kube::Client>, Error> {
            let Some(leaf) = pki.leaf(name, &format!("kubeconfig/{user}")) else {
                return Ok(None);
            };
            let identity = Identity {
                cert: leaf.cert.clone(),
                key: leaf.key.clone(),
            };
            let client = remote.api_client(&at.address, at.port, pki.ca_cert(), &identity)?;
            Ok(Some(client))
        };
        let admin = client("admin")?.ok_or_else(|| {
            ApiError::Client(format!(
                "there is no admin certificate for {name} in the state directory"
            ))
        })?;
        Ok(ClusterApi {
            admin,
            super_admin: client("super-admin")?,
            budget: run.cluster.timeouts.kubernetes_api_call,
        })
    }

    /// Replaces the admin by the super-admin, if there is one.
    pub(crate) fn elevated(self) -> Option<Self> {
        Some(ClusterApi {
            admin: self.super_admin.clone()?,
            ..self
        })
    }

    /// The client that has the most rights.
    pub(crate) fn strongest(self) -> kube::Client {
        self.super_admin.unwrap_or(self.admin)
    }

    /// Applies objects as the admin.
    pub(crate) fn applier(&self) -> Applier {
        Applier::new(self.admin.clone(), self.budget)
    }

    /// Asks the API server for its health, once: `/livez` or `/readyz`.
    pub(crate) async fn ask_health(&self, path: &'static str) -> Health {
        ask_api_server(&self.admin, path).await
    }

    /// The same, waiting for the answer as long as `limit`.
    pub(crate) async fn ask_health_within(&self, path: &'static str, limit: Duration) -> Health {
        ask_api_server_within(&self.admin, path, limit).await
    }

    /// Lists all Nodes.
    pub(crate) async fn nodes(&self) -> Result<Vec<Node>, ApiError> {
        let nodes: Api<Node> = Api::all(self.admin.clone());
        let list = nodes.list(&ListParams::default()).await;
        Ok(list.map_err(ApiError::request("list nodes"))?.items)
    }

    /// Makes sure that the admin has its permissions: applies `binding`,
    /// `kubeadm:cluster-admins`, as the super-admin if the admin is forbidden to, as
    /// kubeadm does. Returns whether it was necessary.
    pub(crate) async fn ensure_admin(&self, binding: &Value) -> Result<bool, Error> {
        let applier = self.applier();
        let refused = match applier.compare(std::slice::from_ref(binding)).await {
            Ok(changes) if changes.is_empty() => return Ok(false),
            Ok(_) => {
                applier.apply(binding).await?;
                return Ok(true);
            }
            Err(error) if error.is_forbidden() => error,
            Err(error) => return Err(error.into()),
        };
        let Some(super_admin) = &self.super_admin else {
            return Err(refused.into());
        };
        Applier::new(super_admin.clone(), self.budget)
            .apply(binding)
            .await?;
        // The API server learns of the binding through a watch, so it takes effect a moment
        // later.
        api::wait_healthy("the admin's RBAC permissions", self.budget, || async {
            match applier.compare(std::slice::from_ref(binding)).await {
                Ok(_) => Health::Ok,
                Err(error) => Health::from_error(&error),
            }
        })
        .await?;
        Ok(true)
    }
}
