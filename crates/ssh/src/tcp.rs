//! TCP to a host's sshd.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use crate::error::{ConnectFailure, SshError};
use crate::target::Target;

/// Time for one address of several, so that a dead one (IPv6 without a route)
/// does not use up the time of those after it.
const PER_ADDRESS: Duration = Duration::from_secs(3);

/// Connects to the first of the target's addresses that accepts.
pub(crate) async fn connect_tcp(target: &Target) -> Result<TcpStream, SshError> {
    let deadline = Instant::now() + target.connect_timeout;
    let lookup = lookup_host((target.address.as_str(), target.port));
    let addresses: Vec<SocketAddr> = match timeout_at(deadline, lookup).await {
        Err(_) => return Err(resolve_error(target, "no answer".into())),
        Ok(Err(error)) => return Err(resolve_error(target, error.to_string())),
        Ok(Ok(addresses)) => addresses.collect(),
    };
    let mut last = resolve_error(target, "it has no address".into());
    for (index, address) in addresses.iter().enumerate() {
        let until = if index + 1 < addresses.len() {
            deadline.min(Instant::now() + PER_ADDRESS)
        } else {
            deadline
        };
        match timeout_at(until, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Otherwise small packets wait until the one before is
                // acknowledged (Nagle's algorithm).
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = connect_error(target, address, &error),
            Err(_) => last = timeout_error(target),
        }
    }
    Err(last)
}

fn resolve_error(target: &Target, reason: String) -> SshError {
    SshError::Resolve {
        host: target.name.clone(),
        name: target.address.clone(),
        reason,
    }
}

fn connect_error(target: &Target, address: &SocketAddr, error: &std::io::Error) -> SshError {
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

pub(crate) fn timeout_error(target: &Target) -> SshError {
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
