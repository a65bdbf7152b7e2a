//! What a run would change: read from hosts and API, compared, written down.

mod affects;
pub(crate) mod build;
mod certificates;
pub mod document;
pub mod draft;
mod draw;
pub mod file;
pub mod model;
pub(crate) mod objects;
pub mod preflight;
mod stages;
