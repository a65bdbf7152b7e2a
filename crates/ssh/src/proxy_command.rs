//! `ProxyCommand`: a command whose standard input and output lead to sshd.

use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use text::terminal::escape;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, Join, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How much of what the command says is kept, in bytes.
const KEPT: usize = 4096;

/// How long it may take to end by itself, once its input has ended or its output has.
const GRACE: Duration = Duration::from_secs(1);

/// Runs the user's shell, as `ssh` does, but with interrupts ignored: Ctrl-C goes to all
/// processes of the terminal, and a run that is interrupted still needs its connections.
const START: &str = "trap '' INT; exec \"$0\" -c \"$1\"";

/// Bytes both ways. Dropping it ends the command.
pub(crate) struct ProxyStream {
    pipes: Join<ChildStdout, ChildStdin>,
    _ends_command: DropGuard,
}

/// What became of the command.
#[derive(Debug)]
pub(crate) struct ProxyLog {
    said: Arc<Mutex<Vec<u8>>>,
    status: watch::Receiver<Option<String>>,
}

/// Starts the command, with its tokens expanded already.
pub(crate) fn start_proxy(command: &str) -> std::io::Result<(ProxyStream, ProxyLog)> {
    let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty());
    let mut child = Command::new("/bin/sh")
        .args(["-c", START])
        .arg(shell.unwrap_or_else(|| "/bin/sh".into()))
        .arg(format!("exec {command}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (Some(stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(std::io::Error::other("it has no pipes"));
    };
    let said = Arc::new(Mutex::default());
    let (sender, status) = watch::channel(None);
    let end = CancellationToken::new();
    let listening = tokio::spawn(keep_last_words(stderr, said.clone()));
    let ended = end.clone();
    tokio::spawn(async move {
        let status = wait_for(child, ended).await;
        // What it said last may still be in the pipe.
        let _ = timeout(GRACE, listening).await;
        sender.send_replace(Some(status));
    });
    let stream = ProxyStream {
        pipes: tokio::io::join(stdout, stdin),
        _ends_command: end.drop_guard(),
    };
    Ok((stream, ProxyLog { said, status }))
}

/// Waits until the command ends, and makes it end once it is not needed.
async fn wait_for(mut child: Child, end: CancellationToken) -> String {
    let status = tokio::select! {
        status = child.wait() => status,
        () = end.cancelled() => match timeout(GRACE, child.wait()).await {
            Ok(status) => status,
            Err(_) => {
                let _ = child.start_kill();
                child.wait().await
            }
        },
    };
    match status {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    }
}

async fn keep_last_words(mut stderr: ChildStderr, said: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = stderr.read(&mut buffer).await {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.extend_from_slice(&buffer[..length]);
        let surplus = said.len().saturating_sub(KEPT);
        said.drain(..surplus);
    }
}

impl ProxyLog {
    /// How the command ended by itself and what it said; `None` if it has told nothing.
    pub(crate) async fn explain_end(&mut self) -> Option<String> {
        let ended = timeout(2 * GRACE, self.status.wait_for(Option::is_some)).await;
        let status = ended.ok().and_then(|ended| ended.ok()?.clone());
        match (status, self.last_words()) {
            (None, said) => said,
            (Some(status), None) => Some(format!("it ended with {status}")),
            (Some(status), Some(said)) => Some(format!("it ended with {status}: {said}")),
        }
    }

    /// The last lines that it has written to standard error.
    pub(crate) fn last_words(&self) -> Option<String> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let said = String::from_utf8_lossy(&said);
        let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
        let lines: Vec<_> = lines.map(|line| escape(line).into_owned()).collect();
        let last = &lines[lines.len().saturating_sub(3)..];
        (!last.is_empty()).then(|| last.join("; "))
    }
}

impl AsyncRead for ProxyStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.pipes).poll_read(context, buffer)
    }
}

impl AsyncWrite for ProxyStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.pipes).poll_write(context, buffer)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.pipes).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.pipes).poll_shutdown(context)
    }
}
