//! The probe that tells how the managed pieces of a host look.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::facts_from::swap_devices;
use super::gather::{UnitState, units};
use super::wire::{Sections, clean, relative, word};
use super::{Content, FileResource, HostError, Receipt, Resource};
use ssh::{Input, Script};

/// Files of at least this size are not hashed again while size, inode and times
/// are as we left them: a kubelet takes a third of a second.
pub(super) const BIG: u64 = 1 << 20;

/// Longest content that is fetched to show a difference.
pub(super) const MAX_SHOWN: u64 = 256 << 10;

/// How the managed pieces of a host look.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// Everything that stands at a path that was asked for.
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
    /// Values below /proc/sys, by path.
    pub sysctls: BTreeMap<String, String>,
    /// File systems that the kernel knows.
    pub filesystems: BTreeSet<String>,
    /// Active swap devices.
    pub swap: Vec<String>,
    /// Lines of /etc/fstab that switch swap on.
    pub fstab_swap: Vec<String>,
    /// Commands in PATH, out of those that were asked for.
    pub commands: BTreeSet<String>,
    /// References in containerd's `k8s.io` namespace.
    pub images: BTreeSet<String>,
    /// Units and static pods that a run which was cut off did not come to restart.
    pub owed: BTreeSet<String>,
    /// What we did here before.
    pub receipt: Option<Receipt>,
    /// Lines of /var/lib/clusterctl/stamps, by path.
    pub(super) stamps: BTreeMap<String, String>,
    /// Lines that the file lacks, of big files that were hashed now.
    pub(super) new_stamps: BTreeMap<String, String>,
}

/// What stands at a path.
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

/// Kinds of what stands at a path.
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

/// The probe for these resources: one exec, whatever their number.
///
/// # Errors
///
/// A path or name that can't be carried.
pub fn observe(resources: &[Resource]) -> Result<Script, HostError> {
    let mut asked = Asked::default();
    for resource in resources {
        asked.add(resource)?;
    }
    let terminated = |items: &BTreeSet<String>| -> Vec<u8> {
        items
            .iter()
            .flat_map(|item| [item.as_bytes(), b"\0"].concat())
            .collect()
    };
    let mut text = String::new();
    let mut input = Vec::new();
    for (name, items) in [
        ("paths", &asked.paths),
        ("big", &asked.big),
        ("hashed", &asked.hashed),
        ("units", &asked.units),
        ("sysctls", &asked.sysctls),
    ] {
        let list = terminated(items);
        text += &format!("{name}={}\n", list.len());
        input.extend(list);
    }
    for (name, items) in [("shown", &asked.shown), ("kubeconfigs", &asked.kubeconfigs)] {
        let list: String = items
            .iter()
            .map(|(path, hash)| format!("{hash} {path}\n"))
            .collect();
        text += &format!("{name}={}\n", list.len());
        input.extend(list.into_bytes());
    }
    let commands: Vec<&str> = asked.commands.iter().map(String::as_str).collect();
    text += &format!("commands='{}'\n", commands.join(" "));
    text += &format!("images={}\n", if asked.images { "1" } else { "" });
    Ok(Script {
        name: "observe".into(),
        text: text
            + concat!(
                include_str!("scripts/sums.sh"),
                include_str!("scripts/observe.sh")
            ),
        input: vec![Input::Bytes(Zeroizing::new(input))],
    })
}

/// What the probe is to look at, as the script names it.
#[derive(Default)]
struct Asked {
    paths: BTreeSet<String>,
    hashed: BTreeSet<String>,
    big: BTreeSet<String>,
    shown: BTreeMap<String, String>,
    kubeconfigs: BTreeMap<String, String>,
    units: BTreeSet<String>,
    sysctls: BTreeSet<String>,
    commands: BTreeSet<String>,
    images: bool,
}

impl Asked {
    fn add(&mut self, resource: &Resource) -> Result<(), HostError> {
        match resource {
            Resource::Package { name, provides } => {
                word("package", name)?;
                self.commands.insert(word("command", provides)?.to_owned());
            }
            Resource::Directory { path, .. } => self.directories(&relative(path)?),
            Resource::File(file) => self.file(file)?,
            Resource::SeedLink { path, target } => {
                if target.chars().any(char::is_control) {
                    return Err(HostError::Name {
                        kind: "link target",
                        name: target.clone(),
                        why: "it has a control character",
                    });
                }
                self.path(&relative(path)?);
            }
            Resource::Absent { path, notify } => {
                self.path(&relative(path)?);
                self.units(notify)?;
            }
            Resource::Withdrawn { path } => self.path(&relative(path)?),
            Resource::KernelModule { name, effect } => {
                word("module", name)?;
                self.paths.insert(relative(effect)?);
            }
            Resource::Sysctl { key, value } => {
                if value.chars().any(char::is_control) {
                    return Err(HostError::Name {
                        kind: "sysctl value",
                        name: value.clone(),
                        why: "it has a control character",
                    });
                }
                self.sysctls
                    .insert(relative(&sysctl_path(word("sysctl", key)?))?);
            }
            Resource::SwapOff => {}
            Resource::Unit { name, .. } => self.units(std::slice::from_ref(name))?,
            Resource::ImageArchive { references, .. } => {
                for reference in references {
                    word("image", reference)?;
                }
                self.images = true;
            }
            Resource::ImagePull { reference } => {
                word("image", reference)?;
                self.images = true;
            }
        }
        Ok(())
    }

    fn file(&mut self, file: &FileResource) -> Result<(), HostError> {
        let path = relative(&file.path)?;
        self.path(&path);
        self.units(&file.notify)?;
        if file.seed {
            return Ok(());
        }
        if size(&file.content) >= BIG {
            self.big.insert(path);
        } else {
            if !file.secret && matches!(file.content, Content::Bytes(_)) {
                self.shown.insert(path.clone(), sha256(&file.content));
            } else if file.is_kubeconfig() {
                self.kubeconfigs.insert(path.clone(), sha256(&file.content));
            }
            self.hashed.insert(path);
        }
        Ok(())
    }

    /// A path that isn't a directory, and the directories that it lies in.
    fn path(&mut self, path: &str) {
        self.paths.insert(path.to_owned());
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.directories(parent);
        }
    }

    /// A directory and those that it lies in. The `/.` asks for the directory
    /// behind a symbolic link.
    fn directories(&mut self, path: &str) {
        let mut path = path;
        while path != "." {
            self.paths.insert(format!("{path}/."));
            let Some((parent, _)) = path.rsplit_once('/') else {
                return;
            };
            path = parent;
        }
    }

    fn units(&mut self, names: &[String]) -> Result<(), HostError> {
        for name in names {
            self.units.insert(unit_name(word("unit", name)?));
        }
        Ok(())
    }
}

/// A unit's name with its suffix.
pub(super) fn unit_name(name: &str) -> String {
    if name.contains('.') {
        name.to_owned()
    } else {
        format!("{name}.service")
    }
}

/// Where a sysctl lives. As in sysctl(8), a key with slashes may have dots
/// within its parts.
pub(super) fn sysctl_path(key: &str) -> String {
    if key.contains('/') {
        format!("/proc/sys/{key}")
    } else {
        format!("/proc/sys/{}", key.replace('.', "/"))
    }
}

/// SHA-256 of a content, lower hex.
pub(super) fn sha256(content: &Content) -> String {
    match content {
        Content::Bytes(bytes) => sha256_bytes(bytes),
        Content::Local { sha256, .. } => sha256.clone(),
    }
}

/// SHA-256, lower hex.
pub(super) fn sha256_bytes(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Size of a content in bytes.
pub(super) fn size(content: &Content) -> u64 {
    match content {
        Content::Bytes(bytes) => bytes.len() as u64,
        Content::Local { size, .. } => *size,
    }
}

impl Observed {
    /// Reads what [`observe`]'s script said.
    ///
    /// # Errors
    ///
    /// An answer that isn't one, or that was cut off; a receipt that can't be
    /// read.
    pub fn parse(raw: &[u8]) -> Result<Self, HostError> {
        let sections = Sections::parse(raw, "observe")?;
        let unit_lines = sections.text("units");
        let mut observed = Observed {
            paths: sections
                .text("paths")
                .iter()
                .filter_map(|line| path_state(line))
                .collect(),
            units: units(&unit_lines),
            needs_daemon_reload: unit_lines.iter().any(|line| line == "NeedDaemonReload=yes"),
            commands: sections.text("commands").into_iter().collect(),
            images: sections.text("images").into_iter().collect(),
            owed: sections.text("owed").into_iter().collect(),
            ..Observed::default()
        };
        for line in sections.text("boot") {
            if let Some((name, state)) = line.split_once(' ')
                && let Some(unit) = observed.units.get_mut(name)
                && !state.is_empty()
                && state != "not-found"
            {
                unit.file = state.to_owned();
            }
        }
        for line in sections.text("hashes") {
            if let Some((hash, path)) = line.split_once("  ")
                && let Some(path) = path.strip_prefix('.')
                && is_sha256(hash)
            {
                observed.hashes.insert(path.to_owned(), hash.to_owned());
            }
        }
        // Kept as they came: their tabs matter.
        for line in sections.raw("stamps") {
            if let Ok(line) = std::str::from_utf8(line)
                && let Some((file, _)) = line.split_once('\t')
                && let Some((_, path)) = file.split_once(" ./")
            {
                observed.stamps.insert(format!("/{path}"), line.to_owned());
            }
        }
        for line in sections.raw("unstamped") {
            if let Ok(line) = std::str::from_utf8(line)
                && let Some((_, path)) = line.split_once(" ./")
                && let Some(hash) = observed.hashes.get(&format!("/{path}"))
            {
                let stamp = format!("{line}\t{hash}");
                observed.new_stamps.insert(format!("/{path}"), stamp);
            }
        }
        for line in sections.text("sysctls") {
            if let Some((path, value)) = line.split_once(':')
                && let Some(path) = path.strip_prefix('.')
            {
                observed.sysctls.insert(path.to_owned(), words(value));
            }
        }
        let kernel = sections.text("kernel");
        let from = |file: &str| -> Vec<&str> {
            kernel
                .iter()
                .filter_map(|line| line.strip_prefix(file)?.strip_prefix(':'))
                .collect()
        };
        observed.swap = swap_devices(from("./proc/swaps").into_iter());
        observed.fstab_swap = from("./etc/fstab").into_iter().map(str::to_owned).collect();
        observed.filesystems = from("./proc/filesystems")
            .into_iter()
            .filter_map(|line| line.split_whitespace().last())
            .map(str::to_owned)
            .collect();
        for (path, lines) in sections.starting("content .") {
            if let Ok(content) = STANDARD.decode(lines.concat()) {
                observed.contents.insert(clean(path.as_bytes()), content);
            }
        }
        for (path, lines) in sections.starting("kubeconfig .") {
            // Compared, and never shown.
            let lines = lines
                .iter()
                .map(|line| String::from_utf8_lossy(line).into());
            let lines = lines.collect();
            observed.kubeconfigs.insert(clean(path.as_bytes()), lines);
        }
        let receipt = sections.raw("receipt").concat();
        if !receipt.is_empty() {
            let text = STANDARD
                .decode(receipt)
                .map_err(|error| HostError::Receipt {
                    why: error.to_string(),
                })?;
            observed.receipt = Some(Receipt::parse(&text)?);
        }
        Ok(observed)
    }

    /// What stands at a path that isn't a directory's.
    pub(super) fn at(&self, path: &str) -> Option<&PathState> {
        self.paths.get(path)
    }

    /// The directory at a path, or behind the symbolic link there.
    pub(super) fn directory(&self, path: &str) -> Option<&PathState> {
        self.paths.get(&format!("{path}/."))
    }
}

/// One line of `stat`: raw mode, owner by number, owner by name, size, inode,
/// times, path.
fn path_state(line: &str) -> Option<(String, PathState)> {
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

/// Words with one space between them: the kernel separates by tabs.
pub(super) fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_sha256(hash: &str) -> bool {
    hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit())
}
