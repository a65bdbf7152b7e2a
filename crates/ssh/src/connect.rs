//! From a target to a live session: the way there, the handshake, the login.
//!
//! Jump hosts make this recursive: the way to a host is a channel of the
//! session with its jump host, which is connected in the same way.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::auth::{LoggedIn, Prepared};
use crate::connector::Connector;
use crate::error::{ConnectFailure, SshError};
use crate::evidence::Evidence;
use crate::handshake::{Policy, shake_hands};
use crate::proxy_command::start_proxy;
use crate::session::Session;
use crate::target::{Route, Target};
use crate::tcp::{self, TcpWatch};
use crate::way::Way;

/// Bytes both ways.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Transport for S {}

impl Session {
    /// Connects, through jump hosts or a command where the target has any, verifies each
    /// host's key and logs in.
    ///
    /// # Errors
    ///
    /// See [`SshError`]; each step has its own, and its own timeout
    /// ([`Target::connect_timeout`]). Only for a signature of the agent's is waited as long as
    /// sshd does.
    pub async fn connect(target: &Target, connector: &Connector) -> Result<Session, SshError> {
        let evidence = Arc::new(Evidence::gather(target).await?);
        // Before there is a connection: whoever has to type a passphrase may
        // take longer than sshd waits for a login.
        let mut keys = Prepared::new(target, &connector.shared).await;
        let mut through = None;
        loop {
            let (stream, mut way) = dial(target, connector, through.take()).await?;
            connector.shared.count_connection();
            let policy = Policy::Verify(evidence.clone(), way.address());
            let mut shaken = match shake_hands(target, stream, policy, None).await {
                Ok(shaken) => shaken,
                Err(error) => return Err(way.explain(target, error).await),
            };
            let cut_on_drop = shaken.cut.clone().drop_guard();
            match keys.log_in(&mut shaken, &way).await? {
                LoggedIn::Yes => {
                    return Ok(Session::new(
                        target.clone(),
                        connector.shared.clone(),
                        shaken,
                        cut_on_drop,
                        way.through,
                    ));
                }
                LoggedIn::TurnHasCome => {
                    through = way.through.filter(|session| !session.is_closed());
                    // The login to a jump host takes a turn itself.
                    if matches!(target.route, Route::Jump(_)) && through.is_none() {
                        keys.give_up_turn();
                    }
                }
            }
        }
    }
}

/// A stream to the target's sshd, and what leads there. `through` is the jump host's session if
/// there was one before.
pub(crate) async fn dial(
    target: &Target,
    connector: &Connector,
    through: Option<Session>,
) -> Result<(Box<dyn Transport>, Way), SshError> {
    let mut way = Way::default();
    let stream: Box<dyn Transport> = match &target.route {
        Route::Direct(options) => {
            let stream = tcp::connect_tcp(target, options).await?;
            way.watch = TcpWatch::new(&stream).ok();
            Box::new(stream)
        }
        Route::Command(command) => {
            let started = start_proxy(command).map_err(|error| SshError::ProxyCommand {
                host: target.name.clone(),
                command: command.clone(),
                reason: error.to_string(),
            })?;
            way.proxy = Some(started.1);
            Box::new(started.0)
        }
        Route::Jump(jump) => {
            let session = match through {
                Some(session) => session,
                None => connect_jump_host(jump, connector).await?,
            };
            let stream = open_through(target, jump, &session).await?;
            way.through = Some(session);
            stream
        }
    };
    Ok((stream, way))
}

async fn open_through(
    target: &Target,
    jump: &Target,
    session: &Session,
) -> Result<Box<dyn Transport>, SshError> {
    let opening = session.open_forward(&target.address, target.port);
    match timeout(target.connect_timeout, opening).await {
        Ok(Ok(channel)) => Ok(Box::new(channel.into_stream())),
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
