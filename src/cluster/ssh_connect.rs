//! How a run connects to hosts: the inventory's settings, then `~/.ssh/config`, then OpenSSH's
//! defaults.

use std::sync::Arc;

use futures::FutureExt;
use ssh::{Connector, Session, Settings, Target, Workstation};

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
}

impl SshHosts {
    /// Hosts whose keys `state` knows.
    pub(crate) fn new(connector: Connector, state: State) -> Self {
        SshHosts { connector, state }
    }
}

impl ConnectHosts for SshHosts {
    fn connect<'a>(&'a self, host: &'a Host, events: &'a Events) -> Answer<'a, Remote> {
        async move {
            let target = ssh_target(&self.state, host)?;
            for warning in &target.warnings {
                events.warn(format!("{}: {warning}", host.name));
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
pub(crate) fn ssh_target(state: &State, host: &Host) -> Result<Target, Error> {
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
