//! How many nodes a change may take down at once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::IntOrString;

/// How a change rolls over the nodes (`spec.rollout`).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolloutSpec {
    /// How many workers may be unavailable at once while something on them is
    /// changed: a number, or a share of them such as `20%`, rounded down, but
    /// never less than one. Default 1. Control planes always go one by one.
    pub max_unavailable: Option<IntOrString>,
}
