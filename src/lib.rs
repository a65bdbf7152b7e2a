//! Turns machines that one reaches over SSH into a Kubernetes cluster.
//!
//! `docs/architecture.md` shows the way through the house.

pub mod artifacts;
pub mod cli;
pub mod engine;
mod error;
pub mod host;
pub mod inventory;
pub mod kubernetes;
pub mod layout;
pub mod phases;
pub mod pki;
pub mod report;
pub mod ssh;

pub use error::{Error, ExitStatus};
