//! Where Kubernetes itself comes from: which versions belong together, and the files that
//! hosts need, verified by checksum.
//!
//! [`open_directory`] reads a directory of the user's; [`fetch`] fills such a directory in
//! the cache from the upstream sites or their mirrors, of which only what something vouches for
//! is used. Both return a [`Set`].

mod archive;
pub mod catalogue;
mod directory;
mod download;
mod error;
mod evidence;
mod hashes;
mod items;
mod known;
mod online;
mod set;
mod sums;
mod write;

pub use catalogue::Release;
pub use directory::open_directory;
pub use error::{ArtifactsError, Voucher};
pub use evidence::check_sources;
pub use online::{OnlineRequest, Progress, default_cache_dir, fetch, open_cached};
pub use set::{Arch, File, ImageArchive, Set};
pub use sums::read_checksums;
pub use write::write_directory;
