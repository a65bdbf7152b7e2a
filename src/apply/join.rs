//! Workers join: a bootstrap token that lives for minutes, and the wait for
//! the kubelet's own certificate.

use std::convert::Infallible;
use std::time::Duration;

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Node;

use crate::kubernetes::api::{Health, wait_for_node};
use crate::kubernetes::{Token, TokenSecret};
use crate::run::error::Error;

use crate::cluster::api::ClusterApi;
use crate::cluster::diagnose;
use crate::plan::model::{Plan, Work, pod_cidrs};
use crate::run::Run;
use crate::run::phase::Phase;

/// How long the token of a run lives once nothing renews it any more. Long
/// enough for a kubelet's bootstrap and for kubeadm's tools, which expect a
/// cluster to have a token and `cluster-info` to be signed with it.
pub(crate) const TOKEN_TTL: SignedDuration = SignedDuration::from_mins(10);

/// How often a run at work renews its token: two renewals may fail.
const RENEWAL: Duration = Duration::from_mins(3);

/// The token of this run, once it is in the cluster. Nobody deletes it: like a
/// lease it is renewed while the run lasts, and the cluster removes it within
/// minutes after, whether the run ended or was killed.
#[derive(Debug)]
pub(crate) struct Granted {
    token: Option<Token>,
}

/// Lets workers join, if any are to.
pub(crate) async fn grant(run: &Run, plan: &Plan, api: &ClusterApi) -> Result<Granted, Error> {
    if !plan.work.iter().any(|work| work.join.is_some()) {
        return Ok(Granted::nothing());
    }
    let granted = Granted {
        token: Some(plan.context.token.clone()),
    };
    granted.renew(run, api).await?;
    Ok(granted)
}

impl Granted {
    /// No token was needed.
    pub(crate) fn nothing() -> Self {
        Granted { token: None }
    }

    /// Renews the token for as long as it is polled: a slow host may take
    /// longer to prepare than a token lives.
    pub(crate) async fn keep(&self, run: &Run, api: &ClusterApi) -> Infallible {
        loop {
            tokio::time::sleep(RENEWAL).await;
            if let Err(error) = self.renew(run, api).await {
                run.events().warn(format!(
                    "{error}; unless the bootstrap token of this run is renewed, hosts that join \
                     late will be refused"
                ));
            }
        }
    }

    /// Puts the token into the cluster, from now on for [`TOKEN_TTL`].
    async fn renew(&self, run: &Run, api: &ClusterApi) -> Result<(), Error> {
        let Some(token) = &self.token else {
            return Ok(());
        };
        let token = TokenSecret::for_join(
            token.clone(),
            jiff::Timestamp::now() + TOKEN_TTL,
            "clusterctl-rs: lets the workers of one run join",
        );
        let what = format!("Secret kube-system/{}", token.name());
        run.journalled(None, Phase::Join, &what, async {
            Ok(api.applier().apply(&token.object()).await?)
        })
        .await?;
        Ok(())
    }
}

/// Waits until the kubelet of `work` has its certificate and has registered,
/// with a pod CIDR if the pod network needs one.
pub(crate) async fn wait_registered(
    run: &Run,
    work: &Work,
    api: &ClusterApi,
    needs_cidr: bool,
) -> Result<Node, Error> {
    let host = work.host();
    let wanted = |node: &Node| {
        if needs_cidr && pod_cidrs(node).is_empty() {
            return Health::No("the controller manager has not assigned it a pod CIDR".into());
        }
        Health::Ok
    };
    let what = format!("node {} to register", host.node_name);
    let timeout = run.cluster.timeouts.tls_bootstrap;
    match wait_for_node(&api.admin, &host.node_name, &what, timeout, wanted).await {
        Ok(node) => Ok(node),
        Err(error) => Err(diagnose::explain(&work.surveyed.session, error).await),
    }
}
