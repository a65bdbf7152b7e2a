//! What can go wrong between here and a host, and what to do about it.

use std::path::PathBuf;
use std::time::Duration;

/// What failed on the way to a host or on it. Text that came from a host is
/// already safe to print.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SshError {
    /// The settings or `~/.ssh/config` make no sense.
    #[error("{host}: {reason}")]
    Settings {
        /// The host they are for.
        host: String,
        /// What is wrong.
        reason: String,
    },
    /// A line of `ssh_config` can't be understood, or says what can't be honoured.
    #[error("{}:{line}: {reason}", file.display())]
    Config {
        /// The file.
        file: PathBuf,
        /// Its line, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of the workstation could not be read or written.
    #[error("cannot use {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The host's name has no address.
    #[error("{host}: cannot resolve {name}: {reason}")]
    Resolve {
        /// The host as the operator calls it.
        host: String,
        /// The name that was looked up.
        name: String,
        /// The resolver's answer.
        reason: String,
    },
    /// No TCP connection.
    #[error("{host}: cannot connect to {address}: {reason}")]
    Connect {
        /// The host as the operator calls it.
        host: String,
        /// Address and port that was tried last.
        address: String,
        /// Which way it failed.
        kind: ConnectFailure,
        /// The system's or the jump host's words.
        reason: String,
    },
    /// The other side doesn't speak SSH, or has no algorithm in common with us.
    #[error("{host}: no SSH handshake with {address}: {reason}")]
    Handshake {
        /// The host as the operator calls it.
        host: String,
        /// Address and port.
        address: String,
        /// What went wrong.
        reason: String,
    },
    /// No known_hosts file has a key for this host.
    #[error("{}: the host key of {} is not known ({presented})", presented.host, presented.name)]
    HostKeyUnknown {
        /// What the host presented.
        presented: Box<PresentedKey>,
    },
    /// A known_hosts file has another key for this host.
    #[error(
        "{}: the host key of {} does not match {}:{line} (it presented {presented}): \
         the machine was reinstalled, or the connection is being intercepted",
        presented.host, presented.name, file.display()
    )]
    HostKeyChanged {
        /// What the host presented.
        presented: Box<PresentedKey>,
        /// File with the key that was expected.
        file: PathBuf,
        /// Its line, counted from 1.
        line: usize,
    },
    /// The host presented a key that is marked `@revoked`, or listed in `RevokedHostKeys`.
    #[error(
        "{}: the host key of {} is revoked in {place} ({presented})",
        presented.host, presented.name
    )]
    HostKeyRevoked {
        /// What the host presented.
        presented: Box<PresentedKey>,
        /// Where it is revoked.
        place: Revocation,
    },
    /// The host presented a key that `ssh_config` does not allow.
    #[error(
        "{}: the host key of {} is not allowed: {reason} ({presented})",
        presented.host, presented.name
    )]
    HostKeyRefused {
        /// What the host presented.
        presented: Box<PresentedKey>,
        /// Why it is not allowed.
        reason: String,
    },
    /// A trusted authority signed the host's certificate, but not for this
    /// host or not at this time.
    #[error("{host}: the host certificate of {name} is not valid: {reason}")]
    HostCertificate {
        /// The host as the operator calls it.
        host: String,
        /// The name that the certificate should be for.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A private key of the workstation can't be used.
    #[error("cannot use the private key {}: {reason}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// `ProxyCommand` did not lead to the host's sshd.
    #[error("{host}: cannot connect by ProxyCommand `{command}`: {reason}")]
    ProxyCommand {
        /// The host as the operator calls it.
        host: String,
        /// The command, as the shell got it.
        command: String,
        /// How it ended, and what it said.
        reason: String,
    },
    /// The agent had not signed when sshd lost patience.
    #[error("{host}: {key} did not sign before {} closed the connection", address)]
    Unsigned {
        /// The host as the operator calls it.
        host: String,
        /// Address and port.
        address: String,
        /// The key that was to sign.
        key: String,
    },
    /// Every key was refused.
    #[error("{host}: cannot log in to {address} as {user}: {}", tried.join("; "))]
    Auth {
        /// The host as the operator calls it.
        host: String,
        /// Address and port: the host's, or a jump host's on the way.
        address: String,
        /// The login name.
        user: String,
        /// What was tried, and how each failed.
        tried: Vec<String>,
    },
    /// Something took too long.
    #[error("{host}: {what} timed out after {}", format_seconds(after))]
    Timeout {
        /// The host as the operator calls it.
        host: String,
        /// What was waited for.
        what: String,
        /// For how long.
        after: Duration,
    },
    /// The connection broke.
    #[error("{host}: connection lost: {reason}")]
    Lost {
        /// The host as the operator calls it.
        host: String,
        /// How it broke, as far as known.
        reason: String,
    },
    /// The script needs root, and sudo failed.
    #[error("{host}: {user} cannot become root: {reason}")]
    Sudo {
        /// The host as the operator calls it.
        host: String,
        /// The login name.
        user: String,
        /// Which way it failed.
        kind: SudoFailure,
        /// sudo's own words, or ours.
        reason: String,
    },
    /// The script wrote more than the options allow.
    #[error("{host}: {script} wrote more than {limit} bytes to {stream}")]
    OutputTooLarge {
        /// The host as the operator calls it.
        host: String,
        /// The script's name.
        script: String,
        /// `standard output` or `standard error`.
        stream: &'static str,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The login shell did not start our `sh`.
    #[error("{host}: cannot run {script} as {user} (status {status}): {said}")]
    Shell {
        /// The host as the operator calls it.
        host: String,
        /// The script's name.
        script: String,
        /// The login name.
        user: String,
        /// Exit status of the login shell.
        status: u32,
        /// What it said.
        said: String,
    },
    /// sshd refused to open a session or to run a command.
    #[error("{host}: sshd refused {what}: {reason}")]
    Refused {
        /// The host as the operator calls it.
        host: String,
        /// What it refused.
        what: &'static str,
        /// Its words.
        reason: String,
    },
    /// sshd refused to forward a connection, or could not make it.
    #[error("{host}: cannot reach {to} through the SSH connection: {reason}")]
    ForwardRefused {
        /// The host as the operator calls it.
        host: String,
        /// Where the connection should have gone.
        to: String,
        /// Whether sshd's configuration forbids it, rather than the peer.
        prohibited: bool,
        /// Its words.
        reason: String,
    },
    /// The input of a script could not be sent.
    #[error("{host}: cannot send the input of {script}: {reason}")]
    Input {
        /// The host as the operator calls it.
        host: String,
        /// The script's name.
        script: String,
        /// Why.
        reason: String,
    },
}

/// A key that a host presented and that was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresentedKey {
    /// The host as the operator calls it.
    pub host: String,
    /// The name that known_hosts files were searched for, as they write it.
    pub name: String,
    /// The host's port.
    pub port: u16,
    /// Such as `ssh-ed25519`.
    pub algorithm: String,
    /// As `ssh-keygen -lf` prints it: `SHA256:…`.
    pub fingerprint: String,
}

impl std::fmt::Display for PresentedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.algorithm, self.fingerprint)
    }
}

/// Where a key is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// The file.
    pub file: PathBuf,
    /// Its line, counted from 1, if it has lines.
    pub line: Option<usize>,
}

impl std::fmt::Display for Revocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file.display()),
            None => write!(f, "{}", self.file.display()),
        }
    }
}

/// Ways in which a TCP connection fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectFailure {
    /// Nothing listens there.
    Refused,
    /// No answer in time.
    TimedOut,
    /// No route to it.
    Unreachable,
    /// Anything else.
    Other,
}

/// Ways in which sudo fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SudoFailure {
    /// It wants a password and we have none.
    PasswordNeeded,
    /// It rejected the password.
    WrongPassword,
    /// The user may not use it, or not in this way.
    NotAllowed,
    /// It is not installed.
    NotInstalled,
    /// Anything else.
    Other,
}

impl SshError {
    /// What to do next, where there is something.
    // Long: one arm for each error.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            SshError::HostKeyUnknown { presented } => format!(
                "compare the fingerprint with what the machine's console shows (ssh-keygen -lf \
                 /etc/ssh/ssh_host_…_key.pub), then: clusterctl-rs hosts trust {}",
                presented.host
            ),
            SshError::HostKeyChanged {
                presented,
                file,
                line,
            } => format!(
                "if the machine was reinstalled, remove line {line} of {0} \
                 (ssh-keygen -f '{0}' -R '{1}'), then trust the new key; this check can't be skipped",
                file.display(),
                presented.name
            ),
            SshError::HostKeyRevoked { .. } => {
                "give the machine a new host key; a revoked one is never accepted".into()
            }
            SshError::HostKeyRefused { .. } => {
                "give the machine a host key that your ssh_config allows".into()
            }
            SshError::HostCertificate { .. } => {
                "have the certificate authority sign the host's key again, for this name and date".into()
            }
            SshError::Config { reason, .. } if reason.contains("is not supported") => {
                "reword it, or set `ssh.useSshConfig: false` in the inventory and say there how the \
                 host is reached"
                    .into()
            }
            SshError::Config { reason, .. } if reason.contains("unknown keyword") => {
                "remove it, or add it to IgnoreUnknown in that file".into()
            }
            SshError::ProxyCommand { .. } => {
                "run the command yourself: it has to print `SSH-2.0-…`, the greeting of sshd".into()
            }
            SshError::Unsigned { .. } => {
                "touch the key or confirm its use when the agent asks; sshd waits for LoginGraceTime, \
                 two minutes by default"
                    .into()
            }
            SshError::Auth { user, .. } => format!(
                "name the user and the key in the inventory (ssh.user, ssh.privateKey), load the key \
                 into the agent (ssh-add), or append its public half to ~{user}/.ssh/authorized_keys on the host"
            ),
            SshError::KeyFile { reason, .. } if reason.contains("passphrase") => {
                "set ssh.passphraseFile, or load the key into the agent (ssh-add)".into()
            }
            SshError::KeyFile { .. } => "check ssh.privateKey in the inventory".into(),
            SshError::Resolve { .. } => {
                "give the host's IP address as its `address` in the inventory".into()
            }
            SshError::Connect {
                kind: ConnectFailure::Refused,
                ..
            } => "check that sshd is running there and listens on this port (ssh.port)".into(),
            SshError::Connect { .. } => {
                "check that the machine is up and that no firewall blocks this port".into()
            }
            SshError::Handshake { .. } => "check that sshd listens on this port (ssh.port)".into(),
            SshError::Sudo { kind, user, .. } => match kind {
                SudoFailure::PasswordNeeded => {
                    "run this on a terminal, or set ssh.becomePasswordFile".into()
                }
                SudoFailure::WrongPassword => "check ssh.becomePasswordFile".into(),
                SudoFailure::NotAllowed => {
                    format!(
                        "allow {user} to use sudo on the host (without requiretty), or log in as root"
                    )
                }
                SudoFailure::NotInstalled => "install sudo on the host, or log in as root".into(),
                SudoFailure::Other => return None,
            },
            SshError::Shell { user, .. } => {
                format!("check that `ssh {user}@… true` works: the account needs a login shell that can run sh")
            }
            SshError::Refused { .. } => {
                "check MaxSessions and ForceCommand in the host's sshd_config".into()
            }
            SshError::ForwardRefused {
                prohibited: true, ..
            } => {
                "set `AllowTcpForwarding yes` (or `local`) in the host's sshd_config: the API is reached \
                 through the SSH connection"
                    .into()
            }
            SshError::Settings { .. }
            | SshError::Config { .. }
            | SshError::File { .. }
            | SshError::Timeout { .. }
            | SshError::Lost { .. }
            | SshError::OutputTooLarge { .. }
            | SshError::ForwardRefused { .. }
            | SshError::Input { .. } => return None,
        };
        Some(hint)
    }

    /// Whether the same attempt may work later without any change: the machine is
    /// booting, or the connection broke.
    pub fn is_transient(&self) -> bool {
        match self {
            SshError::Connect { .. }
            | SshError::ProxyCommand { .. }
            | SshError::Lost { .. }
            | SshError::Timeout { .. } => true,
            // sshd drops connections when too many are waiting to log in (MaxStartups).
            SshError::Handshake { .. } => true,
            _ => false,
        }
    }
}

fn format_seconds(duration: &Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{} s", duration.as_secs())
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presented() -> Box<PresentedKey> {
        Box::new(PresentedKey {
            host: "cp1".into(),
            name: "192.0.2.11".into(),
            port: 22,
            algorithm: "ssh-ed25519".into(),
            fingerprint: "SHA256:abc".into(),
        })
    }

    #[test]
    fn a_changed_key_names_file_and_line_and_no_way_around() {
        let error = SshError::HostKeyChanged {
            presented: presented(),
            file: "/home/ops/.ssh/known_hosts".into(),
            line: 7,
        };
        assert!(
            error.to_string().contains("/home/ops/.ssh/known_hosts:7"),
            "{error}"
        );
        let hint = error.hint().unwrap_or_default();
        assert!(hint.contains("ssh-keygen -f '/home/ops/.ssh/known_hosts' -R '192.0.2.11'"));
        assert!(!hint.contains("hosts trust"), "{hint}");
    }

    #[test]
    fn an_unknown_key_names_the_command_that_trusts_it() {
        let error = SshError::HostKeyUnknown {
            presented: presented(),
        };
        insta::assert_snapshot!(
            error,
            @"cp1: the host key of 192.0.2.11 is not known (ssh-ed25519 SHA256:abc)"
        );
        assert!(
            error
                .hint()
                .unwrap_or_default()
                .ends_with("clusterctl-rs hosts trust cp1")
        );
    }

    #[test]
    fn durations_read_well() {
        assert_eq!(format_seconds(&Duration::from_secs(10)), "10 s");
        assert_eq!(format_seconds(&Duration::from_millis(1500)), "1.5 s");
    }
}
