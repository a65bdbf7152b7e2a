//! Files and directories on the workstation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::Change;
use super::defaults;

/// A file to place on hosts.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-change" = Change::Live))]
pub struct FileSpec {
    /// File on this machine, relative to the inventory.
    pub source: String,
    /// Absolute path on the host.
    pub destination: String,
    /// `user` or `user:group`; without a group, the group has the name of the user.
    #[schemars(extend("default" = defaults::FILE_OWNER))]
    pub owner: Option<String>,
    /// Permissions: three or four octal digits, in quotes. With `secret`, the default is `0600`.
    #[schemars(extend("default" = defaults::FILE_MODE))]
    pub mode: Option<String>,
    /// Render it as a minijinja template with `cluster`, `host` and `facts`.
    #[serde(default)]
    pub template: bool,
    /// Don't show the content in plans and logs, and let only its owner read it, unless `mode`
    /// says otherwise.
    #[serde(default)]
    pub secret: bool,
}

/// A directory on this machine, relative to the inventory.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Directory {
    /// Path of the directory.
    pub directory: String,
}
