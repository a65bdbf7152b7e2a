//! TCP to a host's sshd.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::{Instant, sleep, timeout_at};

use crate::config::AddressFamily;
use crate::error::{ConnectFailure, SshError};
use crate::target::{Target, TcpOptions};

/// Time for one address of several, so that a dead one (IPv6 without a route)
/// does not use up the time of those after it.
const PER_ADDRESS: Duration = Duration::from_secs(3);

/// Between attempts, as `ssh` has it.
const PAUSE: Duration = Duration::from_secs(1);

/// Connects to the first of the target's addresses that accepts, as often as the options say.
pub(crate) async fn connect_tcp(
    target: &Target,
    options: &TcpOptions,
) -> Result<TcpStream, SshError> {
    let mut attempts = options.attempts;
    loop {
        match connect_once(target, options).await {
            Err(SshError::Connect { .. }) if attempts > 1 => {
                attempts -= 1;
                sleep(PAUSE).await;
            }
            result => return result,
        }
    }
}

async fn connect_once(target: &Target, options: &TcpOptions) -> Result<TcpStream, SshError> {
    let deadline = Instant::now() + target.connect_timeout;
    let lookup = lookup_host((target.address.as_str(), target.port));
    let addresses: Vec<SocketAddr> = match timeout_at(deadline, lookup).await {
        Err(_) => return Err(resolve_error(target, "no answer".into())),
        Ok(Err(error)) => return Err(resolve_error(target, error.to_string())),
        Ok(Ok(addresses)) => addresses.filter(|one| is_of_family(one, options)).collect(),
    };
    let mut last = resolve_error(target, "it has no address that may be used".into());
    for (index, address) in addresses.iter().enumerate() {
        let until = if index + 1 < addresses.len() {
            deadline.min(Instant::now() + PER_ADDRESS)
        } else {
            deadline
        };
        match timeout_at(until, connect_from(options, *address)).await {
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

fn is_of_family(address: &SocketAddr, options: &TcpOptions) -> bool {
    match options.family {
        AddressFamily::Any => true,
        AddressFamily::Inet => address.is_ipv4(),
        AddressFamily::Inet6 => address.is_ipv6(),
    }
}

/// Connects from the address or interface that the options name, if any.
async fn connect_from(options: &TcpOptions, to: SocketAddr) -> std::io::Result<TcpStream> {
    let cannot_bind = |what: &str, why: &dyn std::fmt::Display| {
        std::io::Error::other(format!("cannot connect from {what}: {why}"))
    };
    let socket = match to {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if let Some(name) = &options.bind_address {
        let own = lookup_host((name.as_str(), 0)).await;
        let own = own.map_err(|error| cannot_bind(name, &error))?;
        let own = own.into_iter().find(|own| own.is_ipv4() == to.is_ipv4());
        let own = own.ok_or_else(|| cannot_bind(name, &"it is of another address family"))?;
        socket
            .bind(own)
            .map_err(|error| cannot_bind(name, &error))?;
    } else if let Some(name) = &options.bind_interface {
        let bound = socket.bind_device(Some(name.as_bytes()));
        bound.map_err(|error| cannot_bind(name, &error))?;
    }
    socket.connect(to).await
}

/// A second look at a connection, which whoever reads it may be too busy to take.
#[derive(Debug)]
pub(crate) struct TcpWatch(TcpStream);

impl TcpWatch {
    pub(crate) fn new(stream: &TcpStream) -> std::io::Result<Self> {
        let second = std::net::TcpStream::from(stream.as_fd().try_clone_to_owned()?);
        Ok(TcpWatch(TcpStream::from_std(second)?))
    }

    /// The address of the other side.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.0.peer_addr().ok().map(|peer| peer.ip().to_canonical())
    }

    /// Waits until the other side has hung up.
    pub(crate) async fn closed(&self) {
        while let Ok(ready) = self.0.ready(Interest::READABLE).await {
            if ready.is_read_closed() {
                return;
            }
            // There is something to read, which is not ours to do.
            sleep(Duration::from_millis(200)).await;
        }
    }
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
