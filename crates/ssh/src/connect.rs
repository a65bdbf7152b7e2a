//! From a target to a live session: the way there, the handshake, the login.
//!
//! Jump hosts make this recursive: the way to a host is a channel of the
//! session with its jump host, which is connected in the same way.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::connector::Connector;
use crate::error::{ConnectFailure, SshError};
use crate::handshake::{Policy, shake_hands};
use crate::known_hosts::KnownHosts;
use crate::session::Session;
use crate::target::Target;
use crate::{auth, tcp};

/// Bytes both ways.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Transport for S {}

impl Session {
    /// Connects, through jump hosts where the target has any, verifies each
    /// host's key and logs in.
    ///
    /// # Errors
    ///
    /// See [`SshError`]; each step has its own, and its own timeout
    /// ([`Target::connect_timeout`]).
    pub async fn connect(target: &Target, connector: &Connector) -> Result<Session, SshError> {
        let known = Arc::new(KnownHosts::load(&target.known_hosts)?);
        // Before there is a connection: whoever has to type a passphrase may
        // take longer than sshd waits for a login.
        let keys = auth::prepare(target, &connector.shared.secrets).await;
        let (stream, through) = dial(target, connector).await?;
        connector.shared.count_connection();
        let mut shaken = shake_hands(target, stream, Policy::Verify(known), None).await?;
        let cut_on_drop = shaken.cut.clone().drop_guard();
        auth::log_in(target, &mut shaken, &connector.shared.secrets, keys).await?;
        Ok(Session::new(
            target.clone(),
            connector.shared.clone(),
            shaken,
            cut_on_drop,
            through,
        ))
    }
}

/// A stream to the target's sshd, and the session that it goes through.
pub(crate) async fn dial(
    target: &Target,
    connector: &Connector,
) -> Result<(Box<dyn Transport>, Option<Session>), SshError> {
    let Some(jump) = &target.jump else {
        return Ok((Box::new(tcp::connect_tcp(target).await?), None));
    };
    let through = connect_jump_host(jump, connector).await?;
    let opening = through.open_forward(&target.address, target.port);
    match timeout(target.connect_timeout, opening).await {
        Ok(Ok(channel)) => Ok((Box::new(channel.into_stream()), Some(through))),
        Ok(Err(error)) => Err(blame_jump_host(target, jump, error)),
        Err(_) => Err(tcp::timeout_error(target)),
    }
}

/// The session with a jump host: the one that is open, or a new one.
async fn connect_jump_host(jump: &Target, connector: &Connector) -> Result<Session, SshError> {
    let slot = connector.jump_slot(jump);
    let mut slot = slot.lock().await;
    if let Some(session) = slot.upgrade().filter(|session| !session.is_closed()) {
        return Ok(session);
    }
    let session = Box::pin(Session::connect(jump, connector)).await?;
    *slot = session.downgrade();
    Ok(session)
}

/// The error of a jump host's session as one of the target behind it: the
/// session has the name of the target that came first.
fn blame_jump_host(target: &Target, jump: &Target, error: SshError) -> SshError {
    let host = target.name.clone();
    match error {
        SshError::ForwardRefused {
            prohibited: false,
            reason,
            ..
        } => SshError::Connect {
            host,
            address: target.endpoint(),
            kind: ConnectFailure::Unreachable,
            reason: format!("through {}: {reason}", jump.endpoint()),
        },
        SshError::ForwardRefused {
            to,
            prohibited,
            reason,
            ..
        } => SshError::ForwardRefused {
            host,
            to,
            prohibited,
            reason: format!("jump host {}: {reason}", jump.endpoint()),
        },
        SshError::Lost { reason, .. } => SshError::Lost {
            host,
            reason: format!("jump host {}: {reason}", jump.endpoint()),
        },
        other => other,
    }
}
