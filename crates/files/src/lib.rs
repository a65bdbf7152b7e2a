//! Files that only their owner may read, written whole or not at all; and whether others could
//! have written to one.

use std::fmt;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use tempfile::NamedTempFile;

/// Writes a file that only its owner may read (0600): a temporary file in the same
/// directory, synced, then renamed.
///
/// # Errors
/// Whatever the file system says; what was there before is untouched then.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    write_with_mode(path, content, 0o600)
}

/// The same with other permissions, which it gets once it is complete.
///
/// # Errors
/// As [`write_private`].
pub fn write_with_mode(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let dir = path
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = create_temporary(dir)?;
    file.write_all(content)?;
    if mode != 0o600 {
        file.as_file()
            .set_permissions(Permissions::from_mode(mode))?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The name is on the disk only once its directory is.
    File::open(dir)?.sync_all()
}

/// Makes a directory, and those above it, that only their owner may enter (0700).
/// One that is there stays as it is.
///
/// # Errors
/// Whatever the file system says.
pub fn create_private_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Whether others than the owner have any right to the file.
///
/// # Errors
/// Whatever the file system says.
pub fn is_open_to_others(path: &Path) -> io::Result<bool> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o077 != 0)
}

/// Why a file or directory may hold what others have put there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It belongs to another user, with this number.
    Owner(u32),
    /// Its group or everyone may write to it; with its permission bits.
    Writable(u32),
}

impl fmt::Display for Flaw {
    /// Worded to follow the path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flaw::Owner(uid) => write!(f, "belongs to another user (uid {uid})"),
            Flaw::Writable(mode) => write!(f, "is writable by others (mode {mode:04o})"),
        }
    }
}

/// Judges a file or directory as ssh judges `~/.ssh`: it has to belong to whoever runs this, or
/// to root, and no other may write to it. Of a link, both it and what it leads to count.
///
/// # Errors
/// Whatever the file system says.
pub fn find_flaw(path: &Path) -> io::Result<Option<Flaw>> {
    let me = rustix::process::geteuid().as_raw();
    let is_foreign = |uid: u32| uid != me && uid != 0;
    let link = fs::symlink_metadata(path)?;
    if is_foreign(link.uid()) {
        return Ok(Some(Flaw::Owner(link.uid())));
    }
    let metadata = fs::metadata(path)?;
    let mode = metadata.permissions().mode() & 0o7777;
    Ok(match metadata.uid() {
        uid if is_foreign(uid) => Some(Flaw::Owner(uid)),
        _ if mode & 0o022 != 0 => Some(Flaw::Writable(mode)),
        _ => None,
    })
}

/// A file beside its later place, 0600 from its first byte, whatever the umask.
fn create_temporary(dir: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new()
        .prefix(".clusterctl-")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(dir)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn files_and_directories_are_their_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("a/b");
        create_private_dir(&inner).unwrap();
        assert_eq!((mode(&inner), mode(&dir.path().join("a"))), (0o700, 0o700));
        let temporary = create_temporary(&inner).unwrap();
        assert_eq!(mode(temporary.path()), 0o600);
        let (key, certificate) = (inner.join("key"), inner.join("crt"));
        write_private(&key, b"x").unwrap();
        write_with_mode(&certificate, b"x", 0o644).unwrap();
        assert_eq!((mode(&key), mode(&certificate)), (0o600, 0o644));
        assert!(is_open_to_others(&certificate).unwrap() && !is_open_to_others(&key).unwrap());
    }

    #[test]
    fn what_others_could_have_written_has_a_flaw() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "x").unwrap();
        let flaw = |mode: u32| {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            find_flaw(&path).unwrap()
        };
        assert_eq!(flaw(0o644), None);
        assert_eq!(flaw(0o664), Some(Flaw::Writable(0o664)));
        assert_eq!(flaw(0o602), Some(Flaw::Writable(0o602)));
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(find_flaw(&link).unwrap(), Some(Flaw::Writable(0o602)));
        assert!(find_flaw(&dir.path().join("missing")).is_err());
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::create_dir(&path).unwrap();
        assert!(write_private(&path, b"x").is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(path.is_dir());
    }
}
