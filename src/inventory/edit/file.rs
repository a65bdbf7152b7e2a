//! The file behind the text: read again for each edit, written whole or not at all.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::document::EditError;
use crate::inventory::cluster::Cluster;
use crate::inventory::error::InventoryError;
use crate::inventory::load::parse;
use crate::inventory::place::directory_of;

/// A byte order mark, which some editors write: it is kept.
const BOM: &str = "\u{feff}";

/// An edit that has been made.
#[derive(Debug)]
pub struct EditedFile {
    changed: bool,
    /// What the file means now.
    pub cluster: Cluster,
}

/// Why an inventory could not be edited.
#[derive(Debug, thiserror::Error)]
pub enum FileEditError {
    /// The file can't be read or written.
    #[error("cannot {what} {}: {source}", path.display())]
    File {
        /// What was tried: `read` or `write`.
        what: &'static str,
        /// The inventory.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The edit can't be made safely.
    #[error("{}: {why}", path.display())]
    Refused {
        /// The inventory.
        path: PathBuf,
        /// Why not.
        why: String,
        /// What to write by hand.
        by_hand: String,
    },
    /// The edited text would not be a valid inventory.
    #[error(transparent)]
    Invalid(#[from] InventoryError),
}

/// Edits an inventory: what `change` makes of its text has to be an inventory
/// again. A text that stays as it is isn't written.
///
/// # Errors
/// A file that can't be read or written; an edit that can't be made, with what
/// to write by hand; an inventory that would be invalid.
pub fn edit_file(
    path: &Path,
    change: impl FnOnce(&str) -> Result<String, EditError>,
) -> Result<EditedFile, FileEditError> {
    let before = fs::read_to_string(path).map_err(file_error("read", path))?;
    let (after, cluster) = apply_change(path, &before, change)?;
    if after != before {
        write_whole(path, &after).map_err(file_error("write", path))?;
    }
    Ok(EditedFile {
        changed: after != before,
        cluster,
    })
}

/// What [`edit_file`] would make of an inventory; writes nothing.
///
/// # Errors
/// As [`edit_file`].
pub fn preview_edit(
    path: &Path,
    change: impl FnOnce(&str) -> Result<String, EditError>,
) -> Result<Cluster, FileEditError> {
    let before = fs::read_to_string(path).map_err(file_error("read", path))?;
    Ok(apply_change(path, &before, change)?.1)
}

/// The new text and what it means.
fn apply_change(
    path: &Path,
    before: &str,
    change: impl FnOnce(&str) -> Result<String, EditError>,
) -> Result<(String, Cluster), FileEditError> {
    let (mark, text) = match before.strip_prefix(BOM) {
        Some(text) => (BOM, text),
        None => ("", before),
    };
    let refused = |EditError { why, by_hand }| FileEditError::Refused {
        path: path.to_owned(),
        why,
        by_hand,
    };
    let after = change(text).map_err(refused)?;
    let name = path.display().to_string();
    let (cluster, _) = parse(&after, &name, &directory_of(path))?;
    Ok((format!("{mark}{after}"), cluster))
}

impl EditedFile {
    /// Whether the file was written.
    pub fn changed(&self) -> bool {
        self.changed
    }
}

fn file_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileEditError {
    let path = path.to_owned();
    move |source| FileEditError::File { what, path, source }
}

/// Replaces a file: written next to it, synced, then renamed over it, with the mode
/// and, where we may, the owner that it has. A symlink stays one.
fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let metadata = fs::metadata(&path)?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mut file = tempfile::Builder::new()
        .prefix(".clusterctl-")
        .tempfile_in(directory)?;
    file.write_all(text.as_bytes())?;
    // Only root can give files away; for all other users, the file becomes theirs.
    let _ = chown(file.path(), Some(metadata.uid()), Some(metadata.gid()));
    let mode = fs::Permissions::from_mode(metadata.permissions().mode() & 0o7777);
    file.as_file().set_permissions(mode)?;
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    fs::File::open(directory)?.sync_all()
}
