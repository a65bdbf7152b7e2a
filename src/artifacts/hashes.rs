//! Caches checksums, so that an unchanged file is not hashed on every run: hashing a
//! cluster's images takes seconds.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A file that was written this recently may be written again without a change
/// of its time stamps: it isn't remembered.
const SETTLED: Duration = Duration::from_secs(2);

/// What identifies an unchanged file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    size: u64,
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(meta: &Metadata) -> Self {
        Stamp {
            size: meta.size(),
            inode: meta.ino(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }
}

/// What is known about a file's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// Lower hex.
    pub(super) sha256: String,
    /// Bytes.
    pub(super) size: u64,
    /// Of an image archive, the images.
    pub(super) references: Vec<String>,
}

/// What was known at the end of the last run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Hashes {
    file: PathBuf,
    known: BTreeMap<PathBuf, (Stamp, Known)>,
}

impl Hashes {
    /// A missing or invalid file counts as empty, and so does one that others could have
    /// written: it is believed instead of the files themselves.
    pub(super) fn load(file: &Path) -> Self {
        let is_ours = |path: &Path| matches!(files::find_flaw(path), Ok(None));
        let known = file
            .parent()
            .filter(|dir| is_ours(dir) && is_ours(file))
            .and_then(|_| fs::read(file).ok())
            .and_then(|json| serde_json::from_slice(&json).ok())
            .unwrap_or_default();
        Hashes {
            file: file.to_owned(),
            known,
        }
    }

    /// What is known about the file's current content.
    pub(super) fn get(&self, path: &Path) -> Option<&Known> {
        let meta = fs::symlink_metadata(path).ok()?;
        let (stamp, known) = self.known.get(path)?;
        (*stamp == Stamp::of(&meta)).then_some(known)
    }

    /// Remembers these files below `dir` and forgets all others there, then
    /// writes if that changed anything.
    pub(super) fn keep(mut self, dir: &Path, fresh: BTreeMap<PathBuf, Known>) -> io::Result<()> {
        let before = self.known.clone();
        self.known
            .retain(|path, _| !path.starts_with(dir) || fresh.contains_key(path));
        for (path, known) in fresh {
            let meta = fs::symlink_metadata(&path)?;
            let settled = meta.modified().is_ok_and(|at| {
                SystemTime::now()
                    .duration_since(at)
                    .is_ok_and(|age| age > SETTLED)
            });
            if settled && known.size == meta.size() {
                self.known.insert(path, (Stamp::of(&meta), known));
            }
        }
        if self.known == before {
            return Ok(());
        }
        let parent = self.file.parent().unwrap_or(Path::new("."));
        files::create_private_dir(parent)?;
        files::write_private(&self.file, &serde_json::to_vec(&self.known)?)
    }
}

/// Reads a file to its end: its SHA-256 in lower hex, and its size.
pub(super) fn hash(path: &Path) -> io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    let mut size = 0;
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok((hex(&digest.finalize()), size));
        }
        digest.update(&buffer[..count]);
        size += count as u64;
    }
}

/// Lower hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_not_known() {
        let dir = tempfile::tempdir().unwrap();
        let (path, cache) = (dir.path().join("file"), dir.path().join("state/hashes"));
        fs::write(&path, "one").unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        let past = SystemTime::now() - Duration::from_secs(60);
        file.set_modified(past).unwrap();
        let (sha256, size) = hash(&path).unwrap();
        let known = Known {
            sha256,
            size,
            references: vec!["a/b:1".into()],
        };
        let fresh = || BTreeMap::from([(path.clone(), known.clone())]);
        Hashes::load(&cache).keep(dir.path(), fresh()).unwrap();
        assert_eq!(Hashes::load(&cache).get(&path), Some(&known));

        // The same size and time of modification, but not the same content.
        fs::write(&path, "two").unwrap();
        file.set_modified(past).unwrap();
        assert_eq!(Hashes::load(&cache).get(&path), None);

        // What may still change unseen isn't remembered.
        file.set_modified(SystemTime::now()).unwrap();
        Hashes::load(&cache).keep(dir.path(), fresh()).unwrap();
        assert_eq!(Hashes::load(&cache).get(&path), None);

        fs::write(&cache, "nonsense").unwrap();
        assert!(Hashes::load(&cache).known.is_empty());
    }
}
