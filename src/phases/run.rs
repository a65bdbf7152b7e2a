//! What every phase of a run shares.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Error;
use crate::engine::{Events, Journal, State, Step, Tracker};
use crate::inventory::{Cluster, Host};
use crate::ssh::{Connector, Session, Settings, SshError, Target, Workstation};

use super::{Phase, Selection};

/// What the command line asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// The phases that take part.
    pub selection: Selection,
    /// Patterns (`*` and `?`) of host names that take part; empty for all.
    pub hosts: Vec<String>,
    /// Where only workers take part, connect to one control plane that answers
    /// rather than to all.
    pub one_control_plane: bool,
    /// Store the shared certificates, encrypted, in the cluster.
    pub upload_certs: bool,
    /// How many hosts are worked on at once. sshd's own `MaxStartups` (10:30:100)
    /// is per host and no limit here; the limit keeps a laptop responsive.
    pub parallel: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            selection: Selection::all(),
            hosts: Vec::new(),
            one_control_plane: false,
            upload_certs: false,
            parallel: 64,
        }
    }
}

/// A run over a cluster: what is wanted, how hosts are reached, who listens.
pub struct Run {
    /// What the cluster should be.
    pub cluster: Arc<Cluster>,
    /// The file that says so, absolute.
    pub inventory: PathBuf,
    /// The operator state.
    pub state: State,
    /// Connects to hosts.
    pub connector: Connector,
    /// Phases' beginnings and ends, and through it the events.
    pub tracker: Tracker,
    /// The journal, for runs that change something.
    pub journal: Option<Arc<Journal>>,
    /// What the command line asked for.
    pub options: Options,
    /// Connections that outlive one look, for verbs that look again and again.
    pub kept: Option<Arc<Kept>>,
}

impl Run {
    /// The events.
    pub fn events(&self) -> &Events {
        self.tracker.events()
    }

    /// Opens the one connection to `host`.
    ///
    /// # Errors
    /// Whatever SSH says.
    pub(super) async fn connect(&self, host: &Host) -> Result<Session, Error> {
        match self.kept.as_ref().and_then(|kept| kept.get(&host.name)) {
            Some(Ok(session)) => return Ok(session),
            Some(Err(reason)) => {
                let host = host.name.clone();
                return Err(SshError::Lost { host, reason }.into());
            }
            None => {}
        }
        let target = ssh_target(&self.state, host)?;
        for warning in &target.warnings {
            self.events().warn(format!("{}: {warning}", host.name));
        }
        Ok(Session::connect(&target, &self.connector).await?)
    }

    /// Whether `host` takes part.
    pub fn takes_part(&self, host: &Host) -> bool {
        self.options.hosts.is_empty()
            || self
                .options
                .hosts
                .iter()
                .any(|pattern| matches(pattern, &host.name))
    }

    /// Whether `phase` takes part.
    pub fn has(&self, phase: Phase) -> bool {
        self.options.selection.has(phase)
    }

    /// Runs `deed` between its intent and its being done in the journal.
    pub(super) async fn journalled<T>(
        &self,
        host: Option<&str>,
        phase: Phase,
        what: &str,
        deed: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let Some(journal) = &self.journal else {
            return deed.await;
        };
        let step = Step {
            host,
            phase: phase.name(),
            what,
        };
        let cannot = |source| Error::File {
            what: "write",
            path: PathBuf::from("journal.jsonl"),
            source,
        };
        journal.intent(&step).map_err(cannot)?;
        let result = deed.await?;
        journal.done(&step).map_err(cannot)?;
        Ok(result)
    }
}

/// Connections by host, and why there is none.
#[derive(Debug, Default)]
pub struct Kept(Mutex<BTreeMap<String, Result<Session, String>>>);

impl Kept {
    /// The live connection to a host, or why it can't be reached; `None` if
    /// that has to be tried.
    pub(super) fn get(&self, host: &str) -> Option<Result<Session, String>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.get(host) {
            Some(Ok(session)) if session.is_closed() => None,
            known => known.cloned(),
        }
    }

    /// Remembers how the last attempt went.
    pub(super) fn put(&self, host: &str, result: Result<Session, String>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(host.to_owned(), result);
    }

    /// Forgets who could not be reached, so that it is tried again.
    pub(super) fn forget_failures(&self) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, result| result.is_ok());
    }
}

/// Where and how SSH reaches a host: the inventory's settings, then
/// `~/.ssh/config`, then OpenSSH's defaults.
///
/// # Errors
/// Settings that contradict each other, a config file that can't be read.
pub fn ssh_target(state: &State, host: &Host) -> Result<Target, Error> {
    let ssh = &host.ssh;
    let mut known_hosts = vec![state.known_hosts()];
    known_hosts.extend(ssh.known_hosts.iter().cloned());
    let settings = Settings {
        address: host.address.clone(),
        user: ssh.user.clone(),
        port: ssh.port,
        private_key: ssh.private_key.clone(),
        passphrase_file: ssh.passphrase_file.clone(),
        agent: ssh.agent,
        become_root: ssh.become_root,
        become_password_file: ssh.become_password_file.clone(),
        proxy_jump: ssh.proxy_jump.clone(),
        known_hosts,
        connect_timeout: Some(ssh.connect_timeout),
        use_ssh_config: ssh.use_ssh_config,
    };
    Ok(Target::resolve(
        &host.name,
        &settings,
        &Workstation::current(),
    )?)
}

/// Whether `name` matches a pattern of literal characters, `*` and `?`.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // Where to go on after the last `*` if what follows it doesn't match.
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        if p < pattern.len() && pattern[p] == b'*' {
            retry = Some((p + 1, n));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == b'?' || pattern[p] == name[n]) {
            p += 1;
            n += 1;
        } else if let Some((after_star, taken)) = retry {
            p = after_star;
            n = taken + 1;
            retry = Some((after_star, taken + 1));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("worker*", "worker12", true),
            ("worker?", "worker12", false),
            ("*1", "worker11", true),
            ("w*k*2", "worker12", true),
            ("cp1", "cp1", true),
            ("cp1", "cp11", false),
            ("*", "", true),
            ("", "x", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
