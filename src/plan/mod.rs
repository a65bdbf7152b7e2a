//! What a run would change: reading hosts and API, comparing, and the plan as a document.

mod affects;
pub(crate) mod build;
mod certificates;
mod changes;
mod containerd;
mod corefile;
pub mod document;
pub mod draft;
mod draw;
pub mod file;
mod kubelet_certificates;
mod live;
pub mod model;
pub(crate) mod objects;
pub mod preflight;
pub(crate) mod removals;
mod stages;
mod way_out;
