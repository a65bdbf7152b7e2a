//! How hosts are reached.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How hosts are reached. What is unset falls back to the group, the cluster,
/// `~/.ssh/config` and OpenSSH's defaults, in this order.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SshSpec {
    /// User to log in as.
    pub user: Option<String>,
    /// Port. Default 22.
    pub port: Option<u16>,
    /// Private key file, relative to the inventory; `~` is the home directory.
    pub private_key: Option<String>,
    /// File whose first line is the key's passphrase. Default: asked for once.
    pub passphrase_file: Option<String>,
    /// Whether to offer the agent's keys. Default true.
    pub agent: Option<bool>,
    /// Become root by sudo. Default: only if the user is not root.
    #[serde(rename = "become")]
    pub become_root: Option<bool>,
    /// File whose first line is the sudo password. Default: asked for once,
    /// if sudo wants one.
    pub become_password_file: Option<String>,
    /// Host to go through: `[user@]host[:port]`, several joined by commas.
    pub proxy_jump: Option<String>,
    /// More known_hosts files, relative to the inventory.
    pub known_hosts: Option<Vec<String>>,
    /// Time to connect and shake hands, such as `10s`. Default 10s.
    pub connect_timeout: Option<String>,
    /// Whether to read `~/.ssh/config`. Default true.
    pub use_ssh_config: Option<bool>,
}
