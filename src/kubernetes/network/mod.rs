//! What gives pods their network: one file for each kind that the inventory
//! knows.
//!
//! To add one: a variant of [`crate::inventory::CniType`], a file here that
//! implements [`PodNetwork`], a line in `choose.rs`, and its templates.

mod bridge;
mod choose;
mod manifest;
mod pod_network;

pub use choose::{CNI_NAMES, files, pod_network, withdrawn_files, withdrawn_units};
pub use pod_network::PodNetwork;
