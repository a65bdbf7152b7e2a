//! Turns machines that are reachable over SSH into a Kubernetes cluster.
//!
//! `docs/architecture.md` describes how the code is organized.

pub mod apply;
pub mod artifacts;
pub mod cli;
mod cluster;
pub mod desired;
pub mod host;
pub mod inventory;
pub mod kubernetes;
pub mod layout;
pub mod plan;
pub mod recover;
pub mod remove;
pub mod report;
pub mod run;
pub mod status;

pub use run::error::{Error, ExitStatus};
