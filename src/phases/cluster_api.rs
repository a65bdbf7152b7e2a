//! The cluster's API as seen through the SSH session to a control plane.

use std::io;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::Request;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};

use crate::Error;
use crate::kubernetes::api::{
    self, ApiError, Applier, Dial, Health, Identity, Stream, failed_checks,
};
use crate::kubernetes::api::{probe_http, probe_https};
use crate::kubernetes::health::{HealthEndpoint, Scheme, api_server_endpoint};
use crate::ssh::Session;

use super::Run;
use super::desired::Context;
use super::survey::Surveyed;

/// Opens channels of an SSH session to an address that the host can reach.
pub(super) struct Tunnel {
    session: Session,
    address: String,
    port: u16,
}

impl Tunnel {
    /// `address` may be a name: the host looks it up.
    pub(super) fn new(session: &Session, address: impl ToString, port: u16) -> Arc<Self> {
        Arc::new(Tunnel {
            session: session.clone(),
            address: address.to_string(),
            port,
        })
    }
}

impl Dial for Tunnel {
    fn dial(&self) -> BoxFuture<'static, io::Result<Box<dyn Stream>>> {
        let (session, address, port) = (self.session.clone(), self.address.clone(), self.port);
        async move {
            let stream = session
                .forward(&address, port)
                .await
                .map_err(io::Error::other)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        }
        .boxed()
    }
}

/// Asks a component about its health from its own host. An error says that
/// nothing listens there, or that sshd forwards nothing.
pub(super) async fn ask_component(session: &Session, at: &HealthEndpoint) -> io::Result<Health> {
    let stream = Tunnel::new(session, &at.address, at.port).dial().await?;
    Ok(match at.scheme {
        Scheme::Http => probe_http(stream, at.path).await,
        Scheme::Https => probe_https(stream, at.path).await,
    })
}

/// Clients of one API server.
pub(super) struct ClusterApi {
    /// As `kubernetes-admin`.
    pub(super) admin: kube::Client,
    /// As `kubernetes-super-admin`, whose rights need no RBAC object.
    super_admin: Option<kube::Client>,
    budget: std::time::Duration,
}

impl ClusterApi {
    /// Clients of the API server on `control_plane`. Connects lazily.
    pub(super) fn of(
        run: &Run,
        context: &Context,
        control_plane: &Surveyed,
    ) -> Result<Self, Error> {
        let pki = &context.pki;
        let facts = &control_plane.gathered.facts;
        let at = api_server_endpoint(&run.cluster, &control_plane.host, Some(facts));
        let tunnel = Tunnel::new(&control_plane.session, at.address, at.port);
        let name = &control_plane.host.name;
        let client = |user: &str| -> Result<Option<kube::Client>, Error> {
            let Some(leaf) = pki.leaf(name, &format!("kubeconfig/{user}")) else {
                return Ok(None);
            };
            let identity = Identity {
                cert: leaf.cert.clone(),
                key: leaf.key.clone(),
            };
            Ok(Some(api::client(tunnel.clone(), pki.ca_cert(), &identity)?))
        };
        let admin = client("admin")?.ok_or_else(|| {
            ApiError::Client(format!(
                "the operator state holds no admin certificate for {name}"
            ))
        })?;
        Ok(ClusterApi {
            admin,
            super_admin: client("super-admin")?,
            budget: run.cluster.timeouts.kubernetes_api_call,
        })
    }

    /// The same, with the super-admin in the admin's place, if there is one.
    pub(super) fn elevated(self) -> Option<Self> {
        Some(ClusterApi {
            admin: self.super_admin.clone()?,
            ..self
        })
    }

    /// Applies objects as the admin.
    pub(super) fn applier(&self) -> Applier {
        Applier::new(self.admin.clone(), self.budget)
    }

    /// Whether the API server says that it lives.
    pub(super) async fn health(&self, path: &'static str) -> Health {
        let request = match Request::get(path).body(Vec::new()) {
            Ok(request) => request,
            Err(error) => return Health::No(error.to_string()),
        };
        match self.admin.request_text(request).await {
            Ok(_) => Health::Ok,
            Err(error) => {
                let error = ApiError::request("ask for its health")(error);
                Health::No(failed_checks(&error.to_string()))
            }
        }
    }

    /// Every Node.
    pub(super) async fn nodes(&self) -> Result<Vec<Node>, ApiError> {
        let nodes: Api<Node> = Api::all(self.admin.clone());
        let list = nodes.list(&ListParams::default()).await;
        Ok(list.map_err(ApiError::request("list nodes"))?.items)
    }

    /// Sees to it that the admin may do what it has to: binds
    /// `kubeadm:cluster-admins` as the super-admin if the admin is refused, as
    /// kubeadm does. Returns whether it had to.
    pub(super) async fn ensure_admin(&self, context: &Context) -> Result<bool, Error> {
        let binding = context.cluster_admins()?;
        let applier = self.applier();
        let refused = match applier.compare(std::slice::from_ref(&binding)).await {
            Ok(changes) if changes.is_empty() => return Ok(false),
            Ok(_) => {
                applier.apply(&binding).await?;
                return Ok(true);
            }
            Err(error) if error.is_forbidden() => error,
            Err(error) => return Err(error.into()),
        };
        let Some(super_admin) = &self.super_admin else {
            return Err(refused.into());
        };
        Applier::new(super_admin.clone(), self.budget)
            .apply(&binding)
            .await?;
        // The API server learns of the binding by a watch of its own: an
        // instant later the admin is no longer refused.
        api::wait_healthy("the admin's rights", self.budget, || async {
            match applier.compare(std::slice::from_ref(&binding)).await {
                Ok(_) => Health::Ok,
                Err(error) => Health::No(error.to_string()),
            }
        })
        .await?;
        Ok(true)
    }
}
