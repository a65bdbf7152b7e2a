//! A live connection to a host.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use russh::client::Msg;
use russh::{Channel, ChannelOpenFailure, Disconnect};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::error::SshError;
use crate::handshake::{Client, Gone, Shaken};
use crate::shared::Shared;
use crate::target::{Target, endpoint};
use text::terminal::escape;

/// Sessions that run at once on one connection; sshd allows 10 (MaxSessions).
const MAX_SESSIONS: usize = 8;

/// Time for the answer to a request that costs the host nothing.
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);

/// A live connection to a host. Cheap to clone; the connection closes when the
/// last clone and the last run are gone.
#[derive(Clone)]
pub struct Session {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) target: Target,
    pub(crate) shared: Arc<Shared>,
    handle: russh::client::Handle<Client>,
    pub(crate) gone: Gone,
    slots: Arc<Semaphore>,
    /// How many slots there are, taken or not.
    slot_count: AtomicUsize,
    /// Whether sudo has asked for a password.
    sudo_wants_password: AtomicBool,
    cut: CancellationToken,
    _cut_on_drop: DropGuard,
    /// The connection that this one goes through.
    _through: Option<Session>,
}

/// A session that this reference does not keep open.
#[derive(Default)]
pub(crate) struct WeakSession(Weak<Inner>);

impl WeakSession {
    pub(crate) fn upgrade(&self) -> Option<Session> {
        self.0.upgrade().map(|inner| Session { inner })
    }
}

impl Session {
    /// A session over a connection that is logged in. `cut_on_drop` ends it.
    pub(crate) fn new(
        target: Target,
        shared: Arc<Shared>,
        shaken: Shaken,
        cut_on_drop: DropGuard,
        through: Option<Session>,
    ) -> Self {
        Session {
            inner: Arc::new(Inner {
                target,
                shared,
                handle: shaken.handle,
                gone: shaken.gone,
                slots: Arc::new(Semaphore::new(MAX_SESSIONS)),
                slot_count: AtomicUsize::new(MAX_SESSIONS),
                sudo_wants_password: AtomicBool::new(false),
                cut: shaken.cut,
                _cut_on_drop: cut_on_drop,
                _through: through,
            }),
        }
    }

    /// Whether the connection is gone.
    pub fn is_closed(&self) -> bool {
        self.inner.handle.is_closed()
    }

    /// Says goodbye and closes the connection, for all clones. Runs that are
    /// still going end with [`SshError::Lost`], and die on the host.
    pub async fn close(self) {
        let goodbye = self
            .inner
            .handle
            .disconnect(Disconnect::ByApplication, "", "en");
        let _ = timeout(Duration::from_secs(1), goodbye).await;
        // The message is on its way once russh's task has ended.
        for _ in 0..50 {
            if self.is_closed() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.inner.cut.cancel();
    }

    /// A channel to `host:port`, as the host resolves it.
    pub(crate) async fn open_forward(
        &self,
        host: &str,
        port: u16,
    ) -> Result<Channel<Msg>, SshError> {
        let to = endpoint(host, port);
        let (inner, host) = (self.inner.clone(), host.to_string());
        let opening = open_channel(async move {
            // sshd logs the originator; there is none beyond this process.
            inner
                .handle
                .channel_open_direct_tcpip(host, port.into(), "127.0.0.1", 0)
                .await
        });
        let refused = |prohibited, reason: String| SshError::ForwardRefused {
            host: self.host_name(),
            to: to.clone(),
            prohibited,
            reason,
        };
        match timeout(REPLY_TIMEOUT, opening).await {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(russh::Error::ChannelOpenFailure(failure))) => Err(match failure {
                ChannelOpenFailure::AdministrativelyProhibited => {
                    refused(true, "sshd does not allow forwarding".into())
                }
                ChannelOpenFailure::ConnectFailed => {
                    refused(false, "the host cannot connect".into())
                }
                other => refused(false, escape(&format!("{other:?}")).into_owned()),
            }),
            Ok(Err(_)) => Err(self.lost_error()),
            Err(_) => Err(SshError::Timeout {
                host: self.host_name(),
                what: format!("connecting from there to {to}"),
                after: REPLY_TIMEOUT,
            }),
        }
    }

    /// A session channel, and the slot that it takes.
    pub(crate) async fn open_session(
        &self,
    ) -> Result<(Channel<Msg>, OwnedSemaphorePermit), SshError> {
        loop {
            let slots = self.inner.slots.clone();
            let permit = slots
                .clone()
                .acquire_owned()
                .await
                .map_err(|_| self.lost_error())?;
            let inner = self.inner.clone();
            let opening = open_channel(async move { inner.handle.channel_open_session().await });
            match timeout(REPLY_TIMEOUT, opening).await {
                Ok(Ok(channel)) => return Ok((channel, permit)),
                Ok(Err(russh::Error::ChannelOpenFailure(failure))) => {
                    let count = self.inner.slot_count.load(Ordering::SeqCst);
                    if slots.available_permits() + 1 >= count {
                        return Err(SshError::Refused {
                            host: self.host_name(),
                            what: "a session",
                            reason: escape(&format!("{failure:?}")).into_owned(),
                        });
                    }
                    // This sshd allows fewer (MaxSessions): one slot less, and
                    // wait for a turn.
                    permit.forget();
                    self.inner.slot_count.fetch_sub(1, Ordering::SeqCst);
                }
                Ok(Err(_)) => return Err(self.lost_error()),
                Err(_) => {
                    return Err(SshError::Timeout {
                        host: self.host_name(),
                        what: "opening a session".into(),
                        after: REPLY_TIMEOUT,
                    });
                }
            }
        }
    }

    pub(crate) fn host_name(&self) -> String {
        self.inner.target.name.clone()
    }

    pub(crate) fn lost_error(&self) -> SshError {
        SshError::Lost {
            host: self.host_name(),
            reason: self.inner.gone.reason(),
        }
    }

    pub(crate) fn downgrade(&self) -> WeakSession {
        WeakSession(Arc::downgrade(&self.inner))
    }

    pub(crate) fn note_sudo_wants_password(&self) {
        self.inner
            .sudo_wants_password
            .store(true, Ordering::Relaxed);
    }

    pub(crate) fn sudo_wants_password(&self) -> bool {
        self.inner.sudo_wants_password.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("target", &self.inner.target.identity())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// Opens a channel on a task of its own: should the caller go away meanwhile,
/// the channel is closed again, else it would keep its place at sshd.
async fn open_channel(
    opening: impl Future<Output = Result<Channel<Msg>, russh::Error>> + Send + 'static,
) -> Result<Channel<Msg>, russh::Error> {
    let (sender, receiver) = oneshot::channel();
    tokio::spawn(async move {
        if let Err(Ok(mut unwanted)) = sender.send(opening.await) {
            let _ = unwanted.close().await;
            while unwanted.wait().await.is_some() {}
        }
    });
    receiver.await.unwrap_or(Err(russh::Error::Disconnect))
}
