//! The state directory: `.clusterctl/<cluster>/` beside the inventory, mode 0700.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::{fs, io};

use files::{Flaw, find_flaw};

use crate::host::Owner;

/// What the directory of all clusters' state is called.
const TOP: &str = ".clusterctl";

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
    /// Others could have put something there.
    #[error("cannot use the state directory: {} {}", path.display(), flaw)]
    Planted {
        /// The directory, or what is in it.
        path: PathBuf,
        /// What is wrong with it.
        flaw: Flaw,
        /// The directory of all clusters' state.
        top: PathBuf,
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
            StateError::Planted { flaw, top, .. } => Some(match flaw {
                Flaw::Writable(_) => format!("run `chmod -R go-w {}`", top.display()),
                Flaw::Owner(_) => format!(
                    "its keys and known hosts would be trusted: if they are yours, run \
                     `chown -R \"$(id -u)\" {0}`, else move {0} away",
                    top.display()
                ),
            }),
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
    /// Opens the state directory, creating it if necessary, and keeps it out of git.
    ///
    /// # Errors
    /// [`StateError::Planted`] if others could have written to it; [`StateError::Io`] if it
    /// cannot be created.
    pub fn open(dir: PathBuf) -> Result<Self, StateError> {
        let state = State::peek(dir)?;
        state.ensure_dir(&state.dir)?;
        state.hide_from_git()?;
        Ok(state)
    }

    /// The state directory, if there is one, without writing to the disk (read-only verbs).
    ///
    /// # Errors
    /// [`StateError::Planted`] if others could have written to it.
    pub fn peek(dir: PathBuf) -> Result<Self, StateError> {
        let state = State { dir };
        state.refuse_planted()?;
        Ok(state)
    }

    /// `.clusterctl`, with the state of all clusters beside the inventory.
    fn top(&self) -> &Path {
        match self.dir.parent() {
            Some(top) if top.ends_with(TOP) => top,
            _ => &self.dir,
        }
    }

    /// Keys and known hosts are trusted, so no other user may have had the chance to put them
    /// there. The directories count, what lies in them, and the authorities.
    fn refuse_planted(&self) -> Result<(), StateError> {
        self.refuse_flawed(self.top())?;
        self.refuse_flawed(&self.dir)?;
        for dir in ["", "pki", "pki/etcd"] {
            // One that does not exist holds nothing, and one that cannot be read is not used.
            let entries = fs::read_dir(self.dir.join(dir)).into_iter().flatten();
            for entry in entries.flatten() {
                self.refuse_flawed(&entry.path())?;
            }
        }
        Ok(())
    }

    fn refuse_flawed(&self, path: &Path) -> Result<(), StateError> {
        match find_flaw(path) {
            Ok(Some(flaw)) => Err(StateError::Planted {
                path: path.into(),
                flaw,
                top: self.top().into(),
            }),
            Ok(None) => Ok(()),
            // A link that leads nowhere is refused by whoever reads it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(StateError::Io {
                what: "examine",
                path: path.into(),
                source,
            }),
        }
    }

    /// A `.gitignore` of `*` in `.clusterctl`: nothing of it belongs into a repository. One
    /// that is there is the operator's.
    fn hide_from_git(&self) -> Result<(), StateError> {
        let path = self.top().join(".gitignore");
        let written = OpenOptions::new().write(true).create_new(true).open(&path);
        let written = written.and_then(|mut file| file.write_all(b"*\n"));
        match written {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => Err(StateError::Io {
                what: "write",
                path,
                source,
            }),
            _ => Ok(()),
        }
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
    fn git_ignores_it_however_old_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join(".clusterctl");
        let git = |args: &[&str]| {
            let mut git = std::process::Command::new("git");
            let done = git.current_dir(dir.path()).args(args).output().unwrap();
            String::from_utf8(done.stdout).unwrap()
        };
        let old = State {
            dir: top.join("demo"),
        };
        old.ensure_dir(&top.join("demo/pki")).unwrap();
        old.write(&top.join("demo/pki/ca.key"), b"secret").unwrap();
        State::open(top.join("demo")).unwrap();
        git(&["init", "-q"]);
        fs::write(dir.path().join("inventory.yaml"), "").unwrap();
        git(&["add", "-A"]);
        assert_eq!(git(&["ls-files"]), "inventory.yaml\n");

        let own = top.join(".gitignore");
        fs::write(&own, "*\n!demo/known_hosts\n").unwrap();
        State::open(top.join("demo")).unwrap();
        assert!(fs::read_to_string(&own).unwrap().contains("known_hosts"));
    }

    #[test]
    fn what_others_could_have_planted_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join(".clusterctl");
        let state = State::open(top.join("demo")).unwrap();
        fs::create_dir(top.join("demo/pki")).unwrap();
        for file in ["demo/known_hosts", "demo/pki/ca.key"] {
            state.write(&top.join(file), b"x").unwrap();
        }
        let peek = || State::peek(top.join("demo")).map(drop);
        peek().unwrap();
        for planted in [
            "",
            "demo",
            "demo/known_hosts",
            "demo/pki",
            "demo/pki/ca.key",
        ] {
            let path = top.join(planted);
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            let set = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode));
            set(mode | 0o020).unwrap();
            let error = peek().unwrap_err();
            let text = format!("{error}\n{}", error.hint().unwrap());
            assert!(
                text.contains("is writable by others (mode 07") || text.contains("(mode 06"),
                "{text}"
            );
            assert!(text.contains("run `chmod -R go-w "), "{text}");
            assert!(State::open(top.join("demo")).is_err());
            set(mode).unwrap();
            // Only root can give something away.
            if std::os::unix::fs::chown(&path, Some(1001), None).is_ok() {
                let error = peek().unwrap_err();
                let text = format!("{error}\n{}", error.hint().unwrap());
                assert!(
                    text.contains("belongs to another user (uid 1001)"),
                    "{text}"
                );
                std::os::unix::fs::chown(&path, Some(0), None).unwrap();
            }
            peek().unwrap();
        }
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
