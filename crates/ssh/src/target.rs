//! A host, with everything decided that is needed to reach it.

use std::path::PathBuf;
use std::time::Duration;

use crate::known_hosts::Name;

/// A private key that may be offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdentityFile {
    /// The key file.
    pub(crate) path: PathBuf,
    /// Whether it was named, rather than being one of OpenSSH's defaults.
    pub(crate) named: bool,
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
    pub(crate) host_key_name: String,
    /// Whether `host_key_name` is an alias, which is looked up without a port.
    pub(crate) host_key_alias: bool,
    /// Keys to offer, in this order.
    pub(crate) identities: Vec<IdentityFile>,
    /// Whether no key but these may be offered.
    pub(crate) identities_only: bool,
    /// File with the passphrase of the named key.
    pub(crate) passphrase_file: Option<PathBuf>,
    /// The agent's socket.
    pub(crate) agent: Option<PathBuf>,
    /// Become root by sudo; `None`: if the user is not root.
    pub(crate) become_root: Option<bool>,
    /// File with the sudo password.
    pub(crate) become_password_file: Option<PathBuf>,
    /// The host to go through.
    pub(crate) jump: Option<Box<Target>>,
    /// known_hosts files, in the order in which they are searched.
    pub(crate) known_hosts: Vec<PathBuf>,
    /// Time for each of: connecting, the handshake, a login attempt.
    pub connect_timeout: Duration,
    /// What in `~/.ssh/config` could not be honoured.
    pub warnings: Vec<String>,
}

impl Target {
    /// `address:port`, with brackets around an IPv6 address.
    pub(crate) fn endpoint(&self) -> String {
        endpoint(&self.address, self.port)
    }

    /// The name under which known_hosts files are searched for it.
    pub(crate) fn known_hosts_name(&self) -> Name<'_> {
        Name {
            host: &self.host_key_name,
            port: (!self.host_key_alias).then_some(self.port),
        }
    }

    /// What tells this login from others, its jump hosts included.
    pub(crate) fn identity(&self) -> String {
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

pub(crate) fn endpoint(address: &str, port: u16) -> String {
    if address.contains(':') {
        format!("[{address}]:{port}")
    } else {
        format!("{address}:{port}")
    }
}
