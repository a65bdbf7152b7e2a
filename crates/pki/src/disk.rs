//! Files of the store. A key is root's from its first byte: directories are
//! made 0700 and temporary files 0600, whatever the umask.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use tempfile::NamedTempFile;
use zeroize::Zeroizing;

/// No certificate bundle comes near this.
const LIMIT: u64 = 1 << 20;

/// The text of a file; `None` if there is none.
pub(super) fn read(path: &Path) -> io::Result<Option<Zeroizing<String>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(e) => return Err(e),
    };
    let length = file.metadata()?.len();
    if length > LIMIT {
        return Err(io::Error::new(
            ErrorKind::InvalidData,
            "is larger than 1 MiB, so it holds neither a key nor a certificate",
        ));
    }
    // Allocated once, so that no copy of a key stays behind.
    let mut text = Zeroizing::new(String::with_capacity(length as usize + 1));
    file.take(LIMIT).read_to_string(&mut text)?;
    Ok(Some(text))
}

/// Writes a file so that it is there whole or not at all.
pub(super) fn write(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let dir = path
        .parent()
        .ok_or_else(|| io::Error::from(ErrorKind::InvalidInput))?;
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let mut file = temporary(dir)?;
    file.write_all(content)?;
    file.as_file()
        .set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    File::open(dir)?.sync_all()
}

/// A file beside its later place, the owner's alone from the start.
fn temporary(dir: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new()
        .prefix(".new-")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(dir)
}

/// Whether others than the owner have any right to the file.
pub(super) fn is_open_to_others(path: &Path) -> io::Result<bool> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o077 != 0)
}

/// Takes every right from everybody but the owner.
pub(super) fn close_to_others(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(0o600))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// tests/pki looks at all files of a run whose umask is 0, but may look too
    /// late to see this one.
    #[test]
    fn a_temporary_file_is_the_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = temporary(dir.path()).unwrap();
        let mode = file.as_file().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::create_dir(&path).unwrap();
        assert!(write(&path, b"x", 0o600).is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(path.is_dir());
    }
}
