//! What a host tells about itself: `ask` makes the probe, `parse` reads its answer, `derive`
//! makes facts of it.

mod answer;
mod ask;
mod beside;
mod containerd;
mod derive;
mod gathered;
mod model;
mod parse;
mod proxies;
mod routes;
mod running;
mod small_files;
#[cfg(test)]
mod tests;

pub use ask::gather;
pub use containerd::{ContainerdFiles, WrittenConfig};
pub use gathered::{Beside, Gathered, Listener, ManifestFile, Runtime};
pub use model::{Address, Facts, Route};
pub use parse::parse_gathered;
pub use running::{IMAGE, Running};

pub(super) use ask::{DISKS, KERNEL_OPTIONS, data_dir};
