//! Hosts leave a cluster, or Kubernetes leaves all hosts.

mod drain;
mod leave;
pub mod node;
pub mod reset;
