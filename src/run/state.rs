//! The state directory: `.clusterctl/<cluster>/` beside the inventory, mode 0700.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::host::Owner;

/// The state directory.
#[derive(Debug, Clone)]
pub struct State {
    dir: PathBuf,
}

/// Errors of the state directory.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another run holds the lock.
    #[error("another run holds the lock {}{}", path.display(), holder_suffix(.holder))]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// What that run wrote to it: its process and verb.
        holder: String,
    },
    /// A file operation failed.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// The operation: `create`, `write`, `lock`.
        what: &'static str,
        /// The path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl StateError {
    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            StateError::Locked { .. } => Some(
                "wait for that run to end; the lock ends with its process, so there is no file to remove"
                    .into(),
            ),
            StateError::Io { .. } => None,
        }
    }
}

fn holder_suffix(holder: &str) -> String {
    if holder.is_empty() {
        String::new()
    } else {
        format!(" ({holder})")
    }
}

/// Holds the lock until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl State {
    /// Opens the state directory, creating it if necessary.
    ///
    /// # Errors
    /// [`StateError::Io`] if it cannot be created.
    pub fn open(dir: PathBuf) -> Result<Self, StateError> {
        let state = State { dir };
        state.ensure_dir(&state.dir)?;
        Ok(state)
    }

    /// The state directory without touching the disk (read-only verbs).
    pub fn peek(dir: PathBuf) -> Self {
        State { dir }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The cluster's own known_hosts.
    pub fn known_hosts(&self) -> PathBuf {
        self.dir.join("known_hosts")
    }

    /// The admin kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// Which cluster the directory belongs to; `None` before its first `apply`.
    ///
    /// # Errors
    /// [`StateError`] if the file exists and cannot be used.
    pub fn owner(&self) -> Result<Option<Owner>, StateError> {
        let path = self.owner_file();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                let what = "read";
                return Err(StateError::Io { what, path, source });
            }
        };
        match serde_json::from_slice(&text) {
            Ok(owner) => Ok(Some(owner)),
            Err(error) => Err(StateError::Io {
                what: "read",
                path,
                source: io::Error::new(io::ErrorKind::InvalidData, error),
            }),
        }
    }

    /// Remembers which cluster the directory belongs to.
    ///
    /// # Errors
    /// [`StateError::Io`] if it cannot be written.
    pub fn remember_owner(&self, owner: &Owner) -> Result<(), StateError> {
        // Strings can't fail to serialize.
        let text = serde_json::to_string_pretty(owner).unwrap_or_default() + "\n";
        self.write(&self.owner_file(), text.as_bytes())
    }

    /// Forgets which cluster the directory belonged to: the next one is another.
    ///
    /// # Errors
    /// [`StateError::Io`] if the file cannot be removed.
    pub fn forget_owner(&self) -> Result<(), StateError> {
        self.remove(&self.owner_file()).map(|_| ())
    }

    fn owner_file(&self) -> PathBuf {
        self.dir.join("cluster.json")
    }

    /// The directory of a new run, named by its start: `runs/<id>`.
    ///
    /// # Errors
    /// [`StateError::Io`] if it cannot be created.
    pub fn new_run(&self) -> Result<PathBuf, StateError> {
        let id = jiff::Timestamp::now()
            .strftime("%Y%m%dT%H%M%S.%3fZ")
            .to_string();
        let dir = self.dir.join("runs").join(id);
        self.ensure_dir(&dir)?;
        Ok(dir)
    }

    /// Takes the lock that prevents concurrent runs. It is released when the process ends,
    /// for whatever reason.
    ///
    /// # Errors
    /// [`StateError::Locked`] if another run has it.
    pub fn lock(&self, verb: &str) -> Result<Lock, StateError> {
        let path = self.dir.join("lock");
        let io = |what| {
            let path = path.clone();
            move |source| StateError::Io { what, path, source }
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Only used for the message, so a torn read is harmless.
                let _ = (&mut file).take(200).read_to_string(&mut holder);
                return Err(StateError::Locked {
                    path,
                    holder: holder.trim().to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(io("lock")(source)),
        }
        let holder = format!("{verb}, process {}", std::process::id());
        file.set_len(0).map_err(io("write"))?;
        file.rewind().map_err(io("write"))?;
        writeln!(file, "{holder}").map_err(io("write"))?;
        Ok(Lock { _file: file })
    }

    /// Writes a file of the state directory atomically, with mode 0600 from the first byte.
    ///
    /// # Errors
    /// [`StateError::Io`] if it cannot be written.
    pub fn write(&self, path: &Path, content: &[u8]) -> Result<(), StateError> {
        write_private(path, content).map_err(|source| StateError::Io {
            what: "write",
            path: path.into(),
            source,
        })
    }

    /// Removes a file of the state directory; returns whether it existed.
    ///
    /// # Errors
    /// [`StateError::Io`] if it cannot be removed.
    pub fn remove(&self, path: &Path) -> Result<bool, StateError> {
        match fs::remove_file(path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(StateError::Io {
                what: "remove",
                path: path.into(),
                source,
            }),
        }
    }

    fn ensure_dir(&self, dir: &Path) -> Result<(), StateError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|source| StateError::Io {
                what: "create",
                path: dir.into(),
                source,
            })
    }
}

/// Writes a file that only its owner may read: a temporary file in the same
/// directory (0600 from its first byte), synced, then renamed.
///
/// # Errors
/// Whatever the file system says.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let dir = path
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut temp = tempfile::Builder::new()
        .prefix(".clusterctl-")
        .tempfile_in(dir)?;
    temp.write_all(content)?;
    temp.as_file().sync_all()?;
    temp.persist(path).map_err(|error| error.error)?;
    fs::File::open(dir)?.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_second_run_is_told_who_holds_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path().join("demo")).unwrap();
        let held = state.lock("apply").unwrap();
        let refused = state.lock("plan").unwrap_err().to_string();
        assert!(refused.contains("apply, process"), "{refused}");
        drop(held);
        state.lock("plan").unwrap();
    }

    #[test]
    fn everything_in_it_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path().join(".clusterctl/demo")).unwrap();
        state.write(&state.kubeconfig(), b"secret").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(state.dir()), 0o700);
        assert_eq!(mode(&dir.path().join(".clusterctl")), 0o700);
        assert_eq!(mode(&state.kubeconfig()), 0o600);
    }
}
