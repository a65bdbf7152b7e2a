//! Files of the store, which may hold keys.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use zeroize::Zeroizing;

/// No certificate bundle comes near this.
const LIMIT: u64 = 1 << 20;

/// The text of a file; `None` if it doesn't exist.
pub(crate) fn read_text(path: &Path) -> io::Result<Option<Zeroizing<String>>> {
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

/// Writes a file whole or not at all, and makes its directory if need be.
pub(crate) fn write_file(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        files::create_private_dir(dir)?;
    }
    files::write_with_mode(path, content, mode)
}

/// Takes all rights from everyone but the owner.
pub(crate) fn close_to_others(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(0o600))
}
