//! Where Kubernetes itself comes from: which versions belong together, and the files that
//! hosts need, verified by checksum.
//!
//! [`open_directory`] reads a directory of the user's; [`fetch`] fills such a directory in
//! the cache from the upstream sites. Both return a [`Set`].

mod archive;
pub mod catalogue;
mod directory;
mod download;
mod error;
mod hashes;
mod online;
mod set;
mod sums;

pub use catalogue::Release;
pub use directory::open_directory;
pub use error::ArtifactsError;
pub use online::{OnlineRequest, Progress, default_cache_dir, fetch};
pub use set::{Arch, File, ImageArchive, Set};
