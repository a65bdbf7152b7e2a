//! Values whose shape someone else defines, or that YAML may write in several ways.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A free-form tree, merged into a configuration that others define
/// (a `KubeletConfiguration`, containerd's `config.toml`).
pub type Tree = serde_json::Map<String, serde_json::Value>;

/// A string, a number or a boolean, where YAML's guess doesn't matter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// `true` or `false`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Anything else.
    String(String),
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scalar::Bool(b) => b.fmt(f),
            Scalar::Int(i) => i.fmt(f),
            Scalar::String(s) => s.fmt(f),
        }
    }
}

/// A number or a percentage, as Kubernetes' `IntOrString`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum IntOrString {
    /// So many.
    Int(i64),
    /// A share, such as `20%`.
    String(String),
}
