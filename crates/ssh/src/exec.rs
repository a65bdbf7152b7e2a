//! One command on a host, from the first byte to the last.
//!
//! Its channel belongs to a task of its own, which outlives the caller: when
//! the caller goes away, the task still sees to it that the command dies on the
//! host and that the channel is read until its end, since russh stalls the
//! whole connection for a channel that nobody reads.

use std::time::{Duration, Instant};

use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, Sig};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{sleep_until, timeout};
use tokio_util::bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::Session;
use super::capture::{Capture, Flood, Line, Stream, contains};
use super::protocol::{PROMPT, READY};

/// Time for a command to die after its standard input was closed: the host
/// waits 2 s between TERM and KILL.
const DYING: Duration = Duration::from_secs(10);

/// How long output may stay silent after the exit status came, before we stop
/// waiting for its end: something the script left behind holds it open.
const SILENCE_AFTER_EXIT: Duration = Duration::from_secs(3);

/// How a command ended.
pub(super) struct Ended {
    pub(super) end: End,
    pub(super) stdout: Capture,
    pub(super) stderr: Capture,
    pub(super) elapsed: Duration,
}

pub(super) enum End {
    /// With this status; 128 + number for a signal.
    Exit(u32),
    Flood(Flood),
    TimedOut,
    /// sshd would not run it.
    Refused,
    Lost,
}

/// What the caller holds of a running command.
pub(super) struct Running {
    /// What goes to standard input, which stays open until the command ends.
    pub(super) stdin: mpsc::Sender<Bytes>,
    /// Lines of output, if they were asked for.
    pub(super) lines: mpsc::UnboundedReceiver<Line>,
    /// Fires when the bootstrap is ready to read the script.
    pub(super) ready: oneshot::Receiver<()>,
    pub(super) ended: oneshot::Receiver<Ended>,
    /// Kills the command when dropped.
    pub(super) _kill: tokio_util::sync::DropGuard,
}

/// What to start.
pub(super) struct Start<'a> {
    pub(super) command_line: String,
    pub(super) nonce: &'a str,
    pub(super) max_output: usize,
    pub(super) want_lines: bool,
    pub(super) deadline: Instant,
}

/// Starts a command on a fresh channel. The slot is free again when the host
/// has closed the channel.
pub(super) fn start(
    session: &Session,
    channel: Channel<Msg>,
    slot: OwnedSemaphorePermit,
    start: Start<'_>,
) -> Running {
    let (stdin, input) = mpsc::channel(4);
    let (line_sender, lines) = mpsc::unbounded_channel();
    let (ready_sender, ready) = oneshot::channel();
    let (ended_sender, ended) = oneshot::channel();
    let cancel = CancellationToken::new();
    let owner = Owner {
        channel,
        input,
        stdout: Capture::new(Stream::Stdout, start.nonce, start.max_output),
        stderr: Capture::new(Stream::Stderr, start.nonce, start.max_output),
        lines: start.want_lines.then_some(line_sender),
        ready: Some(ready_sender),
        ended: ended_sender,
        cancel: cancel.clone(),
        deadline: start.deadline,
    };
    let session = session.clone();
    let command_line = start.command_line.into_bytes();
    tokio::spawn(async move {
        owner.run(command_line).await;
        drop((slot, session));
    });
    Running {
        stdin,
        lines,
        ready,
        ended,
        _kill: cancel.drop_guard(),
    }
}

struct Owner {
    channel: Channel<Msg>,
    input: mpsc::Receiver<Bytes>,
    stdout: Capture,
    stderr: Capture,
    lines: Option<mpsc::UnboundedSender<Line>>,
    ready: Option<oneshot::Sender<()>>,
    ended: oneshot::Sender<Ended>,
    cancel: CancellationToken,
    deadline: Instant,
}

impl Owner {
    async fn run(mut self, command_line: Vec<u8>) {
        let begun = Instant::now();
        let (mut read, write) = self.channel.split();
        let lines = self.lines;
        let hand_out = |line| {
            if let Some(lines) = &lines {
                let _ = lines.send(line);
            }
        };
        let take = |capture: &mut Capture, data: &[u8]| match &lines {
            Some(_) => capture.push(data, Some(&mut { hand_out })),
            None => capture.push(data, None),
        };
        let mut input = self.input;
        // Writing must not wait for reading, nor the reverse. A host that
        // stops reading is no error: its exit status tells what happened.
        let writing = async {
            if write.exec(true, command_line).await.is_err() {
                return;
            }
            while let Some(chunk) = input.recv().await {
                if write.data_bytes(chunk).await.is_err() {
                    return;
                }
            }
        };
        tokio::pin!(writing);
        let mut written = false;
        let mut status = None;
        let mut eof_sent = false;
        let mut closed = false;
        // Far away until the exit status has come.
        let mut give_up = self.deadline;

        let end = loop {
            let message = tokio::select! {
                message = read.wait() => message,
                () = &mut writing, if !written => { written = true; continue }
                () = self.cancel.cancelled() => break End::TimedOut,
                () = sleep_until(give_up.into()) => break match status {
                    Some(status) => End::Exit(status),
                    None => End::TimedOut,
                },
            };
            let taken = match message {
                None => {
                    closed = true;
                    break status.map_or(End::Lost, End::Exit);
                }
                Some(ChannelMsg::Data { data }) => take(&mut self.stdout, &data),
                Some(ChannelMsg::ExtendedData { data, ext: 1 }) => take(&mut self.stderr, &data),
                Some(ChannelMsg::ExitStatus { exit_status }) => {
                    status = Some(exit_status);
                    Ok(())
                }
                Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                    status = Some(128 + signal_number(&signal_name));
                    Ok(())
                }
                Some(ChannelMsg::Failure) => break End::Refused,
                // An Eof is no end: the exit status may come after it.
                Some(_) => Ok(()),
            };
            if let Err(flood) = taken {
                break End::Flood(flood);
            }
            if status.is_some() {
                give_up = Instant::now() + SILENCE_AFTER_EXIT;
            }
            if self.ready.is_some() && contains(&self.stdout.noise, READY) {
                self.ready.take().map(|ready| ready.send(()));
            }
            // Nothing must follow that sudo could take for another password:
            // that may lock the account.
            if self.ready.is_some() && !eof_sent && password_refused(&self.stderr.noise) {
                eof_sent = true;
                let _ = write.eof().await;
            }
        };
        if lines.is_some() {
            self.stdout.finish(&mut { hand_out });
            self.stderr.finish(&mut { hand_out });
        }
        let _ = self.ended.send(Ended {
            end,
            stdout: self.stdout,
            stderr: self.stderr,
            elapsed: begun.elapsed(),
        });
        if closed {
            return;
        }
        // The end of its standard input kills whatever still runs there.
        let _ = write.eof().await;
        if status.is_none() && drain(&mut read).await {
            return;
        }
        let _ = write.close().await;
        drain(&mut read).await;
    }
}

/// Reads a channel to its end; `false` if that takes too long.
async fn drain(read: &mut ChannelReadHalf) -> bool {
    timeout(DYING, async { while read.wait().await.is_some() {} })
        .await
        .is_ok()
}

/// Whether sudo did not take the password: it asks a second time.
pub(super) fn password_refused(stderr: &[u8]) -> bool {
    String::from_utf8_lossy(stderr).matches(PROMPT).count() > 1
}

fn signal_number(signal: &Sig) -> u32 {
    match signal {
        Sig::HUP => 1,
        Sig::INT => 2,
        Sig::QUIT => 3,
        Sig::ILL => 4,
        Sig::ABRT => 6,
        Sig::FPE => 8,
        Sig::KILL => 9,
        Sig::USR1 => 10,
        Sig::SEGV => 11,
        Sig::PIPE => 13,
        Sig::ALRM => 14,
        Sig::TERM => 15,
        Sig::Custom(name) => match name.as_str() {
            "BUS" => 7,
            "USR2" => 12,
            "XCPU" => 24,
            "XFSZ" => 25,
            "SYS" => 31,
            _ => 0,
        },
    }
}
