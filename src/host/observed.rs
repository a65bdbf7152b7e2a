//! How the managed pieces of a host look.

use std::collections::{BTreeMap, BTreeSet};

use super::loose::Loose;
use super::receipt::Receipt;
use super::systemd::UnitState;
use super::turn::FoundTurn;
use crate::layout::paths::KUBELET_CONF;

/// How the managed pieces of a host look.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// Everything at the paths that were asked for.
    pub paths: BTreeMap<String, PathState>,
    /// SHA-256 by path, lower hex.
    pub hashes: BTreeMap<String, String>,
    /// What those files say that differ and may be shown, up to 256 KiB and
    /// one byte.
    pub contents: BTreeMap<String, Vec<u8>>,
    /// What those kubeconfigs say that differ: server, CA and client certificate,
    /// a line each.
    pub kubeconfigs: BTreeMap<String, Vec<String>>,
    /// Units by name.
    pub units: BTreeMap<String, UnitState>,
    /// Whether systemd has not read yet what its unit files say.
    pub needs_daemon_reload: bool,
    /// Units and static pods that a run which was cut off did not get to restart.
    pub owed: BTreeSet<String>,
    /// Paths of configuration that a run replaced without finding out whether the new one
    /// works. What was there before is kept on the host.
    pub previous: BTreeSet<String>,
    /// Paths that others than root could redirect, and were not read, with who could. `/.` is
    /// at the end of a directory's.
    pub loose: BTreeMap<String, Loose>,
    /// What we did here before.
    pub receipt: Option<Receipt>,
    /// Which run did it last.
    pub turn: Option<FoundTurn>,
    /// Lines of /var/lib/clusterctl/stamps, by path.
    pub(super) stamps: BTreeMap<String, String>,
    /// Lines that the file lacks, of big files that were hashed now.
    pub(super) new_stamps: BTreeMap<String, String>,
    /// Sections of the answer that only one kind of resource reads, by name.
    pub(super) answers: BTreeMap<&'static str, Vec<String>>,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathState {
    /// What it is.
    pub kind: PathKind,
    /// Permission bits.
    pub mode: u32,
    /// `user:group` by name.
    pub owner: String,
    /// `user:group` by number.
    pub owner_ids: String,
    /// Size in bytes.
    pub size: u64,
}

/// Kinds of what is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// Something else.
    Other,
}

impl Observed {
    /// What is at a path that isn't a directory's.
    pub(super) fn at(&self, path: &str) -> Option<&PathState> {
        self.paths.get(path)
    }

    /// The directory at a path, or behind the symbolic link there.
    pub(super) fn directory(&self, path: &str) -> Option<&PathState> {
        self.paths.get(&format!("{path}/."))
    }

    /// Lines of a section that a kind of resource reads by itself.
    pub(super) fn answer(&self, section: &str) -> &[String] {
        self.answers.get(section).map_or(&[], Vec::as_slice)
    }

    /// Whether a kubelet has joined a cluster here, whichever it is.
    pub fn has_joined(&self) -> bool {
        self.paths
            .get(KUBELET_CONF)
            .is_some_and(|state| state.kind != PathKind::Directory)
    }
}

/// One line of `stat`: raw mode, owner by number, owner by name, size, inode,
/// times, path.
pub(super) fn parse_path(line: &str) -> Option<(String, PathState)> {
    let mut words = line.splitn(8, ' ');
    let raw = u32::from_str_radix(words.next()?, 16).ok()?;
    let owner_ids = words.next()?.to_owned();
    let owner = words.next()?.to_owned();
    let size = words.next()?.parse().ok()?;
    let path = words.nth(3)?.strip_prefix('.')?.to_owned();
    let kind = match raw & 0o170_000 {
        0o100_000 => PathKind::File,
        0o040_000 => PathKind::Directory,
        0o120_000 => PathKind::Link,
        _ => PathKind::Other,
    };
    let state = PathState {
        kind,
        mode: raw & 0o7777,
        owner,
        owner_ids,
        size,
    };
    Some((path, state))
}
