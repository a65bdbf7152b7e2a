//! The difference between what a host should look like and what it does.

mod system;

pub(super) use system::full_name;

use std::collections::{BTreeMap, BTreeSet};

use similar::TextDiff;

use super::gather::MANIFESTS;
use super::observe::{BIG, MAX_SHOWN, PathKind, sha256, size, unit_name};
use super::plan::{Action, Change, Detail, HostPlan, Kind, Step};
use super::receipt::{ReceiptAttributes, ReceiptFile};
use super::wire::is_unsafe;
use super::{Content, FileResource, HostError, Observed, Receipt, Resource};

/// New files up to this size are shown whole.
const MAX_NEW: usize = 64 << 10;

/// What has to change for a host to look as `resources` say. Of two resources
/// for one path the later one counts.
///
/// # Errors
///
/// The host's receipt names another cluster.
pub fn diff(
    resources: &[Resource],
    observed: &Observed,
    cluster: &str,
) -> Result<HostPlan, HostError> {
    let receipt = match &observed.receipt {
        Some(receipt) if receipt.cluster != cluster => {
            return Err(HostError::OtherCluster {
                found: receipt.cluster.clone(),
                wanted: cluster.into(),
            });
        }
        Some(receipt) => receipt.clone(),
        None => Receipt::new(cluster),
    };
    // A unit's name has a dot, a static pod's is a DNS label.
    let owed = observed.owed.iter().cloned();
    let (touched, static_pods) = owed.partition(|name| name.contains('.'));
    let mut differ = Differ {
        observed,
        receipt,
        out: Vec::new(),
        touched,
        static_pods,
        reworded: BTreeSet::new(),
        unit_files: observed.needs_daemon_reload,
        written: BTreeSet::new(),
    };
    differ.packages(resources);
    differ.directories(resources);
    differ.files(resources);
    differ.kernel(resources);
    differ.units(resources);
    differ.static_pods();
    Ok(differ.plan(cluster))
}

struct Differ<'a> {
    observed: &'a Observed,
    receipt: Receipt,
    out: Vec<(Change, Step)>,
    /// Units whose files change, or have changed without a restart since.
    touched: BTreeSet<String>,
    /// Static pods of which something changes.
    static_pods: BTreeSet<String>,
    /// YAML files that are written anew and say what they said. Of manifests, the
    /// kubelet, which compares pods and not files, leaves the pods alone.
    reworded: BTreeSet<String>,
    /// Whether systemd has to read its units anew.
    unit_files: bool,
    /// Paths whose content changes.
    written: BTreeSet<String>,
}

impl Differ<'_> {
    fn push(&mut self, action: Action, kind: Kind, name: &str, detail: Detail, step: Step) {
        let change = Change {
            action,
            kind,
            name: escape(name),
            detail,
            before: None,
            after: None,
        };
        self.out.push((change, step));
    }

    fn plan(self, cluster: &str) -> HostPlan {
        let receipt_changed = self.observed.receipt.as_ref() != Some(&self.receipt);
        let new = &self.observed.new_stamps;
        let mut stamps = self.observed.stamps.clone();
        stamps.extend(new.clone());
        stamps.retain(|path, _| !self.written.contains(path));
        let stamps_changed = new.keys().any(|path| stamps.contains_key(path));
        let (changes, steps) = self.out.into_iter().unzip();
        HostPlan {
            cluster: cluster.into(),
            changes,
            receipt: self.receipt,
            receipt_changed,
            steps,
            stamps: stamps.into_values().collect(),
            stamps_changed,
        }
    }

    /// Directories that were asked for, and those in which something lies.
    fn directories(&mut self, resources: &[Resource]) {
        let mut wanted: BTreeMap<String, Option<(u32, String)>> = BTreeMap::new();
        for resource in resources {
            let (path, attributes) = match resource {
                Resource::Directory { path, mode, owner } => (path, Some((*mode, owner.clone()))),
                Resource::File(FileResource { path, .. }) | Resource::SeedLink { path, .. } => {
                    (path, None)
                }
                _ => continue,
            };
            if attributes.is_some() {
                wanted.insert(path.clone(), attributes);
            }
            let mut rest = path.as_str();
            while let Some((parent, _)) = rest
                .rsplit_once('/')
                .filter(|(parent, _)| !parent.is_empty())
            {
                wanted.entry(parent.to_owned()).or_insert(None);
                rest = parent;
            }
        }
        for (path, attributes) in wanted {
            let state = self.observed.directory(&path);
            match (state, attributes) {
                (None, attributes) => {
                    let (mode, owner) = match attributes {
                        Some((mode, owner)) => (mode, Some(owner)),
                        None => (0o755, None),
                    };
                    let detail = Detail::Text {
                        text: format!("mode {mode:04o}"),
                    };
                    self.receipt.directories.insert(path.clone());
                    let step = Step::Directory {
                        path: path.clone(),
                        mode,
                        owner,
                    };
                    self.push(Action::Create, Kind::Directory, &path, detail, step);
                }
                (Some(state), Some((mode, owner))) => {
                    if let Some(text) = attributes_differ(state, mode, &owner) {
                        let before = ReceiptAttributes {
                            mode: format!("{:04o}", state.mode),
                            owner: state.owner_ids.clone(),
                        };
                        if !self.receipt.directories.contains(&path) {
                            let known = self.receipt.attributes.entry(path.clone());
                            known.or_insert(before);
                        }
                        let step = Step::Attributes {
                            path: path.clone(),
                            mode,
                            owner,
                            keep: false,
                        };
                        let detail = Detail::Text { text };
                        self.push(Action::Update, Kind::Directory, &path, detail, step);
                    }
                }
                (Some(_), None) => {}
            }
        }
    }

    fn files(&mut self, resources: &[Resource]) {
        let mut files: BTreeMap<(u8, &str), &FileResource> = BTreeMap::new();
        for resource in resources {
            if let Resource::File(file) = resource {
                files.insert((rank(&file.path), &file.path), file);
            }
        }
        for file in files.into_values() {
            self.file(file);
        }
        for resource in resources {
            match resource {
                Resource::SeedLink { path, target } if self.observed.at(path).is_none() => {
                    self.receipt.links.insert(path.clone());
                    let detail = Detail::Text {
                        text: format!("-> {}", escape(target)),
                    };
                    let step = Step::Link {
                        path: path.clone(),
                        target: target.clone(),
                    };
                    self.push(Action::Create, Kind::Link, path, detail, step);
                }
                Resource::Absent { path, notify } => self.absent(path, notify),
                Resource::Withdrawn { path } if self.receipt.files.contains_key(path) => {
                    self.absent(path, &[]);
                }
                _ => {}
            }
        }
    }

    fn file(&mut self, file: &FileResource) {
        let state = self.observed.at(&file.path);
        let after = sha256(&file.content);
        let before = self.observed.hashes.get(&file.path);
        let in_place = state.is_some() && (file.seed || before == Some(&after));
        if let (true, Some(state)) = (in_place, state) {
            // What kubeadm left when the host joined by hand goes with the cluster,
            // like what we would have written: left by a reset, it would keep the
            // host from joining again.
            if of_a_node(&file.path) && !self.receipt.files.contains_key(&file.path) {
                self.record(&file.path, before.unwrap_or(&after));
            }
            // Whoever put a symbolic link here wanted the file to live elsewhere.
            if !file.seed
                && state.kind == PathKind::File
                && let Some(text) = attributes_differ(state, file.mode, &file.owner)
            {
                let keep = self.record(&file.path, &after);
                let step = Step::Attributes {
                    path: file.path.clone(),
                    mode: file.mode,
                    owner: file.owner.clone(),
                    keep,
                };
                self.push(
                    Action::Update,
                    Kind::File,
                    &file.path,
                    Detail::Text { text },
                    step,
                );
            }
            return;
        }
        let action = match state {
            Some(_) => Action::Update,
            None => Action::Create,
        };
        let detail = self.file_detail(file, before, &after);
        let keep = self.record(&file.path, &after);
        let manifest = file.path.strip_prefix(MANIFESTS);
        let manifest = manifest.and_then(|rest| rest.strip_prefix('/')?.strip_suffix(".yaml"));
        match self.same_meaning(file) {
            // Whoever reads it would find nothing new.
            true => {
                self.reworded.insert(file.path.clone());
            }
            false => {
                self.notice(&file.path, &file.notify);
                self.static_pods.extend(file.static_pods.iter().cloned());
                self.static_pods.extend(manifest.map(str::to_owned));
            }
        }
        self.written.insert(file.path.clone());
        let step = Step::File {
            file: file.clone(),
            keep,
        };
        self.push(action, Kind::File, &file.path, detail, step);
        if let Some((change, _)) = self.out.last_mut() {
            change.before = before.map(|hash| shown_hash(file, hash));
            change.after = Some(shown_hash(file, &after));
        }
    }

    /// Whether a YAML file says already what it is to say, in other words:
    /// whoever joined by hand has kubeadm's quotes.
    fn same_meaning(&self, file: &FileResource) -> bool {
        if !file.path.ends_with(".yaml") {
            return false;
        }
        let read = |text: &[u8]| -> Option<serde_json::Value> {
            serde_saphyr::from_str(std::str::from_utf8(text).ok()?).ok()
        };
        let old = self.observed.contents.get(&file.path);
        match (&file.content, old.and_then(|old| read(old))) {
            (Content::Bytes(new), Some(old)) => read(new) == Some(old),
            _ => false,
        }
    }

    fn file_detail(&self, file: &FileResource, before: Option<&String>, after: &str) -> Detail {
        if file.secret {
            return Detail::Secret {
                before: before.map(|hash| shown_hash(file, hash)),
                after: shown_hash(file, after),
            };
        }
        let old = match self.observed.at(&file.path) {
            Some(_) => self.observed.contents.get(&file.path).map(Vec::as_slice),
            None => Some(&[][..]),
        };
        if let Content::Bytes(bytes) = &file.content
            && let (Ok(new), Some(Ok(old))) =
                (std::str::from_utf8(bytes), old.map(std::str::from_utf8))
            && old.len() as u64 <= MAX_SHOWN
            && (!old.is_empty() || new.len() <= MAX_NEW)
        {
            return Detail::Diff {
                unified: unified(old, new),
            };
        }
        Detail::Text {
            text: format!("{}, sha256 {:.12}", human(size(&file.content)), after),
        }
    }

    fn absent(&mut self, path: &str, notify: &[String]) {
        if self.observed.at(path).is_none() {
            return;
        }
        let keep = !self.receipt.files.contains_key(path);
        self.receipt.files.remove(path);
        self.receipt.links.remove(path);
        self.notice(path, notify);
        self.written.insert(path.to_owned());
        let step = Step::Remove {
            path: path.to_owned(),
            keep,
        };
        self.push(Action::Remove, Kind::File, path, Detail::None, step);
    }

    /// Remembers that a file will be ours; says whether what stands there is
    /// the host's own, and has to be kept.
    ///
    /// After a crash the receipt says that the file is ours though the original
    /// may still stand there: whatever isn't what we meant to write, where an
    /// original was, is kept unless it was before.
    fn record(&mut self, path: &str, sha256: &str) -> bool {
        let standing = self.observed.at(path).is_some();
        let entry = self.receipt.files.get(path);
        let hash = self.observed.hashes.get(path);
        let keep = match entry {
            None => true,
            Some(entry) => entry.original && hash != Some(&entry.sha256),
        };
        let original = entry.map_or(standing, |entry| entry.original);
        let theirs = !of_a_node(path);
        let entry = ReceiptFile {
            sha256: sha256.into(),
            original: original && theirs,
        };
        self.receipt.files.insert(path.to_owned(), entry);
        keep && theirs
    }

    fn notice(&mut self, path: &str, notify: &[String]) {
        self.touched
            .extend(notify.iter().map(|unit| unit_name(unit)));
        self.unit_files |= path.contains("/systemd/system/");
    }
}

/// Whether a file makes a host a node. One that kubeadm or a kubelet left when the host
/// joined by hand is no possession of the host: given back by a reset, it would be a
/// node again.
fn of_a_node(path: &str) -> bool {
    let below = |dir: &str| path.strip_prefix(dir);
    let config = below("/etc/kubernetes/").is_some_and(|name| {
        name.ends_with(".conf") && !name.contains('/')
            || name.starts_with("manifests/")
            || name.starts_with("pki/")
    });
    config || below("/var/lib/kubelet/").is_some()
}

/// As much of a hash as may be shown: of a secret, what tells two apart, and
/// too little to be sure of a guess.
fn shown_hash(file: &FileResource, hash: &str) -> String {
    match file.secret {
        true => hash.chars().take(12).collect(),
        false => hash.to_owned(),
    }
}

/// Files of a lower rank are in place before those of a higher one: the kubelet
/// starts a static pod the moment that it sees its manifest.
/// And kubelet.conf, which says that a host has joined, comes after the other
/// kubeconfigs: a run that is cut short between them must find itself unfinished.
fn rank(path: &str) -> u8 {
    if path.starts_with("/etc/kubernetes/manifests/") {
        5
    } else if path.starts_with("/var/lib/kubelet/") {
        4
    } else if path == "/etc/kubernetes/kubelet.conf" {
        3
    } else if path.starts_with("/etc/kubernetes/") && path.ends_with(".conf") {
        2
    } else if path.contains("/pki/") {
        1
    } else {
        0
    }
}

/// What is wrong with mode or owner, in words.
fn attributes_differ(state: &super::PathState, mode: u32, owner: &str) -> Option<String> {
    let mut wrong = Vec::new();
    if state.mode != mode {
        wrong.push(format!("mode {:04o} -> {mode:04o}", state.mode));
    }
    if state.owner != owner && state.owner_ids != owner {
        wrong.push(format!("owner {} -> {owner}", escape(&state.owner)));
    }
    (!wrong.is_empty()).then(|| wrong.join(", "))
}

/// A unified diff without its header, safe to show.
fn unified(before: &str, after: &str) -> String {
    let diff = TextDiff::from_lines(before, after)
        .unified_diff()
        .context_radius(3)
        .to_string();
    escape_lines(&diff)
}

fn escape_lines(text: &str) -> String {
    text.chars()
        .flat_map(|c| escape_char(c, c == '\n' || c == '\t'))
        .collect()
}

/// Text on one line, safe to show.
fn escape(text: &str) -> String {
    text.chars().flat_map(|c| escape_char(c, false)).collect()
}

fn escape_char(c: char, allowed: bool) -> impl Iterator<Item = char> {
    let escaped = is_unsafe(c) && !allowed;
    let plain = (!escaped).then_some(c);
    plain
        .into_iter()
        .chain(escaped.then(|| c.escape_default()).into_iter().flatten())
}

/// Bytes for people.
fn human(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..BIG => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
    }
}

#[cfg(test)]
mod tests;
