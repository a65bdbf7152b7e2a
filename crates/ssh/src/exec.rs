//! One command on a host, from the first byte to the last.
//!
//! Its channel belongs to a task of its own, which outlives the caller: when
//! the caller goes away, the task still sees to it that the command dies on the
//! host and that the channel is read until its end, since russh stalls the
//! whole connection for a channel that is not read.

use std::time::{Duration, Instant};

use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, Sig};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{sleep_until, timeout};
use tokio_util::bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::capture::{Capture, Flood, OutputLine, OutputStream, contains_bytes};
use crate::protocol::{PROMPT, READY};
use crate::script::ScriptEvent;
use crate::session::Session;

/// Time for a command to die after its standard input was closed: the host
/// waits 2 s between TERM and KILL.
const DYING: Duration = Duration::from_secs(10);

/// How long output may stay silent after the exit status came, before we stop
/// waiting for its end: something the script left behind holds it open.
const SILENCE_AFTER_EXIT: Duration = Duration::from_secs(3);

/// How a command ended.
pub(crate) struct Ended {
    pub(crate) end: End,
    pub(crate) stdout: Capture,
    pub(crate) stderr: Capture,
    pub(crate) elapsed: Duration,
}

pub(crate) enum End {
    /// With this status; 128 + number for a signal.
    Exit(u32),
    Flood(Flood),
    TimedOut,
    /// sshd would not run it.
    Refused,
    Lost,
}

/// What the caller holds of a running command.
pub(crate) struct Running {
    /// What goes to standard input, which stays open until the command ends.
    pub(crate) stdin: mpsc::Sender<Bytes>,
    /// Fires when the bootstrap is ready to read the script.
    pub(crate) ready: oneshot::Receiver<()>,
    pub(crate) ended: oneshot::Receiver<Ended>,
    /// Kills the command when dropped.
    pub(crate) _kill: tokio_util::sync::DropGuard,
}

/// What to start.
pub(crate) struct Start<'a> {
    pub(crate) command_line: String,
    pub(crate) nonce: &'a str,
    pub(crate) max_output: usize,
    /// Who wants the lines of output.
    pub(crate) events: Option<mpsc::UnboundedSender<ScriptEvent>>,
    pub(crate) deadline: Instant,
}

/// Starts a command on a fresh channel. The slot is free again when the host
/// has closed the channel.
pub(crate) fn start_command(
    session: &Session,
    channel: Channel<Msg>,
    slot: OwnedSemaphorePermit,
    start: Start<'_>,
) -> Running {
    let (stdin, input) = mpsc::channel(4);
    let (ready_sender, ready) = oneshot::channel();
    let (ended_sender, ended) = oneshot::channel();
    let cancel = CancellationToken::new();
    let owner = Owner {
        channel,
        input,
        said: Said {
            stdout: Capture::new(OutputStream::Stdout, start.nonce, start.max_output),
            stderr: Capture::new(OutputStream::Stderr, start.nonce, start.max_output),
            status: None,
            events: start.events,
        },
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
        ready,
        ended,
        _kill: cancel.drop_guard(),
    }
}

struct Owner {
    channel: Channel<Msg>,
    input: mpsc::Receiver<Bytes>,
    said: Said,
    ready: Option<oneshot::Sender<()>>,
    ended: oneshot::Sender<Ended>,
    cancel: CancellationToken,
    deadline: Instant,
}

impl Owner {
    /// Runs the command, reports how it ended, and leaves nothing behind on the
    /// host. Long, because its steps share the borrowed halves of the channel.
    // Long: one loop over what may happen to a channel, in the order of its states.
    async fn run(mut self, command_line: Vec<u8>) {
        let begun = Instant::now();
        let (mut read, write) = self.channel.split();
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
        let mut eof_sent = false;
        let mut closed = false;
        // Far away until the exit status has come.
        let mut give_up = self.deadline;

        let end = loop {
            let message = tokio::select! {
                message = read.wait() => message,
                () = &mut writing, if !written => { written = true; continue }
                () = self.cancel.cancelled() => break End::TimedOut,
                () = sleep_until(give_up.into()) => break match self.said.status {
                    Some(status) => End::Exit(status),
                    None => End::TimedOut,
                },
            };
            closed = message.is_none();
            if let Err(end) = self.said.take_message(message) {
                break end;
            }
            if self.said.status.is_some() {
                give_up = Instant::now() + SILENCE_AFTER_EXIT;
            }
            if self.ready.is_some() && contains_bytes(&self.said.stdout.noise, READY) {
                self.ready.take().map(|ready| ready.send(()));
            }
            // Nothing must follow that sudo could take for another password:
            // that may lock the account.
            if self.ready.is_some() && !eof_sent && password_refused(&self.said.stderr.noise) {
                eof_sent = true;
                let _ = write.eof().await;
            }
        };
        let exited = self.said.status.is_some();
        let _ = self.ended.send(self.said.finish(end, begun.elapsed()));
        if closed {
            return;
        }
        // The end of its standard input kills whatever still runs there.
        let _ = write.eof().await;
        if !exited && drain_channel(&mut read).await {
            return;
        }
        let _ = write.close().await;
        drain_channel(&mut read).await;
    }
}

/// What has come from the host so far.
struct Said {
    stdout: Capture,
    stderr: Capture,
    status: Option<u32>,
    events: Option<mpsc::UnboundedSender<ScriptEvent>>,
}

impl Said {
    /// Takes a message, or the end of all messages. `Err`: it was the last.
    fn take_message(&mut self, message: Option<ChannelMsg>) -> Result<(), End> {
        match message {
            None => return Err(self.status.map_or(End::Lost, End::Exit)),
            Some(ChannelMsg::Data { data }) => {
                return self.keep_output(OutputStream::Stdout, &data);
            }
            Some(ChannelMsg::ExtendedData { data, ext: 1 }) => {
                return self.keep_output(OutputStream::Stderr, &data);
            }
            Some(ChannelMsg::ExitStatus { exit_status }) => self.status = Some(exit_status),
            Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                self.status = Some(128 + signal_number(&signal_name));
            }
            Some(ChannelMsg::Failure) => return Err(End::Refused),
            // An Eof is no end: the exit status may come after it.
            Some(_) => {}
        }
        Ok(())
    }

    fn keep_output(&mut self, stream: OutputStream, data: &[u8]) -> Result<(), End> {
        let capture = match stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        };
        match &self.events {
            Some(events) => capture.push_bytes(data, Some(&mut |line| send_line(events, line))),
            None => capture.push_bytes(data, None),
        }
        .map_err(End::Flood)
    }

    fn finish(mut self, end: End, elapsed: Duration) -> Ended {
        if let Some(events) = &self.events {
            self.stdout.finish_line(&mut |line| send_line(events, line));
            self.stderr.finish_line(&mut |line| send_line(events, line));
        }
        Ended {
            end,
            stdout: self.stdout,
            stderr: self.stderr,
            elapsed,
        }
    }
}

fn send_line(events: &mpsc::UnboundedSender<ScriptEvent>, line: OutputLine) {
    // A caller that has gone away wants no more lines.
    let _ = events.send(ScriptEvent::Line(line));
}

/// Reads a channel to its end; `false` if that takes too long.
async fn drain_channel(read: &mut ChannelReadHalf) -> bool {
    timeout(DYING, async { while read.wait().await.is_some() {} })
        .await
        .is_ok()
}

/// Whether sudo did not take the password: it asks a second time.
pub(crate) fn password_refused(stderr: &[u8]) -> bool {
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
