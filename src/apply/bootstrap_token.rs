//! Phase `bootstrap-token`: RBAC for joining nodes, cluster-info and the user's own tokens
//! (rendered by `kubernetes/objects.rs`); and the token for the workers of one run.

use std::convert::Infallible;
use std::time::Duration;

use jiff::SignedDuration;

use super::execution::Execution;
use super::objects::Changes;
use crate::kubernetes::{Token, TokenSecret};
use crate::run::error::Error;
use crate::run::phase::Phase;

/// Applies the objects.
///
/// # Errors
/// An error of the API.
pub(super) async fn apply(execution: &Execution<'_>, changes: &Changes) -> Result<(), Error> {
    changes.apply_phase(execution, Phase::BootstrapToken).await
}

/// How long the token of a run is valid after its last renewal. Long enough for a kubelet's
/// bootstrap, and for kubeadm's tools, which expect a token and `cluster-info` to be signed
/// with it.
pub(super) const TOKEN_TTL: SignedDuration = SignedDuration::from_mins(10);

/// How often a run renews its token: two renewals may fail.
const RENEWAL: Duration = Duration::from_mins(3);

/// The token of this run. It is never deleted: it is renewed while the run lasts, like a
/// lease, and the cluster removes it minutes later, whether the run ended or was killed.
#[derive(Debug)]
pub(super) struct RunToken {
    token: Option<Token>,
}

/// Creates the token, if workers will join.
///
/// # Errors
/// An error of the API.
pub(super) async fn create_for_run(execution: &Execution<'_>) -> Result<RunToken, Error> {
    let joins = execution.needs_api() && execution.plan.needs_join_token();
    let created = RunToken {
        token: joins.then(|| execution.plan.context.token.clone()),
    };
    created.renew(execution).await?;
    Ok(created)
}

impl RunToken {
    /// Renews the token for as long as it is polled: preparing a slow host may take longer
    /// than the token is valid.
    pub(super) async fn keep_alive(&self, execution: &Execution<'_>) -> Infallible {
        loop {
            tokio::time::sleep(RENEWAL).await;
            if let Err(error) = self.renew(execution).await {
                execution.run.events().warn(format!(
                    "{error}; unless the bootstrap token of this run is renewed, hosts that \
                     join late will be refused"
                ));
            }
        }
    }

    /// Creates the token or extends it, to expire after [`TOKEN_TTL`].
    async fn renew(&self, execution: &Execution<'_>) -> Result<(), Error> {
        let Some(token) = &self.token else {
            return Ok(());
        };
        let token = TokenSecret::for_join(
            token.clone(),
            jiff::Timestamp::now() + TOKEN_TTL,
            "clusterctl-rs: lets the workers of one run join",
        );
        let what = format!("Secret kube-system/{}", token.name());
        let applied = async { Ok(execution.api.applier().apply(&token.object()).await?) };
        let run = execution.run;
        run.journalled(None, Phase::Join, &what, applied).await?;
        Ok(())
    }
}
