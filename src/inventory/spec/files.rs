//! Files and directories on the workstation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A file of the operator's own, placed on hosts.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileSpec {
    /// File on the workstation, relative to the inventory.
    pub source: String,
    /// Absolute path on the host.
    pub destination: String,
    /// `user` or `user:group`; the group of a user alone has the same name.
    /// Default `root:root`.
    pub owner: Option<String>,
    /// Octal, in quotes: `"0644"`, which is the default.
    pub mode: Option<String>,
    /// Render it as a minijinja template with `cluster`, `host` and `facts`.
    #[serde(default)]
    pub template: bool,
    /// Don't show its content in plans and logs.
    #[serde(default)]
    pub secret: bool,
}

/// A directory on the workstation, relative to the inventory.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Directory {
    /// Its path.
    pub directory: String,
}
