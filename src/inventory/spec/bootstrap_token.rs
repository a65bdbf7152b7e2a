//! Bootstrap tokens of the operator's own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A bootstrap token of the operator's own.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BootstrapToken {
    /// `[a-z0-9]{6}.[a-z0-9]{16}`.
    pub token: String,
    /// How long it lives, such as `24h`. Default 24h; `0` for ever.
    pub ttl: Option<String>,
    /// What it may be used for. Default: `signing` and `authentication`.
    pub usages: Option<Vec<String>>,
    /// Groups that it authenticates as, beside `system:bootstrappers`.
    pub groups: Option<Vec<String>>,
    /// For humans.
    pub description: Option<String>,
}
