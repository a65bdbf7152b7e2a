//! A host, with everything decided that is needed to reach it.

use std::path::PathBuf;
use std::time::Duration;

use crate::algorithms::Algorithms;
use crate::config::AddressFamily;
use crate::known_hosts::Name;
use crate::known_hosts_command::KnownHostsCommand;

/// A key that may be offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdentityFile {
    /// The private key, or a public one whose private half is the agent's.
    pub(crate) path: PathBuf,
    /// Whether it was named, rather than being one of OpenSSH's defaults.
    pub(crate) named: bool,
}

/// How the host's sshd is reached.
#[derive(Debug, Clone)]
pub(crate) enum Route {
    /// Over TCP.
    Direct(TcpOptions),
    /// Through another host.
    Jump(Box<Target>),
    /// By a command that connects its standard input and output to sshd.
    Command(String),
}

/// What to mind when a TCP connection is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TcpOptions {
    /// Which of the host's addresses are tried.
    pub(crate) family: AddressFamily,
    /// Name or address of this machine to connect from.
    pub(crate) bind_address: Option<String>,
    /// Network interface to connect from.
    pub(crate) bind_interface: Option<String>,
    /// How often all addresses are tried before giving up, once a second.
    pub(crate) attempts: u32,
}

/// What the host has to prove.
#[derive(Debug, Clone)]
pub(crate) struct HostKeyRules {
    /// The name by which known_hosts knows it.
    pub(crate) name: String,
    /// Whether `name` is an alias, which is looked up without a port.
    pub(crate) is_alias: bool,
    /// known_hosts files, in the order in which they are searched.
    pub(crate) files: Vec<PathBuf>,
    /// Prints more lines of that kind.
    pub(crate) command: Option<KnownHostsCommand>,
    /// Files with keys that are never accepted.
    pub(crate) revoked: Vec<PathBuf>,
    /// Whether the host's address must not be known by another key.
    pub(crate) check_address: bool,
}

/// What is offered to log in.
#[derive(Debug, Clone)]
pub(crate) struct LoginRules {
    /// Keys to offer, in this order.
    pub(crate) identities: Vec<IdentityFile>,
    /// Certificates for them.
    pub(crate) certificates: Vec<PathBuf>,
    /// Whether no key but these may be offered.
    pub(crate) identities_only: bool,
    /// File with the passphrase of the named key.
    pub(crate) passphrase_file: Option<PathBuf>,
    /// The agent's socket.
    pub(crate) agent: Option<PathBuf>,
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
    pub(crate) route: Route,
    pub(crate) host_key: HostKeyRules,
    pub(crate) login: LoginRules,
    pub(crate) algorithms: Algorithms,
    /// Become root by sudo; `None`: if the user is not root.
    pub(crate) become_root: Option<bool>,
    /// File with the sudo password.
    pub(crate) become_password_file: Option<PathBuf>,
    /// Time for each of: connecting, the handshake, a login attempt.
    pub connect_timeout: Duration,
    /// What of `ssh_config` could not be honoured.
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
            host: &self.host_key.name,
            port: (!self.host_key.is_alias).then_some(self.port),
        }
    }

    /// What tells this login from others, its way there included.
    pub(crate) fn identity(&self) -> String {
        let via = match &self.route {
            Route::Direct(_) => String::new(),
            Route::Jump(jump) => format!(" via {}", jump.identity()),
            Route::Command(command) => format!(" by {command}"),
        };
        format!("{}@{}{via}", self.user, self.endpoint())
    }
}

pub(crate) fn endpoint(address: &str, port: u16) -> String {
    if address.contains(':') {
        format!("[{address}]:{port}")
    } else {
        format!("{address}:{port}")
    }
}
