//! SSH connections of a run: settings, and connections that are kept open between rounds.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use ssh::{Session, Settings, Target, Workstation};

use super::error::Error;
use super::state::State;
use crate::inventory::Host;

/// Connections by host, or why connecting failed.
#[derive(Debug, Default)]
pub struct Kept(Mutex<BTreeMap<String, Result<Session, String>>>);

impl Kept {
    /// The open connection to a host, or why it is unreachable; `None` if connecting has
    /// not been tried.
    pub(crate) fn get(&self, host: &str) -> Option<Result<Session, String>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.get(host) {
            Some(Ok(session)) if session.is_closed() => None,
            known => known.cloned(),
        }
    }

    /// Remembers how the last attempt went.
    pub(crate) fn put(&self, host: &str, result: Result<Session, String>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(host.to_owned(), result);
    }

    /// Forgets unreachable hosts, so that they are tried again.
    pub(crate) fn forget_failures(&self) {
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
