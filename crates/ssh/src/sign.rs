//! Signatures to log in with: by a private key in memory, or by the agent.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use russh::Signer;
use russh::keys::agent::AgentIdentity;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_encoding::Encode;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{HashAlg, PrivateKey};
use tokio::time::{Instant, sleep_until, timeout};

use crate::agent::{Agent, Turn};
use crate::way::Way;

/// How long a connection may have waited for the agent and still be used. sshd closes it after
/// LoginGraceTime, of which enough has to be left for the operator to act.
const FRESH: Duration = Duration::from_secs(10);

/// Having waited this long, a connection that breaks has lost its time to others.
const NOTABLE: Duration = Duration::from_secs(1);

/// How long the operator may take to answer a question that has become pointless.
const ABANDONED: Duration = Duration::from_secs(30);

/// Why there is no signature.
#[derive(Debug)]
pub(crate) enum SignError {
    /// The connection is gone.
    Send,
    /// The key or the agent failed.
    Failed(String),
    /// The turn has come, but the connection has waited too long for it.
    Stale,
    /// The host hung up while the agent was asked.
    HungUp,
}

impl From<russh::SendError> for SignError {
    fn from(_: russh::SendError) -> Self {
        SignError::Send
    }
}

/// Signs with a key in memory.
pub(crate) struct KeySigner(pub(crate) Arc<PrivateKey>);

impl Signer for KeySigner {
    type Error = SignError;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        hash: Option<HashAlg>,
        mut data: Vec<u8>,
    ) -> Result<Vec<u8>, SignError> {
        let signature = match self.0.key_data() {
            KeypairData::Rsa(rsa) => (rsa, hash).try_sign(&data),
            _ => self.0.try_sign(&data),
        };
        let failed = |error: &dyn std::fmt::Display| SignError::Failed(error.to_string());
        let signature = signature.map_err(|error| failed(&error))?;
        let mut blob = Vec::new();
        signature
            .encode(&mut blob)
            .map_err(|error| failed(&error))?;
        blob.encode(&mut data).map_err(|error| failed(&error))?;
        Ok(data)
    }
}

/// Has the agent sign when it is this host's turn.
pub(crate) struct AgentSigner<'a> {
    pub(crate) agent: &'a Agent,
    /// What the agent knows the key by.
    pub(crate) key: &'a AgentIdentity,
    pub(crate) way: &'a Way,
    pub(crate) busy: &'a Busy,
    /// The turn, from the moment it has come.
    pub(crate) turn: &'a mut Option<Turn>,
    /// Whether the turn is kept for the whole login, which came back for it.
    pub(crate) keeps_turn: bool,
    /// How long it was waited for.
    pub(crate) waited: Duration,
}

impl Signer for AgentSigner<'_> {
    type Error = SignError;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        hash: Option<HashAlg>,
        data: Vec<u8>,
    ) -> Result<Vec<u8>, SignError> {
        let _working = self.busy.begin();
        let turn = match self.turn.take() {
            Some(turn) => turn,
            None => {
                let begun = Instant::now();
                let turn = self.agent.wait_for_turn().await;
                self.waited = begun.elapsed();
                turn
            }
        };
        let is_closed = || self.way.closed().now_or_never().is_some();
        if !self.keeps_turn && (self.waited > FRESH || is_closed()) {
            *self.turn = Some(turn);
            return Err(SignError::Stale);
        }
        let result = self.ask(&turn, hash, data).await;
        if self.keeps_turn || matches!(result, Err(SignError::Stale)) {
            *self.turn = Some(turn);
        }
        result
    }
}

impl AgentSigner<'_> {
    /// Waits for the signature, as long as the host waits for us.
    async fn ask(
        &self,
        turn: &Turn,
        hash: Option<HashAlg>,
        data: Vec<u8>,
    ) -> Result<Vec<u8>, SignError> {
        let mut signing = std::pin::pin!(self.agent.sign(turn, self.key, hash, data));
        tokio::select! {
            biased;
            () = self.way.closed() => {
                // The question can't be taken back. The next one waits until it is answered.
                let _ = timeout(ABANDONED, &mut signing).await;
                Err(match self.lost_time() {
                    true => SignError::Stale,
                    false => SignError::HungUp,
                })
            }
            signed = &mut signing => {
                signed.map_err(|error| SignError::Failed(format!("the agent did not sign: {error}")))
            }
        }
    }

    /// Whether the host may have hung up because others had their turn first.
    pub(crate) fn lost_time(&self) -> bool {
        self.waited >= NOTABLE
    }
}

/// Whether a signature is being made, which no time of ours limits.
#[derive(Debug, Default)]
pub(crate) struct Busy(Mutex<Since>);

#[derive(Debug, Default, Clone, Copy)]
enum Since {
    #[default]
    Never,
    Now,
    Ended(Instant),
}

/// Until it is dropped, a signature is being made.
struct Working<'a>(&'a Busy);

impl Busy {
    fn begin(&self) -> Working<'_> {
        self.set(Since::Now);
        Working(self)
    }

    fn set(&self, since: Since) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// What a future gives, unless it takes longer than `limit` without a signature being made;
    /// `None` then.
    pub(crate) async fn limit<T>(
        &self,
        limit: Duration,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        let mut future = std::pin::pin!(future);
        let mut deadline = Instant::now() + limit;
        loop {
            tokio::select! {
                biased;
                value = &mut future => return Some(value),
                () = sleep_until(deadline) => {}
            }
            let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            deadline = match since {
                Since::Now => Instant::now() + limit,
                Since::Ended(at) if at + limit > Instant::now() => at + limit,
                Since::Never | Since::Ended(_) => return None,
            };
        }
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.set(Since::Ended(Instant::now()));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn signatures_take_as_long_as_they_take() {
        let busy = Busy::default();
        let second = Duration::from_secs(1);
        let login = async {
            sleep(second / 2).await;
            let working = busy.begin();
            sleep(100 * second).await;
            drop(working);
            sleep(second / 2).await;
            7
        };
        assert_eq!(busy.limit(second, login).await, Some(7));
        assert_eq!(busy.limit(second, sleep(2 * second)).await, None);
    }
}
