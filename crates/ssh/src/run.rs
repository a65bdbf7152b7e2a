//! Runs a script on a host: exactly one command, fed over standard input.

use std::time::Instant;

use tokio::sync::{mpsc, oneshot};
use tokio_util::bytes::Bytes;
use zeroize::Zeroizing;

use crate::error::{SshError, SudoFailure};
use crate::exec::{self, End, Ended, Running, Start, password_refused};
use crate::feed::feed_script;
use crate::prompt::{Secret, read_first_line};
use crate::protocol::{self, Become};
use crate::script::{Output, RunOptions, Script, ScriptEvent};
use crate::session::Session;
use crate::shared::Finished;
use text::terminal::excerpt;

/// How much of a host's words an error quotes.
const QUOTE: usize = 2 << 10;

impl Session {
    /// Runs a script and returns what it wrote and how it ended. A status
    /// other than 0 is not an error here.
    ///
    /// When the future is dropped, or the time is over, or the connection
    /// breaks, everything that the script started dies on the host.
    ///
    /// # Errors
    ///
    /// See [`SshError`]: a run that timed out, flooded us, could not become
    /// root, or whose connection broke.
    pub async fn run(&self, script: &Script, options: &RunOptions) -> Result<Output, SshError> {
        self.run_observed(script, options, None).await
    }

    /// As [`Session::run`], and tells what happens meanwhile: each line of
    /// output as it comes, and how much of the input has been sent.
    ///
    /// # Errors
    ///
    /// As [`Session::run`].
    pub async fn run_with(
        &self,
        script: &Script,
        options: &RunOptions,
        on_event: &mut (dyn FnMut(ScriptEvent) + Send),
    ) -> Result<Output, SshError> {
        self.run_observed(script, options, Some(on_event)).await
    }

    async fn run_observed(
        &self,
        script: &Script,
        options: &RunOptions,
        mut on_event: Option<&mut (dyn FnMut(ScriptEvent) + Send)>,
    ) -> Result<Output, SshError> {
        let mut password = match self.needs_sudo(options) {
            true => self.password_at_hand()?,
            false => None,
        };
        loop {
            let begun = Instant::now();
            let result = self
                .run_once(script, options, password.as_ref(), &mut on_event)
                .await;
            self.inner.shared.notify_observer(&Finished {
                host: &self.inner.target.name,
                script: &script.name,
                outcome: result.as_ref().map(|output| output.status),
                elapsed: begun.elapsed(),
            });
            let rejected = match (&result, &password) {
                (
                    Err(SshError::Sudo {
                        kind: SudoFailure::PasswordNeeded,
                        ..
                    }),
                    None,
                ) => None,
                (
                    Err(SshError::Sudo {
                        kind: SudoFailure::WrongPassword,
                        ..
                    }),
                    Some(Password {
                        number: Some(number),
                        ..
                    }),
                ) => Some(*number),
                _ => return result,
            };
            self.note_sudo_wants_password();
            password = Some(self.ask_password(rejected).await?);
        }
    }

    fn needs_sudo(&self, options: &RunOptions) -> bool {
        let target = &self.inner.target;
        options.root && target.become_root.unwrap_or(true) && target.user != "root"
    }

    /// The password that sudo gets at the first attempt, if there is one.
    fn password_at_hand(&self) -> Result<Option<Password>, SshError> {
        let target = &self.inner.target;
        if let Some(file) = &target.become_password_file {
            return Ok(Some(Password {
                number: None,
                secret: read_first_line(file)?,
            }));
        }
        // Not sent to hosts that have not asked for it.
        if !self.sudo_wants_password() {
            return Ok(None);
        }
        let known = self.inner.shared.secrets.known_sudo_password(&target.user);
        Ok(known.map(|(number, secret)| Password {
            number: Some(number),
            secret: Secret::clone(&secret),
        }))
    }

    async fn ask_password(&self, rejected: Option<u32>) -> Result<Password, SshError> {
        let target = &self.inner.target;
        let secrets = &self.inner.shared.secrets;
        match secrets
            .sudo_password(&target.user, &target.name, rejected)
            .await
        {
            Ok((number, secret)) => Ok(Password {
                number: Some(number),
                secret: Secret::clone(&secret),
            }),
            Err(reason) => Err(self.sudo_error(SudoFailure::PasswordNeeded, reason)),
        }
    }

    async fn run_once(
        &self,
        script: &Script,
        options: &RunOptions,
        password: Option<&Password>,
        on_event: &mut Option<&mut (dyn FnMut(ScriptEvent) + Send)>,
    ) -> Result<Output, SshError> {
        if script.text.contains('\0') {
            return Err(self.input_error(script, "the script contains a NUL byte".into()));
        }
        let deadline = Instant::now() + options.timeout;
        let timed_out = || SshError::Timeout {
            host: self.host_name(),
            what: script.name.clone(),
            after: options.timeout,
        };
        let waiting = tokio::time::timeout_at(deadline.into(), self.open_session());
        let (channel, slot) = waiting.await.map_err(|_| timed_out())??;
        self.inner.shared.count_command();

        let how = match (self.needs_sudo(options), password) {
            (false, _) => Become::LoginUser,
            (true, None) => Become::Sudo,
            (true, Some(_)) => Become::SudoWithPassword,
        };
        let nonce = protocol::new_nonce();
        let (sender, events) = mpsc::unbounded_channel();
        let sender = on_event.is_some().then_some(sender);
        let start = Start {
            command_line: protocol::command_line(how),
            nonce: &nonce,
            max_output: options.max_output,
            events: sender.clone(),
            deadline,
        };
        let Running {
            stdin,
            ready,
            ended,
            _kill,
        } = exec::start_command(self, channel, slot, start);
        let feeding = async {
            if let Some(password) = password
                && !send_password(&stdin, password, ready).await
            {
                return Ok(());
            }
            feed_script(&stdin, &nonce, script, sender).await
        };
        let ended = self
            .follow_command(script, feeding, ended, events, on_event)
            .await?;
        self.judge_end(script, options, how, ended)
    }

    /// Feeds a command and hands on its events until it has ended.
    async fn follow_command(
        &self,
        script: &Script,
        feeding: impl Future<Output = Result<(), String>>,
        mut ended: oneshot::Receiver<Ended>,
        mut events: mpsc::UnboundedReceiver<ScriptEvent>,
        on_event: &mut Option<&mut (dyn FnMut(ScriptEvent) + Send)>,
    ) -> Result<Ended, SshError> {
        tokio::pin!(feeding);
        let mut fed = false;
        let mut hand_on = |event| {
            if let Some(on_event) = on_event {
                on_event(event);
            }
        };
        let ended = loop {
            tokio::select! {
                biased;
                Some(event) = events.recv() => hand_on(event),
                ended = &mut ended => break ended.map_err(|_| self.lost_error())?,
                result = &mut feeding, if !fed => {
                    fed = true;
                    // The caller then drops the rest, which kills the command:
                    // it would wait for input that never comes.
                    result.map_err(|reason| self.input_error(script, reason))?;
                }
            }
        };
        while let Ok(event) = events.try_recv() {
            hand_on(event);
        }
        Ok(ended)
    }

    fn judge_end(
        &self,
        script: &Script,
        options: &RunOptions,
        how: Become,
        ended: Ended,
    ) -> Result<Output, SshError> {
        let Ended {
            end,
            stdout,
            stderr,
            elapsed,
        } = ended;
        match end {
            End::Exit(status) if stdout.started && stderr.started => Ok(Output {
                status,
                stdout: stdout.kept,
                stderr: stderr.kept,
                elapsed,
            }),
            End::Exit(status) => {
                Err(self.start_error(script, how, status, &stdout.noise, &stderr.noise))
            }
            End::Flood(flood) => Err(SshError::OutputTooLarge {
                host: self.host_name(),
                script: script.name.clone(),
                stream: flood.stream.name(),
                limit: flood.limit,
            }),
            End::TimedOut => Err(SshError::Timeout {
                host: self.host_name(),
                what: script.name.clone(),
                after: options.timeout,
            }),
            End::Refused => Err(SshError::Refused {
                host: self.host_name(),
                what: "to run a command",
                reason: "sshd gives no reason".into(),
            }),
            End::Lost => Err(self.lost_error()),
        }
    }

    /// Why the script did not even start.
    fn start_error(
        &self,
        script: &Script,
        how: Become,
        status: u32,
        stdout: &[u8],
        stderr: &[u8],
    ) -> SshError {
        let noise = String::from_utf8_lossy(stderr);
        if how != Become::LoginUser
            && let Some((kind, reason)) = parse_sudo_failure(&noise)
        {
            return self.sudo_error(kind, reason);
        }
        let mut said = excerpt(stderr, QUOTE);
        if said.is_empty() {
            let stdout = stdout.strip_suffix(protocol::READY).unwrap_or(stdout);
            said = excerpt(stdout, QUOTE);
        }
        if said.is_empty() {
            said = "it printed nothing".into();
        }
        SshError::Shell {
            host: self.host_name(),
            script: script.name.clone(),
            user: self.inner.target.user.clone(),
            status,
            said,
        }
    }

    fn sudo_error(&self, kind: SudoFailure, reason: String) -> SshError {
        SshError::Sudo {
            host: self.host_name(),
            user: self.inner.target.user.clone(),
            kind,
            reason,
        }
    }

    fn input_error(&self, script: &Script, reason: String) -> SshError {
        SshError::Input {
            host: self.host_name(),
            script: script.name.clone(),
            reason,
        }
    }
}

/// A sudo password, with its number if the operator was asked for it.
struct Password {
    number: Option<u32>,
    secret: Secret,
}

/// Sends sudo its password; whether the script may follow. Sent earlier, it
/// would be taken for more passwords if this one is wrong.
async fn send_password(
    stdin: &mpsc::Sender<Bytes>,
    password: &Password,
    ready: oneshot::Receiver<()>,
) -> bool {
    let mut line = Zeroizing::new(password.secret.as_bytes().to_vec());
    line.push(b'\n');
    let _ = stdin.send(Bytes::from_owner(line)).await;
    ready.await.is_ok()
}

/// What sudo complained about, in its own words (those of sudo-rs included).
fn parse_sudo_failure(stderr: &str) -> Option<(SudoFailure, String)> {
    let refused = password_refused(stderr.as_bytes());
    let stderr = stderr.replace(protocol::PROMPT, "");
    let reason = |kind| {
        let lines: Vec<&str> = stderr
            .lines()
            .filter(|line| line.contains("sudo"))
            .collect();
        let text = if lines.is_empty() {
            stderr.to_string()
        } else {
            lines.join("\n")
        };
        (kind, excerpt(text.as_bytes(), QUOTE))
    };
    let has = |words: &[&str]| words.iter().any(|word| stderr.contains(word));
    if has(&["sudo: not found", "sudo: command not found"]) {
        Some((SudoFailure::NotInstalled, "sudo is not installed".into()))
    } else if refused || has(&["incorrect password", "incorrect authentication"]) {
        Some((
            SudoFailure::WrongPassword,
            "sudo rejected the password".into(),
        ))
    } else if has(&["password is required", "authentication is required"]) {
        Some((
            SudoFailure::PasswordNeeded,
            "sudo requires a password".into(),
        ))
    } else if has(&[
        "not in the sudoers",
        "is not allowed",
        "may not run sudo",
        "must have a tty",
        "I can't do that",
    ]) {
        Some(reason(SudoFailure::NotAllowed))
    } else if has(&["sudo:"]) {
        Some(reason(SudoFailure::Other))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sudo_in_its_own_words() {
        let kind = |text| parse_sudo_failure(text).map(|(kind, _)| kind);
        use SudoFailure::*;
        assert_eq!(kind("sudo: a password is required\n"), Some(PasswordNeeded));
        assert_eq!(
            kind("sudo: interactive authentication is required"),
            Some(PasswordNeeded)
        );
        assert_eq!(
            kind("--password--Are you on drugs?\n--password--\nsudo: no password was provided\n"),
            Some(WrongPassword)
        );
        assert_eq!(
            parse_sudo_failure("--password--ops is not in the sudoers file.\n"),
            Some((NotAllowed, "ops is not in the sudoers file.".into()))
        );
        assert_eq!(
            kind("sudo: 1 incorrect password attempt"),
            Some(WrongPassword)
        );
        assert_eq!(kind("ops is not in the sudoers file.\n"), Some(NotAllowed));
        assert_eq!(
            kind("sudo: sorry, you must have a tty to run sudo"),
            Some(NotAllowed)
        );
        assert_eq!(kind("sudo: not found\n"), Some(NotInstalled));
        assert_eq!(kind("sudo: unable to open /etc/sudoers"), Some(Other));
        assert_eq!(kind("bash: warning: setlocale"), None);
    }
}
