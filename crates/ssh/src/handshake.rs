//! The handshake: who the other side is, decided by known_hosts.

use std::borrow::Cow;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use russh::client::{self, DisconnectReason};
use russh::keys::{Algorithm, PublicKey, PublicKeyOrCertificate};
use russh::{Channel, Preferred, compression};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::error::SshError;
use crate::evidence::Evidence;
use crate::target::Target;
use text::terminal::escape;

/// Receive window of a channel, in bytes: bounds downloads to window ÷ RTT.
const WINDOW: u32 = 16 << 20;

/// A silent connection is given up after interval × (count + 1): 20 s.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_COUNT: usize = 3;

/// What to do with the key that a host presents.
#[derive(Clone)]
pub(crate) enum Policy {
    /// Hold it against what is known of the host, which has this address.
    Verify(Arc<Evidence>, Option<IpAddr>),
    /// Record it and end the connection.
    Record(Arc<Mutex<Option<PublicKey>>>),
}

/// Our end of a connection, as russh calls it.
pub(crate) struct Client {
    target: Target,
    policy: Policy,
    /// Why the connection ended.
    gone: Gone,
}

/// Why a connection ended, for those who notice it later.
#[derive(Clone, Default)]
pub(crate) struct Gone(Arc<Mutex<Option<String>>>);

impl Gone {
    fn set(&self, reason: String) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(reason);
    }

    pub(crate) fn reason(&self) -> String {
        let reason = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reason
            .clone()
            .unwrap_or_else(|| "the host closed the connection".into())
    }
}

/// Errors inside russh's event loop: its own, or our verdict on the host.
#[derive(Debug)]
pub(crate) enum HandlerError {
    Verdict(Box<SshError>),
    Russh(russh::Error),
}

impl From<russh::Error> for HandlerError {
    fn from(error: russh::Error) -> Self {
        HandlerError::Russh(error)
    }
}

type Reply = client::ChannelOpenHandle;

impl client::Handler for Client {
    type Error = HandlerError;

    async fn check_server_key(
        &mut self,
        presented: &PublicKeyOrCertificate,
    ) -> Result<bool, HandlerError> {
        match &self.policy {
            Policy::Verify(evidence, address) => {
                match evidence.judge(&self.target, presented, *address).await {
                    Ok(()) => Ok(true),
                    Err(error) => Err(HandlerError::Verdict(Box::new(error))),
                }
            }
            Policy::Record(slot) => {
                let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
                *slot = Some(presented.public_key());
                Ok(false)
            }
        }
    }

    async fn disconnected(
        &mut self,
        reason: DisconnectReason<HandlerError>,
    ) -> Result<(), HandlerError> {
        self.gone.set(match &reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                format!("the host disconnected: {}", escape(info.message.trim()))
            }
            DisconnectReason::Error(HandlerError::Russh(russh::Error::KeepaliveTimeout)) => {
                "the host stopped responding".into()
            }
            DisconnectReason::Error(HandlerError::Russh(
                russh::Error::Disconnect | russh::Error::HUP,
            )) => "the host closed the connection".into(),
            DisconnectReason::Error(HandlerError::Russh(error)) => error.to_string(),
            DisconnectReason::Error(HandlerError::Verdict(error)) => error.to_string(),
        });
        match reason {
            DisconnectReason::ReceivedDisconnect(_) => Ok(()),
            DisconnectReason::Error(error) => Err(error),
        }
    }

    /// OpenSSH announces its keys right after the login, and holds back what
    /// follows until we acknowledge that (Nagle's algorithm, which it turns off
    /// only later). The acknowledgement alone would wait for 40 ms; it travels
    /// at once with a message that wants no reply.
    async fn openssh_ext_host_keys_announced(
        &mut self,
        _: Vec<PublicKey>,
        session: &mut client::Session,
    ) -> Result<(), HandlerError> {
        session.send_keepalive(false)?;
        Ok(())
    }

    // A host has no business opening channels to us. russh accepts them by
    // default; a reply that is dropped is a refusal.

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _: Channel<client::Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _refused: Reply,
        _: &mut client::Session,
    ) -> Result<(), HandlerError> {
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: Channel<client::Msg>,
        _: &str,
        _refused: Reply,
        _: &mut client::Session,
    ) -> Result<(), HandlerError> {
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _: Channel<client::Msg>,
        _refused: Reply,
        _: &mut client::Session,
    ) -> Result<(), HandlerError> {
        Ok(())
    }

    async fn server_channel_open_session(
        &mut self,
        _: Channel<client::Msg>,
        _refused: Reply,
        _: &mut client::Session,
    ) -> Result<(), HandlerError> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<client::Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _refused: Reply,
        _: &mut client::Session,
    ) -> Result<(), HandlerError> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<client::Msg>,
        _: &str,
        _refused: Reply,
        _: &mut client::Session,
    ) -> Result<(), HandlerError> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _: Channel<client::Msg>,
        _: &str,
        _: u32,
        _refused: Reply,
        _: &mut client::Session,
    ) -> Result<(), HandlerError> {
        Ok(())
    }
}

/// A connection that has its keys.
pub(crate) struct Shaken {
    pub(crate) handle: client::Handle<Client>,
    pub(crate) gone: Gone,
    /// Cuts the stream. russh's task would otherwise wait for a peer that has
    /// fallen silent.
    pub(crate) cut: CancellationToken,
}

/// Shakes hands over `stream`, which leads to the target.
///
/// `only` restricts the host key algorithms, to ask for one particular key.
pub(crate) async fn shake_hands(
    target: &Target,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    policy: Policy,
    only: Option<&[Algorithm]>,
) -> Result<Shaken, SshError> {
    let config = client_config(target, &policy, only);
    let gone = Gone::default();
    let client = Client {
        target: target.clone(),
        policy,
        gone: gone.clone(),
    };
    let cut = CancellationToken::new();
    let stream = Cuttable {
        stream,
        cut: Box::pin(cut.clone().cancelled_owned()),
    };
    let shaking = client::connect_stream(Arc::new(config), stream, client);
    let guard = cut.clone().drop_guard();
    match tokio::time::timeout(target.connect_timeout, shaking).await {
        Ok(Ok(handle)) => Ok(Shaken {
            handle,
            gone,
            cut: guard.disarm(),
        }),
        Ok(Err(HandlerError::Verdict(error))) => Err(*error),
        Ok(Err(HandlerError::Russh(error))) => Err(SshError::Handshake {
            host: target.name.clone(),
            address: target.endpoint(),
            reason: explain_failure(&error),
        }),
        Err(_) => Err(SshError::Timeout {
            host: target.name.clone(),
            what: format!("the SSH handshake with {}", target.endpoint()),
            after: target.connect_timeout,
        }),
    }
}

/// What we offer the host: first of all the keys that it is known by.
fn client_config(target: &Target, policy: &Policy, only: Option<&[Algorithm]>) -> client::Config {
    let name = target.known_hosts_name();
    let allowed = &target.algorithms;
    let (keys, certificates) = match (policy, only) {
        (_, Some(only)) => (only.to_vec(), Vec::new()),
        (Policy::Verify(evidence, _), None) => {
            let known = evidence.known();
            let keys = order_known_first(&allowed.host_keys, &known.known_algorithms(name));
            // Without a plain one to fall back to, a certificate is all that may be asked for.
            let asks = known.has_authority(name) || keys.is_empty();
            let certificates = allowed.host_certificates.clone();
            (keys, if asks { certificates } else { Vec::new() })
        }
        (Policy::Record(_), None) => (allowed.host_keys.clone(), Vec::new()),
    };
    client::Config {
        window_size: WINDOW,
        keepalive_interval: Some(KEEPALIVE_INTERVAL),
        keepalive_max: KEEPALIVE_COUNT,
        // Long silent commands are normal; the keepalive tells a dead host.
        inactivity_timeout: None,
        preferred: Preferred {
            key: Cow::Owned(keys),
            host_key_certificates: Cow::Owned(certificates),
            kex: Cow::Owned(allowed.kex.clone()),
            cipher: Cow::Owned(allowed.ciphers.clone()),
            mac: Cow::Owned(allowed.macs.clone()),
            // What is worth compressing is compressed already.
            compression: Cow::Borrowed(&[compression::NONE]),
        },
        ..client::Config::default()
    }
}

/// All that are allowed, those first that the host is known by: it may have keys
/// of several algorithms, of which we know one.
fn order_known_first(allowed: &[Algorithm], known: &[Algorithm]) -> Vec<Algorithm> {
    let is_known = |algorithm: &Algorithm| match algorithm {
        Algorithm::Rsa { .. } => known.iter().any(|one| matches!(one, Algorithm::Rsa { .. })),
        other => known.contains(other),
    };
    let (mut first, rest): (Vec<_>, Vec<_>) = allowed.iter().cloned().partition(is_known);
    first.extend(rest);
    first
}

fn explain_failure(error: &russh::Error) -> String {
    match error {
        russh::Error::NoCommonAlgo { kind, theirs, .. } => format!(
            "no {} algorithm in common; the host offers {}",
            format!("{kind:?}").to_lowercase(),
            escape(&theirs.join(", "))
        ),
        russh::Error::Version => "it does not speak SSH".into(),
        russh::Error::Disconnect | russh::Error::HUP => {
            "it closed the connection (sshd does so when too many connect at once: MaxStartups)"
                .into()
        }
        other => escape(&other.to_string()).into_owned(),
    }
}

/// A stream that ends as soon as its token is cancelled.
struct Cuttable<S> {
    stream: S,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Cuttable<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Cuttable<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        if self.cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.stream).poll_write(context, buffer)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithms::HOST_KEY_ALGORITHMS;

    #[test]
    fn known_algorithms_are_asked_for_first() {
        let order = order_known_first(&HOST_KEY_ALGORITHMS, &[Algorithm::Rsa { hash: None }]);
        assert!(
            order[..2]
                .iter()
                .all(|one| matches!(one, Algorithm::Rsa { .. })),
            "{order:?}"
        );
        assert_eq!(order.len(), HOST_KEY_ALGORITHMS.len());
        assert_eq!(
            order_known_first(&HOST_KEY_ALGORITHMS, &[]),
            HOST_KEY_ALGORITHMS
        );
    }
}
