//! A host, with everything decided that is needed to reach it.

use std::path::PathBuf;
use std::time::Duration;

use super::known_hosts::Name;

/// A private key that may be offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityFile {
    /// The key file.
    pub path: PathBuf,
    /// Whether it was named, rather than being one of OpenSSH's defaults.
    pub named: bool,
}

/// A host, with everything decided that is needed to reach it.
#[derive(Debug, Clone)]
pub struct Target {
    /// What the operator calls it; every error starts with it.
    pub name: String,
    /// Name or address to connect to.
    pub address: String,
    /// Port.
    pub port: u16,
    /// User to log in as.
    pub user: String,
    /// The name by which known_hosts knows it.
    pub host_key_name: String,
    /// Whether `host_key_name` is an alias, which is looked up without a port.
    pub host_key_alias: bool,
    /// Keys to offer, in this order.
    pub identities: Vec<IdentityFile>,
    /// Whether no key but these may be offered.
    pub identities_only: bool,
    /// File with the passphrase of the named key.
    pub passphrase_file: Option<PathBuf>,
    /// The agent's socket.
    pub agent: Option<PathBuf>,
    /// Become root by sudo; `None`: if the user is not root.
    pub become_root: Option<bool>,
    /// File with the sudo password.
    pub become_password_file: Option<PathBuf>,
    /// The host to go through.
    pub jump: Option<Box<Target>>,
    /// known_hosts files, in the order in which they are searched.
    pub known_hosts: Vec<PathBuf>,
    /// Time for each of: connecting, the handshake, a login attempt.
    pub connect_timeout: Duration,
    /// What in `~/.ssh/config` could not be honoured.
    pub warnings: Vec<String>,
}

impl Target {
    /// `address:port`, with brackets around an IPv6 address.
    pub fn endpoint(&self) -> String {
        endpoint(&self.address, self.port)
    }

    /// Every host on the way, the one to connect to first and this one last.
    /// All bear this one's name.
    pub fn hops(&self) -> Vec<&Target> {
        let mut hops = self
            .jump
            .as_ref()
            .map(|jump| jump.hops())
            .unwrap_or_default();
        hops.push(self);
        hops
    }

    /// The name under which known_hosts files are searched for it.
    pub(super) fn known_hosts_name(&self) -> Name<'_> {
        Name {
            host: &self.host_key_name,
            port: (!self.host_key_alias).then_some(self.port),
        }
    }

    /// What tells this login from others, its jump hosts included.
    pub(super) fn identity(&self) -> String {
        let via = self
            .jump
            .as_ref()
            .map(|jump| format!(" via {}", jump.identity()));
        format!(
            "{}@{}{}",
            self.user,
            self.endpoint(),
            via.unwrap_or_default()
        )
    }
}

pub(super) fn endpoint(address: &str, port: u16) -> String {
    if address.contains(':') {
        format!("[{address}]:{port}")
    } else {
        format!("{address}:{port}")
    }
}
