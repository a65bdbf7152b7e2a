//! Files.
//!
//! Asked for are size, mode, owner and hash; of those that differ and are no secret, the
//! content as well, to show a difference. Big ones are hashed once (see [`Stamps`]).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use text::size::human;
use text::terminal::sanitize;
use zeroize::Zeroizing;

use super::attributes::{Attributes, attributes_differ, set_attributes};
use super::comparison::Comparison;
use super::content::Content;
use super::file_role::{is_authority, makes_a_node, rank};
use super::kind::{Piece, ResourceKind, Wanted};
use super::merged::Merged;
use super::question::Question;
use super::since_plan::{self, Before, SeenFile};
use super::step::{Bundle, Stamps, Step, Work};
use super::undo::{Reset, Undo};
use crate::host::change::{Action, Detail, Kind};
use crate::host::error::HostError;
use crate::host::observed::{Observed, PathKind, PathState};
use crate::host::receipt::ReceiptFile;
use crate::host::wire::{Sections, clean, quote, relative};
use crate::layout::paths;

/// Files of at least this size are not hashed again while size, inode and times are as we
/// left them: a kubelet takes a third of a second. In bytes.
const BIG: u64 = 1 << 20;

/// Longest content that is fetched to show a difference, in bytes.
const MAX_SHOWN: u64 = 256 << 10;

/// New files up to this size are shown whole, in bytes.
const MAX_NEW: usize = 64 << 10;

/// Ends a list of checksums in the script. No line of such a list is this.
const END: &str = "END-OF-LIST";

/// A file with this very content.
#[derive(Debug, Clone)]
pub struct FileResource {
    /// Absolute path.
    pub path: String,
    /// What it holds.
    pub content: Content,
    /// Permission bits.
    pub mode: u32,
    /// `user:group`.
    pub owner: String,
    /// Whether its content must never be shown (keys, kubeconfigs, tokens).
    pub secret: bool,
    /// Write it only if there is nothing yet, and never compare it: the kubelet rotates its
    /// certificate by itself.
    pub seed: bool,
    /// Units to restart when its content changes and they run already.
    pub notify: Vec<String>,
    /// Static pods, by their manifests' names without `.yaml`, to restart when its content
    /// changes: they read it once, when they start.
    pub static_pods: Vec<String>,
    /// Of a file that others have a part in: what of it is ours.
    pub merged: Option<Merged>,
}

impl FileResource {
    /// A plain text file that belongs to root and that everyone may read.
    pub fn text(path: impl Into<String>, content: impl Into<String>) -> Self {
        FileResource {
            path: path.into(),
            content: Content::Bytes(Zeroizing::new(content.into().into_bytes())),
            mode: 0o644,
            owner: "root:root".into(),
            secret: false,
            seed: false,
            notify: Vec::new(),
            static_pods: Vec::new(),
            merged: None,
        }
    }

    /// The same with other permission bits.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// The same, root's alone (0600) and never shown.
    pub fn secret(mut self) -> Self {
        self.mode = 0o600;
        self.secret = true;
        self
    }

    /// The same, restarting `unit` when it changes.
    pub fn notify(mut self, unit: impl Into<String>) -> Self {
        self.notify.push(unit.into());
        self
    }

    /// The same, restarting static pods when it changes.
    pub fn restarts(mut self, static_pods: &[&str]) -> Self {
        self.static_pods
            .extend(static_pods.iter().map(|pod| (*pod).to_owned()));
        self
    }

    /// Whether it is one of the kubeconfigs that kubeadm writes.
    pub fn is_kubeconfig(&self) -> bool {
        let name = self.path.strip_prefix("/etc/kubernetes/");
        self.secret && name.is_some_and(|name| name.ends_with(".conf") && !name.contains('/'))
    }

    /// Whether it was merged into something else than what is there.
    fn is_outdated(&self, before: Option<&String>) -> bool {
        let merged = self.merged.as_ref();
        merged.is_some_and(|merged| merged.based_on.as_ref() != before)
    }

    /// What it was merged into.
    fn based_on(&self) -> Before {
        match self
            .merged
            .as_ref()
            .and_then(|merged| merged.based_on.clone())
        {
            Some(hash) => Before::Hash(hash),
            None => Before::Nothing,
        }
    }

    /// The same, written only if there is nothing yet.
    pub fn seed(mut self) -> Self {
        self.seed = true;
        self
    }

    /// As much of a hash as may be shown: of a secret, what tells two apart, and too little
    /// to be sure of a guess.
    fn shown_hash(&self, hash: &str) -> String {
        match self.secret {
            true => hash.chars().take(12).collect(),
            false => hash.to_owned(),
        }
    }
}

pub(in crate::host) const KIND: ResourceKind = ResourceKind {
    shell: include_str!("file.sh"),
    lists: &["big", "hashed", "shown", "kubeconfigs"],
    read: read_files,
    compare: compare_files,
    converge: converge_files,
    ..ResourceKind::NOTHING
};

/// Writes a file.
#[derive(Debug)]
pub(in crate::host) struct WriteFile {
    file: FileResource,
    /// Whether the host's own is there, and has to be kept for `reset`.
    pub(in crate::host) keep: bool,
    /// Whether something that may run reads it, and finds something new.
    read: bool,
    /// What the plan saw there.
    before: Before,
}

impl Step for WriteFile {
    fn place(&self) -> Result<Option<String>, HostError> {
        relative(&self.file.path).map(Some)
    }

    fn replaces(&self) -> Option<&str> {
        self.read.then_some(&self.file.path)
    }

    fn content(&self) -> Option<&[u8]> {
        match &self.file.content {
            Content::Bytes(bytes) => Some(bytes),
            Content::Local { .. } => None,
        }
    }

    fn payload(&self) -> u64 {
        self.file.content.size()
    }
}

impl Piece for FileResource {
    fn ask(&self, question: &mut Question) -> Result<(), HostError> {
        let path = relative(&self.path)?;
        question.add_path(&path);
        question.add_units(&self.notify)?;
        if self.seed {
            return Ok(());
        }
        if self.content.size() >= BIG {
            question.add("big", path);
            return Ok(());
        }
        if !self.secret && matches!(self.content, Content::Bytes(_)) {
            question.add_hash("shown", path.clone(), &self.content.sha256());
        } else if self.is_kubeconfig() {
            question.add_hash("kubeconfigs", path.clone(), &self.content.sha256());
        }
        question.add("hashed", path);
        Ok(())
    }

    fn path_below_directories(&self) -> Option<&str> {
        Some(&self.path)
    }

    fn place(&self) -> Option<String> {
        Some(self.path.clone())
    }

    fn describe(&self) -> String {
        match &self.content {
            Content::Local { sha256, size, .. } => {
                let (path, mode) = (&self.path, self.mode);
                format!("file {path} {mode:04o} {size} bytes sha256:{sha256}")
            }
            Content::Bytes(_) => format!("file {}", self.path),
        }
    }
}

fn read_files(sections: &Sections<'_>, observed: &mut Observed) {
    for line in sections.text("hashes") {
        if let Some((hash, path)) = line.split_once("  ")
            && let Some(path) = path.strip_prefix('.')
            && is_sha256(hash)
        {
            observed.hashes.insert(path.to_owned(), hash.to_owned());
        }
    }
    read_stamps(sections, observed);
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
}

/// Stamps are read as they came: their tabs matter.
fn read_stamps(sections: &Sections<'_>, observed: &mut Observed) {
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
}

fn is_sha256(hash: &str) -> bool {
    hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The stamps that stay, once everything that changes is known.
pub(in crate::host) fn remaining_stamps(found: &Comparison<'_>) -> Stamps {
    let new = &found.observed.new_stamps;
    let mut lines = found.observed.stamps.clone();
    lines.extend(new.clone());
    lines.retain(|path, _| !found.written.contains(path));
    let changed = new.keys().any(|path| lines.contains_key(path));
    Stamps { lines, changed }
}

fn compare_files(wanted: &Wanted<'_>, found: &mut Comparison<'_>) {
    let files: BTreeMap<(u8, &str), &FileResource> = wanted
        .all::<FileResource>()
        .map(|file| ((rank(&file.path), file.path.as_str()), file))
        .collect();
    for file in files.into_values() {
        compare_file(file, found);
    }
}

fn compare_file(file: &FileResource, found: &mut Comparison<'_>) {
    let observed = found.observed;
    let state = observed.at(&file.path);
    let after = file.content.sha256();
    let before = observed.hashes.get(&file.path);
    let in_place = state.is_some() && (file.seed || before == Some(&after));
    if let (true, Some(state)) = (in_place, state) {
        compare_attributes(file, state, before, &after, found);
        return;
    }
    let action = match state {
        Some(_) => Action::Update,
        None => Action::Create,
    };
    let detail = file_detail(observed, file, before, &after);
    let keep = record(found, &file.path, &after);
    if let (Some(merged), Some(entry)) = (&file.merged, found.receipt.files.get_mut(&file.path)) {
        entry.ours = Some(merged.ours.clone());
    }
    let manifest = paths::static_pod(&file.path);
    let reworded = has_same_meaning(observed, file);
    if reworded {
        // What reads it would find nothing new.
        found.reworded.insert(file.path.clone());
    } else {
        found.touch(&file.path, &file.notify);
        found.static_pods.extend(file.static_pods.iter().cloned());
        found.static_pods.extend(manifest.map(str::to_owned));
    }
    let has_readers = !file.notify.is_empty() || !file.static_pods.is_empty();
    found.written.insert(file.path.clone());
    let seen = match (state, before) {
        // A seed gives way to whatever comes first.
        _ if file.seed => Before::Unknown,
        // Changed between two looks: what was merged is no longer what is there.
        _ if file.is_outdated(before) => file.based_on(),
        (None, _) => Before::Nothing,
        (Some(_), Some(hash)) => Before::Hash(hash.clone()),
        (Some(_), None) => Before::Unknown,
    };
    let step = WriteFile {
        file: file.clone(),
        keep,
        read: !file.seed && !reworded && (has_readers || manifest.is_some()),
        before: seen,
    };
    found.push(action, Kind::File, &file.path, detail, step);
    if let Some(change) = found.changes.last_mut() {
        change.before = before.map(|hash| file.shown_hash(hash));
        change.after = Some(file.shown_hash(&after));
    }
}

/// A file whose content is right: are mode and owner?
fn compare_attributes(
    file: &FileResource,
    state: &PathState,
    before: Option<&String>,
    after: &str,
    found: &mut Comparison<'_>,
) {
    // What kubeadm left when the host joined by hand goes with the cluster, like what we
    // would have written: left by a reset, it would keep the host from joining again.
    if makes_a_node(&file.path) && !found.receipt.files.contains_key(&file.path) {
        record(found, &file.path, before.map_or(after, String::as_str));
    }
    // A symbolic link is there on purpose: the file is meant to be elsewhere.
    if file.seed || state.kind != PathKind::File {
        return;
    }
    let Some(text) = attributes_differ(state, file.mode, &file.owner) else {
        return;
    };
    let keep = record(found, &file.path, after);
    let step = Attributes {
        path: file.path.clone(),
        mode: file.mode,
        owner: file.owner.clone(),
        keep,
        is_directory: false,
    };
    let detail = Detail::Text { text };
    found.push(Action::Update, Kind::File, &file.path, detail, step);
}

/// Whether a YAML file says already what it is to say, in other words: on a host
/// that joined by hand it has kubeadm's quotes.
fn has_same_meaning(observed: &Observed, file: &FileResource) -> bool {
    if !file.path.ends_with(".yaml") {
        return false;
    }
    let parse = |text: &[u8]| -> Option<serde_json::Value> {
        serde_saphyr::from_str(std::str::from_utf8(text).ok()?).ok()
    };
    let old = observed.contents.get(&file.path);
    match (&file.content, old.and_then(|old| parse(old))) {
        (Content::Bytes(new), Some(old)) => parse(new) == Some(old),
        _ => false,
    }
}

fn file_detail(
    observed: &Observed,
    file: &FileResource,
    before: Option<&String>,
    after: &str,
) -> Detail {
    if file.secret {
        return Detail::Secret {
            before: before.map(|hash| file.shown_hash(hash)),
            after: file.shown_hash(after),
        };
    }
    // What a link leads to is not shown; the link itself gives way to a file.
    if observed
        .at(&file.path)
        .is_some_and(|state| state.kind == PathKind::Link)
    {
        return Detail::Text {
            text: "replaces a symbolic link".into(),
        };
    }
    let old = match observed.at(&file.path) {
        Some(_) => observed.contents.get(&file.path).map(Vec::as_slice),
        None => Some(&[][..]),
    };
    if let Content::Bytes(bytes) = &file.content
        && let (Ok(new), Some(Ok(old))) = (std::str::from_utf8(bytes), old.map(std::str::from_utf8))
        && old.len() as u64 <= MAX_SHOWN
        && (!old.is_empty() || new.len() <= MAX_NEW)
    {
        return Detail::Diff {
            unified: show_difference(old, new),
        };
    }
    Detail::Text {
        text: format!("{}, sha256 {:.12}", human(file.content.size()), after),
    }
}

/// A unified diff, safe to show. A line's carriage return is part of the difference.
fn show_difference(old: &str, new: &str) -> String {
    let diff = text::diff::unified(old, new);
    let lines = diff.split('\n').map(sanitize);
    lines.collect::<Vec<_>>().join("\n")
}

/// Remembers that a file will be ours; says whether the one that is there is the host's own
/// and has to be kept.
///
/// After a crash the receipt says that the file is ours though the original may still be
/// there: whatever isn't what we meant to write, where an original was, is kept unless it
/// was before.
fn record(found: &mut Comparison<'_>, path: &str, sha256: &str) -> bool {
    let exists = found.observed.at(path).is_some();
    let entry = found.receipt.files.get(path);
    let hash = found.observed.hashes.get(path);
    let keep = match entry {
        None => true,
        Some(entry) => entry.original && hash != Some(&entry.sha256),
    };
    let original = entry.map_or(exists, |entry| entry.original);
    let theirs = !makes_a_node(path);
    let ours = entry.and_then(|entry| entry.ours.clone());
    let entry = ReceiptFile {
        sha256: sha256.into(),
        original: original && theirs,
        ours,
    };
    found.receipt.files.insert(path.to_owned(), entry);
    keep && theirs
}

/// Before anything changes: files are only replaced if they still hold what the plan saw.
pub(in crate::host) fn refuse_changed(work: &Work, bundle: &mut Bundle) -> Result<(), HostError> {
    let files = work.all::<WriteFile>().map(|(_, step)| SeenFile {
        path: &step.file.path,
        before: &step.before,
        after: step.file.content.sha256(),
    });
    since_plan::refuse_changed(files, bundle)
}

fn converge_files(work: &Work, bundle: &mut Bundle) -> Result<(), HostError> {
    write_files(work, bundle)?;
    set_attributes(work, bundle)
}

/// All files together: received, checked, given owner and mode, flushed, and only then
/// renamed, one after the other. Each of these is one call for all of them, for a process
/// takes longer than a file.
fn write_files(work: &Work, bundle: &mut Bundle) -> Result<(), HostError> {
    let mut sums = String::new();
    let mut owners: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut modes: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    let mut temporary = Vec::new();
    let mut places = String::new();
    let mut parents = BTreeSet::new();
    let mut placed = Vec::new();
    let mut stamps = String::new();
    for (number, WriteFile { file, keep, .. }) in work.all() {
        let path = relative(&file.path)?;
        let (parent, name) = path.rsplit_once('/').unwrap_or((".", &path));
        let new = format!("{parent}/.{name}.clusterctl-new");
        let size = file.content.size();
        bundle.line(&format!("receive {number} {size} {}", quote(&path)));
        bundle.input.push(file.content.to_input());
        let sum = file.content.sha256();
        let _ = writeln!(sums, "{sum}  {new}");
        let new = quote(&new);
        owners.entry(&file.owner).or_default().push(new.clone());
        modes.entry(file.mode).or_default().push(new.clone());
        temporary.push(new);
        parents.insert(quote(parent));
        let path = quote(&path);
        if is_authority(&file.path) && !file.seed {
            let _ = writeln!(places, "save {path}");
        }
        let _ = match (file.seed, keep) {
            (true, _) => writeln!(places, "seed {number} {path}"),
            (false, true) => writeln!(places, "place {number} keep {path}"),
            (false, false) => writeln!(places, "place {number} ours {path}"),
        };
        if size >= BIG && !file.seed {
            let _ = writeln!(stamps, "stamp {sum} {path}");
        }
        placed.push(path);
    }
    if temporary.is_empty() {
        return Ok(());
    }
    bundle.line(&format!("verify 3<<'{END}'\n{sums}{END}"));
    for (owner, paths) in owners {
        bundle.line(&format!("owner {} {}", quote(owner), paths.join(" ")));
    }
    for (mode, paths) in modes {
        bundle.line(&format!("mode {mode:04o} {}", paths.join(" ")));
    }
    bundle.line(&format!("flush {}", temporary.join(" ")));
    bundle.text.push_str(&places);
    let parents: Vec<String> = parents.into_iter().collect();
    bundle.line(&format!("settle {}", parents.join(" ")));
    bundle.line(&format!("relabel {}", placed.join(" ")));
    write_stamps(&work.stamps, &stamps, bundle);
    Ok(())
}

/// `new` are calls that tell how files look that were written now.
fn write_stamps(stamps: &Stamps, new: &str, bundle: &mut Bundle) {
    if !stamps.changed && new.is_empty() {
        return;
    }
    bundle.line("{\nprintf '%s\\n' \\");
    for line in stamps.lines.values() {
        bundle.line(&format!("\t{} \\", quote(line)));
    }
    bundle.line(&format!("\t''\n{new}}} >|\"$state/stamps.new\"\nstamps"));
}

/// Removes files and links of ours, and puts back what was kept.
pub(in crate::host) fn restore_files(wanted: &Reset<'_>, undo: &mut Undo) -> Result<(), HostError> {
    let mut ours = Vec::new();
    let mut gone = Vec::new();
    for (path, file) in &wanted.receipt.files {
        let path = quote(&relative(path)?);
        // Where no copy was kept, the original was not replaced yet.
        if !file.original {
            gone.push(path.clone());
        }
        ours.push(path);
    }
    for (path, file) in &wanted.receipt.files {
        if file.ours.is_some() {
            let path = quote(&relative(path)?);
            undo.line(&format!("keep_additions {} {path}", quote(&file.sha256)));
        }
    }
    for path in &wanted.receipt.links {
        gone.push(quote(&relative(path)?));
    }
    undo.call("remove", &gone);
    undo.call("bring_back", &ours);
    if ours.is_empty() {
        undo.line("bring_back");
    }
    Ok(())
}
