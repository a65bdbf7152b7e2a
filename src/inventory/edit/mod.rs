//! Edits of the inventory's text: add a host, keep the list of removed hosts. Comments,
//! order and layout are the operator's, and stay as they are.
//!
//! An edit is a few insertions and deletions at places that the tree knows. Whatever the
//! file looks like, the result is parsed again and has to mean exactly what was wanted;
//! otherwise the edit is refused, and the error says what to write by hand.

mod add_host;
mod document;
mod file;
mod host_entry;
mod list;
mod removed_hosts;
mod style;
mod text;

pub use add_host::add_host;
pub use document::EditError;
pub use file::{EditedFile, FileEditError, edit_file, preview_edit};
pub use host_entry::HostEntry;
pub use removed_hosts::set_removed_hosts;
