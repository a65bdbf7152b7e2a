//! Workers join: a bootstrap token that lives for minutes, and the wait for
//! the kubelet's own certificate.

use k8s_openapi::api::core::v1::{Node, Secret};
use kube::api::{Api, DeleteParams};

use crate::Error;
use crate::kubernetes::TokenSecret;
use crate::kubernetes::api::{ApiError, Health, wait_for_node};

use super::cluster_api::ClusterApi;
use super::plan::{Plan, Work, pod_cidrs};
use super::{Phase, Run, evidence};

/// How long the token of a run lives if nobody deletes it: longer than the
/// slowest bootstrap, and minutes all the same.
pub(super) const TOKEN_TTL: jiff::SignedDuration = jiff::SignedDuration::from_mins(15);

/// The token of this run, once it is in the cluster.
#[derive(Debug)]
pub(super) struct Granted {
    secret: Option<String>,
}

/// Lets workers join, if any are to.
pub(super) async fn grant(run: &Run, plan: &Plan, api: &ClusterApi) -> Result<Granted, Error> {
    if !plan.work.iter().any(|work| work.join.is_some()) {
        return Ok(Granted { secret: None });
    }
    let expires = jiff::Timestamp::now() + TOKEN_TTL;
    let token = TokenSecret::for_join(
        plan.context.token.clone(),
        expires,
        "clusterctl-rs: workers of one run join with it",
    );
    let (name, secret) = (token.name(), token.object());
    run.journalled(
        None,
        Phase::Join,
        &format!("Secret kube-system/{name}"),
        async { Ok(api.applier().apply(&secret).await?) },
    )
    .await?;
    Ok(Granted { secret: Some(name) })
}

impl Granted {
    /// No token was needed.
    pub(super) fn nothing() -> Self {
        Granted { secret: None }
    }

    /// Takes the token back. That it expires by itself is the net below.
    pub(super) async fn revoke(self, run: &Run, api: &ClusterApi) {
        let Some(name) = self.secret else { return };
        let secrets: Api<Secret> = Api::namespaced(api.admin.clone(), "kube-system");
        let deleted = secrets.delete(&name, &DeleteParams::default()).await;
        if let Err(error) = deleted {
            let gone = matches!(&error, kube::Error::Api(status) if status.code == 404);
            if !gone {
                let error = ApiError::request(format!("delete Secret kube-system/{name}"))(error);
                run.events()
                    .warn(format!("{error}; the token expires within 15 minutes"));
            }
        }
    }
}

/// Waits until the kubelet of `work` has its certificate and has registered,
/// with a pod CIDR if the pod network needs one.
pub(super) async fn wait_registered(
    run: &Run,
    work: &Work,
    api: &ClusterApi,
    needs_cidr: bool,
) -> Result<Node, Error> {
    let host = work.host();
    let wanted = |node: &Node| {
        if needs_cidr && pod_cidrs(node).is_empty() {
            return Health::No("the controller manager has given it no pod CIDR".into());
        }
        Health::Ok
    };
    let what = format!("registration of node {}", host.node_name);
    let timeout = run.cluster.timeouts.tls_bootstrap;
    match wait_for_node(&api.admin, &host.node_name, &what, timeout, wanted).await {
        Ok(node) => Ok(node),
        Err(error) => Err(evidence::explain(&work.surveyed.session, error).await),
    }
}
