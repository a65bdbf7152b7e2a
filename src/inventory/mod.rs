//! The inventory: YAML with spans → typed → validated → resolved [`Cluster`].
//!
//! [`load`] reads the file once, into a tree that knows where everything
//! stands ([`tree`]); checks the tree against the schema that is made from the
//! types in [`spec`]; turns it into these types; and resolves them. Each step
//! mends what it complains of, so that one run reports every fault.

mod cluster;
mod context;
pub mod edit;
mod finding;
pub(crate) mod listen;
mod load_balancer;
mod mended;
mod range;
mod read;
mod resolve;
mod rollout;
mod schema;
mod shape;
mod source;
pub mod spec;
mod starter;
mod suggest;
mod syntax;
pub mod tree;
mod yaml;

pub use cluster::*;
pub use finding::{Finding, InventoryError, Report, Severity};
pub use listen::ListeningPort;
pub use load_balancer::{LoadBalancer, LoadBalancerSpec, LoadBalancerType};
pub use read::{load, parse};
pub use resolve::SUPPORTED_MINORS;
pub use rollout::{IntOrString, MaxUnavailable, Rollout, RolloutSpec};
pub use schema::schema;
pub use source::{Source, Span};
pub use starter::starter;

/// A duration as Go writes it, such as `90s`, `4m` or `1h30m`.
///
/// # Errors
/// What is wrong with it, in words that end a sentence.
pub fn duration(text: &str) -> Result<std::time::Duration, String> {
    syntax::duration(text)
}
