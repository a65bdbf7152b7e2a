//! A TCP connection through the host.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::bytes::{Buf as _, Bytes};

use crate::error::SshError;
use crate::handshake::Gone;
use crate::session::Session;

/// Most bytes that wait for a reader. russh stalls the whole connection for a
/// channel that is not read, so a reader too slow for this loses its channel.
const MAX_WAITING: usize = 64 << 20;

/// A TCP connection through the host: bytes both ways. Dropping it closes the
/// connection; it keeps its [`Session`] open.
pub struct Forward {
    writer: Pin<Box<dyn AsyncWrite + Send + Sync>>,
    arrived: mpsc::UnboundedReceiver<io::Result<Bytes>>,
    waiting: Arc<AtomicUsize>,
    current: Bytes,
    _session: Session,
}

impl Session {
    /// A TCP connection from the host to `host:port`, as the host resolves it.
    ///
    /// # Errors
    ///
    /// [`SshError::ForwardRefused`] if sshd forbids it or can't connect.
    pub async fn forward(&self, host: &str, port: u16) -> Result<Forward, SshError> {
        let channel = self.open_forward(host, port).await?;
        Ok(Forward::new(channel, self.clone()))
    }
}

impl Forward {
    fn new(channel: Channel<Msg>, session: Session) -> Self {
        let (read, write) = channel.split();
        let writer = Box::pin(write.make_writer());
        let (sender, arrived) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let gone = session.inner.gone.clone();
        tokio::spawn(pump_channel(read, write, sender, waiting.clone(), gone));
        Forward {
            writer,
            arrived,
            waiting,
            current: Bytes::new(),
            _session: session,
        }
    }
}

/// Takes what arrives off russh's hands, until either side is done.
async fn pump_channel(
    mut read: ChannelReadHalf,
    write: ChannelWriteHalf<Msg>,
    sender: mpsc::UnboundedSender<io::Result<Bytes>>,
    waiting: Arc<AtomicUsize>,
    gone: Gone,
) {
    loop {
        let message = tokio::select! {
            message = read.wait() => message,
            () = sender.closed() => break,
        };
        match message {
            Some(ChannelMsg::Data { data }) => {
                let before = waiting.fetch_add(data.len(), Ordering::Relaxed);
                if before + data.len() > MAX_WAITING {
                    let _ = sender.send(Err(io::Error::other("the reader is too slow")));
                    break;
                }
                let _ = sender.send(Ok(data));
            }
            Some(ChannelMsg::Eof) => {
                let _ = sender.send(Ok(Bytes::new()));
            }
            Some(ChannelMsg::Close) => return,
            Some(_) => {}
            None => {
                let lost = format!("SSH connection lost: {}", gone.reason());
                let _ = sender.send(Err(io::Error::new(io::ErrorKind::ConnectionReset, lost)));
                return;
            }
        }
    }
    let _ = write.close().await;
    // Until sshd has answered, data may still come, and has to be taken off the channel.
    let _ = timeout(Duration::from_secs(5), async {
        while read.wait().await.is_some() {}
    })
    .await;
}

impl AsyncRead for Forward {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.current.is_empty() {
            match ready!(self.arrived.poll_recv(context)) {
                Some(Ok(data)) => {
                    self.waiting.fetch_sub(data.len(), Ordering::Relaxed);
                    self.current = data;
                }
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = self.current.len().min(buffer.remaining());
        buffer.put_slice(&self.current[..length]);
        self.current.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Forward {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        // russh takes an empty write for an error.
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.writer.as_mut().poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.as_mut().poll_shutdown(context)
    }
}

impl std::fmt::Debug for Forward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forward").finish_non_exhaustive()
    }
}
