//! The way to a host: TCP, or a channel of the jump host.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};

use super::ConnectFailure;
use super::session::Session;
use super::{Connector, SshError, Target};

/// Time for one address of several, so that a dead one (IPv6 without a route)
/// does not use up the time of those after it.
const PER_ADDRESS: Duration = Duration::from_secs(3);

/// Bytes both ways.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A stream to the target's sshd, and the session that it goes through.
pub(super) async fn dial(
    target: &Target,
    connector: &Connector,
) -> Result<(Box<dyn Stream>, Option<Session>), SshError> {
    let Some(jump) = &target.jump else {
        return Ok((Box::new(tcp(target).await?), None));
    };
    let through = connector.jump(jump).await?;
    let opening = through.open_forward(&target.address, target.port);
    match timeout(target.connect_timeout, opening).await {
        Ok(Ok(channel)) => Ok((Box::new(channel.into_stream()), Some(through))),
        Ok(Err(SshError::ForwardRefused {
            prohibited: false,
            reason,
            ..
        })) => Err(SshError::Connect {
            host: target.name.clone(),
            address: target.endpoint(),
            kind: ConnectFailure::Unreachable,
            reason: format!("through {}: {reason}", jump.endpoint()),
        }),
        // The jump host's session bears the name of whoever came first.
        Ok(Err(SshError::ForwardRefused {
            to,
            prohibited,
            reason,
            ..
        })) => Err(SshError::ForwardRefused {
            host: target.name.clone(),
            to,
            prohibited,
            reason: format!("jump host {}: {reason}", jump.endpoint()),
        }),
        Ok(Err(SshError::Lost { reason, .. })) => Err(SshError::Lost {
            host: target.name.clone(),
            reason: format!("jump host {}: {reason}", jump.endpoint()),
        }),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(timed_out(target)),
    }
}

async fn tcp(target: &Target) -> Result<TcpStream, SshError> {
    let deadline = Instant::now() + target.connect_timeout;
    let lookup = lookup_host((target.address.as_str(), target.port));
    let addresses: Vec<SocketAddr> = match timeout_at(deadline, lookup).await {
        Err(_) => return Err(unresolved(target, "no answer".into())),
        Ok(Err(error)) => return Err(unresolved(target, error.to_string())),
        Ok(Ok(addresses)) => addresses.collect(),
    };
    let mut last = unresolved(target, "it has no address".into());
    for (index, address) in addresses.iter().enumerate() {
        let until = if index + 1 < addresses.len() {
            deadline.min(Instant::now() + PER_ADDRESS)
        } else {
            deadline
        };
        match timeout_at(until, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Without it, small packets wait for the answer to the last.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = refused(target, address, &error),
            Err(_) => last = timed_out(target),
        }
    }
    Err(last)
}

fn unresolved(target: &Target, reason: String) -> SshError {
    SshError::Resolve {
        host: target.name.clone(),
        name: target.address.clone(),
        reason,
    }
}

fn refused(target: &Target, address: &SocketAddr, error: &std::io::Error) -> SshError {
    use std::io::ErrorKind;
    let kind = match error.kind() {
        ErrorKind::ConnectionRefused => ConnectFailure::Refused,
        ErrorKind::TimedOut => ConnectFailure::TimedOut,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => ConnectFailure::Unreachable,
        _ => ConnectFailure::Other,
    };
    SshError::Connect {
        host: target.name.clone(),
        address: address.to_string(),
        kind,
        reason: error.to_string(),
    }
}

fn timed_out(target: &Target) -> SshError {
    SshError::Connect {
        host: target.name.clone(),
        address: target.endpoint(),
        kind: ConnectFailure::TimedOut,
        reason: format!(
            "no answer within {} s",
            target.connect_timeout.as_secs_f32()
        ),
    }
}
