//! The file behind the text: read afresh for each edit, written whole or not at
//! all.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use super::super::cluster::Cluster;
use super::super::read::{directory_of, parse};
use super::EditError;
use crate::Error;

/// A byte order mark is an editor's habit, and stays.
const BOM: &str = "\u{feff}";

/// An edit that has been made.
#[derive(Debug)]
pub struct Edited {
    changed: bool,
    /// What the file means now.
    pub cluster: Cluster,
}

/// Edits an inventory: what `change` makes of its text has to be an inventory
/// again. A text that stays as it is isn't written.
///
/// # Errors
/// A file that can't be read or written; an edit that can't be made, with what
/// to write by hand; an inventory that would have faults.
pub fn edit(
    path: &Path,
    change: impl FnOnce(&str) -> Result<String, EditError>,
) -> Result<Edited, Error> {
    let before = fs::read_to_string(path).map_err(failed("read", path))?;
    let (after, cluster) = changed(path, &before, change)?;
    if after != before {
        write(path, &after).map_err(failed("write", path))?;
    }
    Ok(Edited {
        changed: after != before,
        cluster,
    })
}

/// What [`edit`] would make of an inventory; writes nothing.
///
/// # Errors
/// As [`edit`].
pub fn preview(
    path: &Path,
    change: impl FnOnce(&str) -> Result<String, EditError>,
) -> Result<Cluster, Error> {
    let before = fs::read_to_string(path).map_err(failed("read", path))?;
    Ok(changed(path, &before, change)?.1)
}

/// The new text and what it means.
fn changed(
    path: &Path,
    before: &str,
    change: impl FnOnce(&str) -> Result<String, EditError>,
) -> Result<(String, Cluster), Error> {
    let (mark, text) = match before.strip_prefix(BOM) {
        Some(text) => (BOM, text),
        None => ("", before),
    };
    let refused = |EditError { why, by_hand }| Error::Edit {
        path: path.to_owned(),
        why,
        by_hand,
    };
    let after = change(text).map_err(refused)?;
    let name = path.display().to_string();
    let (cluster, _) = parse(&after, &name, &directory_of(path))?;
    Ok((format!("{mark}{after}"), cluster))
}

impl Edited {
    /// Whether the file was written.
    pub fn changed(&self) -> bool {
        self.changed
    }
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { what, path, source }
}

/// Writes a file anew: beside it, synced, then renamed over it, with the mode
/// and, where we may, the owner that it has. A symlink stays one.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let metadata = fs::metadata(&path)?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mut file = tempfile::Builder::new()
        .prefix(".clusterctl-")
        .tempfile_in(directory)?;
    file.write_all(text.as_bytes())?;
    // Only root may give files away; anybody else owns what they edit.
    let _ = chown(file.path(), Some(metadata.uid()), Some(metadata.gid()));
    let mode = fs::Permissions::from_mode(metadata.permissions().mode() & 0o7777);
    file.as_file().set_permissions(mode)?;
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    fs::File::open(directory)?.sync_all()
}
