//! How hosts are reached, level by level.

use std::path::PathBuf;
use std::time::Duration;

use super::fault::Fault;
use super::resolver::Resolver;
use super::{syntax, values};
use crate::inventory::cluster::SshSettings;
use crate::inventory::spec::{SshSpec, defaults};
use crate::inventory::yaml::FieldPath;

/// What one level (the cluster, a group or a host) says.
#[derive(Debug, Clone, Default)]
pub(super) struct SshLayer {
    user: Option<String>,
    pub(super) port: Option<u16>,
    private_key: Option<PathBuf>,
    passphrase_file: Option<PathBuf>,
    agent: Option<bool>,
    become_root: Option<bool>,
    become_password_file: Option<PathBuf>,
    proxy_jump: Option<String>,
    known_hosts: Option<Vec<PathBuf>>,
    connect_timeout: Option<Duration>,
    use_ssh_config: Option<bool>,
}

impl SshLayer {
    /// Checks one level.
    pub(super) fn new(given: &SshSpec, at: &FieldPath, resolver: &mut Resolver<'_>) -> Self {
        if let Some(user) = &given.user
            && (user.is_empty() || user.contains(|c: char| c.is_whitespace() || c.is_control()))
        {
            let at = at.key("user");
            resolver.report(Fault::error(
                &at,
                format!("`{at}` is not a valid user name"),
            ));
        }
        if given.port == Some(0) {
            let at = at.key("port");
            let message = format!("`{at}` must be a port (1–65535)");
            resolver.report(Fault::error(&at, message));
        }
        if let Some(jump) = &given.proxy_jump {
            resolver.check(&at.key("proxyJump"), syntax::check_proxy_jump(jump));
        }
        let private_key = given.private_key.as_ref();
        let passphrase_file = given.passphrase_file.as_ref();
        let become_password_file = given.become_password_file.as_ref();
        if given.become_root == Some(false) && become_password_file.is_some() {
            let at = at.key("becomePasswordFile");
            let message = "`becomePasswordFile` has no effect with `become: false`";
            resolver.report(Fault::warning(&at, message));
        }
        let known_hosts = given.known_hosts.as_ref().map(|files| {
            let at = at.key("knownHosts");
            let files = files.iter().enumerate();
            let files = files.map(|(index, file)| resolver.require_file(&at.index(index), file));
            files.collect()
        });
        SshLayer {
            user: given.user.clone(),
            port: given.port,
            private_key: private_key.map(|file| resolver.require_file(&at.key("privateKey"), file)),
            passphrase_file: passphrase_file
                .map(|file| resolver.require_secret_file(&at.key("passphraseFile"), file)),
            agent: given.agent,
            become_root: given.become_root,
            become_password_file: become_password_file
                .map(|file| resolver.require_secret_file(&at.key("becomePasswordFile"), file)),
            proxy_jump: given.proxy_jump.clone(),
            known_hosts,
            connect_timeout: given.connect_timeout.as_deref().map(|timeout| {
                let at = at.key("connectTimeout");
                values::resolve_duration(
                    Some(timeout),
                    defaults::SSH_CONNECT_TIMEOUT,
                    &at,
                    resolver,
                )
            }),
            use_ssh_config: given.use_ssh_config,
        }
    }

    /// This level laid over a more general one.
    pub(super) fn overlay_on(self, base: &SshLayer) -> SshLayer {
        // A passphrase belongs to the key that it was given with.
        let passphrase_file = match self.private_key {
            Some(_) => self.passphrase_file,
            None => self
                .passphrase_file
                .or_else(|| base.passphrase_file.clone()),
        };
        SshLayer {
            user: self.user.or_else(|| base.user.clone()),
            port: self.port.or(base.port),
            private_key: self.private_key.or_else(|| base.private_key.clone()),
            passphrase_file,
            agent: self.agent.or(base.agent),
            become_root: self.become_root.or(base.become_root),
            become_password_file: self
                .become_password_file
                .or_else(|| base.become_password_file.clone()),
            proxy_jump: self.proxy_jump.or_else(|| base.proxy_jump.clone()),
            known_hosts: self.known_hosts.or_else(|| base.known_hosts.clone()),
            connect_timeout: self.connect_timeout.or(base.connect_timeout),
            use_ssh_config: self.use_ssh_config.or(base.use_ssh_config),
        }
    }

    /// What is left open by all levels takes its default.
    pub(super) fn into_settings(self) -> SshSettings {
        SshSettings {
            user: self.user,
            port: self.port,
            private_key: self.private_key,
            passphrase_file: self.passphrase_file,
            agent: self.agent.unwrap_or(defaults::SSH_AGENT),
            become_root: self.become_root,
            become_password_file: self.become_password_file,
            proxy_jump: self.proxy_jump,
            known_hosts: self.known_hosts.unwrap_or_default(),
            connect_timeout: self.connect_timeout,
            use_ssh_config: self.use_ssh_config.unwrap_or(defaults::SSH_USE_CONFIG),
        }
    }
}
