//! Hosts leave a cluster, or Kubernetes leaves all hosts.

mod anchor;
mod drain;
mod leave;
pub mod node;
pub mod reset;
