//! Bootstrap tokens of the operator's own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::Change;
use super::defaults;

/// An additional bootstrap token.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-change" = Change::Live))]
pub struct BootstrapToken {
    /// The token, in the form `[a-z0-9]{6}.[a-z0-9]{16}`.
    pub token: String,
    /// How long the token is valid; `0` for no expiry.
    #[schemars(extend("default" = defaults::TOKEN_TTL))]
    pub ttl: Option<String>,
    /// What the token may be used for. Default: `signing` and `authentication`.
    pub usages: Option<Vec<String>>,
    /// Groups to authenticate as, in addition to `system:bootstrappers`.
    pub groups: Option<Vec<String>>,
    /// A description for people.
    pub description: Option<String>,
}
