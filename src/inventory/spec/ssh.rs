//! How hosts are reached.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::Change;
use super::defaults;

/// How hosts are reached. A field that is not set falls back to the group, the cluster,
/// `~/.ssh/config` and OpenSSH's defaults, in this order.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-change" = Change::Live))]
pub struct SshSpec {
    /// User to log in as.
    pub user: Option<String>,
    /// SSH port.
    #[schemars(extend("default" = defaults::SSH_PORT))]
    pub port: Option<u16>,
    /// Private key file, relative to the inventory; `~/` is the home directory.
    pub private_key: Option<String>,
    /// File whose first line is the key's passphrase. Default: ask once.
    pub passphrase_file: Option<String>,
    /// Whether to use the keys of the SSH agent.
    #[schemars(extend("default" = defaults::SSH_AGENT))]
    pub agent: Option<bool>,
    /// Whether to become root with sudo. Default: only if the user is not root.
    #[serde(rename = "become")]
    pub become_root: Option<bool>,
    /// File whose first line is the sudo password. Default: ask once, if sudo needs one.
    pub become_password_file: Option<String>,
    /// Jump hosts: `[user@]host[:port]`, separated by commas.
    pub proxy_jump: Option<String>,
    /// Additional known_hosts files, relative to the inventory.
    pub known_hosts: Option<Vec<String>>,
    /// Timeout for connecting, including the handshake. Default: `ConnectTimeout` of
    /// `~/.ssh/config`, else `10s`.
    pub connect_timeout: Option<String>,
    /// Whether to read `~/.ssh/config` and `/etc/ssh/ssh_config`, as `ssh` does.
    #[schemars(extend("default" = defaults::SSH_USE_CONFIG))]
    pub use_ssh_config: Option<bool>,
}
