//! How a run connects to hosts: the inventory's settings, then `~/.ssh/config`, then OpenSSH's
//! defaults.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use ssh::{Connector, Session, Settings, SshError, Target, Workstation};

use super::ssh_host::SshHost;
use crate::inventory::Host;
use crate::run::error::Error;
use crate::run::events::Events;
use crate::run::remote::{Answer, ConnectHosts, Remote};
use crate::run::state::State;

/// Connects over SSH.
#[derive(Debug, Clone)]
pub(crate) struct SshHosts {
    connector: Connector,
    state: State,
    warned: Arc<OncePerRun>,
}

/// Warnings that were given already: what is wrong with `~/.ssh/config` is so for most hosts.
#[derive(Debug, Default)]
pub(crate) struct OncePerRun(Mutex<BTreeSet<String>>);

impl OncePerRun {
    /// The warnings that are new.
    pub(crate) fn news<'a>(&self, warnings: &'a [String]) -> Vec<&'a String> {
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = |warning: &&String| given.insert(warning.to_string());
        warnings.iter().filter(is_new).collect()
    }
}

impl SshHosts {
    /// Hosts whose keys `state` knows.
    pub(crate) fn new(connector: Connector, state: State) -> Self {
        SshHosts {
            connector,
            state,
            warned: Arc::default(),
        }
    }
}

impl ConnectHosts for SshHosts {
    fn connect<'a>(&'a self, host: &'a Host, events: &'a Events) -> Answer<'a, Remote> {
        async move {
            let target = ssh_target(&self.state, host).await?;
            for warning in self.warned.news(&target.warnings) {
                events.warn(warning.as_str());
            }
            let session = Session::connect(&target, &self.connector).await?;
            Ok(Arc::new(SshHost::new(session)) as Remote)
        }
        .boxed()
    }
}

/// Where and how SSH reaches a host.
///
/// # Errors
/// Settings that contradict each other, a config file that can't be read.
pub(crate) async fn ssh_target(state: &State, host: &Host) -> Result<Target, Error> {
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
        connect_timeout: ssh.connect_timeout,
        use_ssh_config: ssh.use_ssh_config,
    };
    let name = host.name.clone();
    let resolve = move || Target::resolve(&name, &settings, &Workstation::current());
    // It reads files and may ask DNS.
    let resolved = tokio::task::spawn_blocking(resolve).await;
    let broke = |error: tokio::task::JoinError| SshError::Settings {
        host: host.name.clone(),
        reason: error.to_string(),
    };
    Ok(resolved.map_err(broke)??)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_given_once_however_many_hosts_it_is_about() {
        let warned = OncePerRun::default();
        let (both, one) = (["a".to_owned(), "b".to_owned()], ["b".to_owned()]);
        assert_eq!(warned.news(&one), ["b"]);
        assert_eq!(warned.news(&both), ["a"]);
        assert!(warned.news(&both).is_empty());
    }
}
