//! How many nodes a change may take down at once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::Change;
use super::defaults;
use super::values::IntOrString;

/// How a change rolls over the nodes (`spec.rollout`).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-change" = Change::Live))]
pub struct RolloutSpec {
    /// How many workers may be unavailable at once while they are changed: a number, or a
    /// percentage such as `20%`, rounded down but at least one. Control planes are always
    /// changed one at a time.
    #[schemars(extend("default" = defaults::MAX_UNAVAILABLE))]
    pub max_unavailable: Option<IntOrString>,
}
