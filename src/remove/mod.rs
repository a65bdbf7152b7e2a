//! Removes hosts from a cluster, or Kubernetes from all hosts.

mod anchor;
mod drain;
mod leave;
pub mod node;
pub mod reset;
