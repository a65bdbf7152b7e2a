//! The data directory, with etcd's own directories in it: `member/snap` holds a snapshot, and
//! identity, term and vote; `member/wal` the entries after the snapshot. Everything is on disk
//! before it is answered for.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};

use super::kv::number;
use super::raft::{Entry, Raft, Snapshot};
use crate::api::write_private;

const SNAPSHOT: &str = "snap/snap.json";
const META: &str = "snap/meta.json";
const WAL: &str = "wal/wal.jsonl";

/// An open data directory.
pub struct Disk {
    dir: PathBuf,
    wal: File,
    entries: usize,
}

/// What a data directory held.
pub struct Loaded {
    pub id: u64,
    pub cluster: u64,
    pub term: u64,
    pub vote: u64,
    pub snapshot: Snapshot,
    /// The entries after it.
    pub log: Vec<Entry>,
}

/// Whether a member lives there already.
pub fn exists(data_dir: &Path) -> bool {
    data_dir.join("member").join(SNAPSHOT).exists()
}

fn append(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

fn lines(entries: &[Entry]) -> std::io::Result<String> {
    let mut text = String::new();
    for entry in entries {
        text += &serde_json::to_string(entry)?;
        text.push('\n');
    }
    Ok(text)
}

/// Makes sure of the directory and its mode, as etcd does: a data directory that
/// others may read is only warned about.
pub fn prepare(data_dir: &Path) -> anyhow::Result<()> {
    let member = data_dir.join("member");
    let failed = || format!("cannot access data directory: {}", data_dir.display());
    make_private_dir(&member).with_context(failed)?;
    let mode = std::fs::metadata(data_dir)
        .with_context(failed)?
        .permissions()
        .mode()
        & 0o777;
    if mode != 0o700 {
        crate::klog!(
            warn,
            "check file permission: directory {:?} exist, but the permission is \"{mode:o}\". The recommended permission is \"drwx------\" to prevent possible unprivileged access to the data",
            data_dir.display()
        );
    }
    Ok(())
}

fn make_private_dir(dir: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}

/// Starts a new member's directory.
pub fn create(data_dir: &Path, id: u64, cluster: u64, snapshot: &Value) -> anyhow::Result<()> {
    let member = data_dir.join("member");
    let meta = json!({"id": id, "cluster": cluster, "term": 0, "vote": 0});
    for dir in ["snap", "wal"] {
        make_private_dir(&member.join(dir))?;
    }
    write_private(&member.join(META), meta.to_string().as_bytes())?;
    write_private(&member.join(WAL), b"")?;
    write_private(&member.join(SNAPSHOT), snapshot.to_string().as_bytes())?;
    Ok(())
}

/// Loads a member's directory.
pub fn load(data_dir: &Path) -> anyhow::Result<Loaded> {
    let member = data_dir.join("member");
    let text = |name: &str| {
        std::fs::read_to_string(member.join(name)).with_context(|| format!("cannot read {name}"))
    };
    let meta: Value = serde_json::from_str(&text(META)?)?;
    let snapshot: Snapshot = serde_json::from_str(&text(SNAPSHOT)?)?;
    let mut log: Vec<Entry> = vec![];
    // A line cut off by a crash was never answered for.
    for entry in text(WAL)?
        .lines()
        .map_while(|l| serde_json::from_str::<Entry>(l).ok())
    {
        log.retain(|e| e.index < entry.index);
        log.push(entry);
    }
    log.retain(|e| e.index > snapshot.index);
    Ok(Loaded {
        id: number(&meta["id"]),
        cluster: number(&meta["cluster"]),
        term: number(&meta["term"]),
        vote: number(&meta["vote"]),
        snapshot,
        log,
    })
}

impl Disk {
    /// Opens a loaded directory for writing.
    pub fn open(data_dir: &Path, loaded: &Loaded) -> anyhow::Result<Self> {
        let dir = data_dir.join("member");
        let mut disk = Self {
            wal: append(&dir.join(WAL))?,
            dir,
            entries: 0,
        };
        // What a crash cut off must not stand before new lines.
        disk.rewrite(&loaded.log)?;
        Ok(disk)
    }

    /// Appends entries.
    pub fn append(&mut self, entries: &[Entry]) -> std::io::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let text = lines(entries)?;
        self.entries += entries.len();
        self.wal.write_all(text.as_bytes())?;
        self.wal.sync_data()
    }

    /// Writes term and vote.
    pub fn meta(&self, raft: &Raft, cluster: u64) -> std::io::Result<()> {
        let meta = json!({"id": raft.id, "cluster": cluster, "term": raft.term, "vote": raft.vote});
        write_private(&self.dir.join(META), meta.to_string().as_bytes())
    }

    /// How many entries the log file has.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// Writes a snapshot, then the entries that are still in memory.
    pub fn snapshot(&mut self, raft: &Raft) -> std::io::Result<()> {
        write_private(
            &self.dir.join(SNAPSHOT),
            raft.snapshot().to_string().as_bytes(),
        )?;
        self.rewrite(&raft.log)
    }

    /// Replaces the log file in one step: a crash leaves the old one or the new one.
    fn rewrite(&mut self, log: &[Entry]) -> std::io::Result<()> {
        let text = lines(log)?;
        write_private(&self.dir.join(WAL), text.as_bytes())?;
        self.wal = append(&self.dir.join(WAL))?;
        self.entries = log.len();
        Ok(())
    }
}
