//! Resources of hosts in the shapes that rendering needs again and again.

use zeroize::Zeroizing;

use crate::host::{Content, Directory, FileResource, Resource};

/// A directory of root's.
pub(crate) fn directory(path: &str, mode: u32) -> Resource {
    Resource::Directory(Directory {
        path: path.to_owned(),
        mode,
        owner: "root:root".to_owned(),
    })
}

/// A file that only root may read and whose content never passes through an
/// unwiped buffer.
pub(crate) fn secret_file(path: impl Into<String>, text: &str) -> FileResource {
    let mut file = FileResource::text(path, "").secret();
    file.content = Content::Bytes(Zeroizing::new(text.as_bytes().to_vec()));
    file
}
