//! Directories: those that were asked for, and those in which something lies.

use std::collections::BTreeMap;

use super::attributes::{Attributes, attributes_differ};
use super::comparison::Comparison;
use super::kind::{Piece, ResourceKind, Wanted};
use super::question::Question;
use super::step::{Bundle, Step, Work};
use super::undo::{Reset, Undo};
use crate::host::change::{Action, Detail, Kind};
use crate::host::error::HostError;
use crate::host::observed::PathState;
use crate::host::receipt::ReceiptAttributes;
use crate::host::wire::{quote, relative, word};
use crate::layout::paths;
use crate::layout::programs::Programs;

/// A directory that exists.
#[derive(Debug, Clone)]
pub struct Directory {
    /// Absolute path.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// `user:group`.
    pub owner: String,
}

/// Directories whose mode and owner are set, beside etcd's.
const DIRECTORIES: [&str; 6] = [
    paths::MANIFESTS_DIR,
    paths::HAPROXY_DIR,
    paths::CNI_CONFIG_DIR,
    paths::ETCD_DATA_DIR,
    Programs::ALL[0].scripts,
    Programs::ALL[1].scripts,
];

pub(in crate::host) const KIND: ResourceKind = ResourceKind {
    shell: include_str!("directory.sh"),
    compare: compare_directories,
    converge: make_directories,
    ..ResourceKind::NOTHING
};

#[derive(Debug)]
struct Make {
    path: String,
    mode: u32,
    owner: Option<String>,
}

impl Step for Make {
    fn place(&self) -> Result<Option<String>, HostError> {
        relative(&self.path).map(Some)
    }
}

impl Piece for Directory {
    fn ask(&self, question: &mut Question) -> Result<(), HostError> {
        question.add_directories(&relative(&self.path)?);
        Ok(())
    }

    fn path_below_directories(&self) -> Option<&str> {
        Some(&self.path)
    }

    fn place(&self) -> Option<String> {
        Some(format!("{}/.", self.path))
    }

    fn describe(&self) -> String {
        format!("directory {} {:04o} {}", self.path, self.mode, self.owner)
    }
}

fn compare_directories(wanted: &Wanted<'_>, found: &mut Comparison<'_>) {
    for (path, attributes) in wanted_directories(wanted) {
        match (found.observed.directory(&path), attributes) {
            (None, attributes) => make_directory(found, path, attributes),
            (Some(state), Some((mode, owner))) => {
                let state = state.clone();
                correct_attributes(found, path, &state, mode, owner);
            }
            (Some(_), None) => {}
        }
    }
}

/// Every directory that has to be there, with its mode and owner if these were
/// asked for.
fn wanted_directories(wanted: &Wanted<'_>) -> BTreeMap<String, Option<(u32, String)>> {
    let mut directories = BTreeMap::new();
    for directory in wanted.all::<Directory>() {
        let attributes = (directory.mode, directory.owner.clone());
        directories.insert(directory.path.clone(), Some(attributes));
    }
    for path in wanted.pieces().filter_map(Piece::path_below_directories) {
        let mut rest = path;
        while let Some((parent, _)) = rest
            .rsplit_once('/')
            .filter(|(parent, _)| !parent.is_empty())
        {
            directories.entry(parent.to_owned()).or_insert(None);
            rest = parent;
        }
    }
    directories
}

fn make_directory(found: &mut Comparison<'_>, path: String, attributes: Option<(u32, String)>) {
    let (mode, owner) = match attributes {
        Some((mode, owner)) => (mode, Some(owner)),
        None => (0o755, None),
    };
    let detail = Detail::Text {
        text: format!("mode {mode:04o}"),
    };
    found.receipt.directories.insert(path.clone());
    let step = Make {
        path: path.clone(),
        mode,
        owner,
    };
    found.push(Action::Create, Kind::Directory, &path, detail, step);
}

fn correct_attributes(
    found: &mut Comparison<'_>,
    path: String,
    state: &PathState,
    mode: u32,
    owner: String,
) {
    let Some(text) = attributes_differ(state, mode, &owner) else {
        return;
    };
    if !found.receipt.directories.contains(&path) {
        let before = ReceiptAttributes {
            mode: format!("{:04o}", state.mode),
            owner: state.owner_ids.clone(),
        };
        let known = found.receipt.attributes.entry(path.clone());
        known.or_insert(before);
    }
    let step = Attributes {
        path: path.clone(),
        mode,
        owner,
        keep: false,
        is_directory: true,
    };
    let detail = Detail::Text { text };
    found.push(Action::Update, Kind::Directory, &path, detail, step);
}

/// New ones. Mode and owner of others are set with those of files.
fn make_directories(work: &Work, bundle: &mut Bundle) -> Result<(), HostError> {
    for (number, step) in work.all::<Make>() {
        let owner = step.owner.as_deref().map(quote).unwrap_or_default();
        let path = quote(&relative(&step.path)?);
        let line = format!("directory {number} {:04o} {path} {owner}", step.mode);
        bundle.line(line.trim_end());
    }
    Ok(())
}

/// Removes those of ours that are empty, and gives the others their mode and owner back.
pub(in crate::host) fn remove_directories(
    wanted: &Reset<'_>,
    undo: &mut Undo,
) -> Result<(), HostError> {
    let directories: Vec<String> = wanted
        .receipt
        .directories
        .iter()
        .rev()
        .map(|path| Ok(quote(&relative(path)?)))
        .collect::<Result<_, HostError>>()?;
    undo.call("directories", &directories);
    for (path, before) in &wanted.receipt.attributes {
        // A receipt that was tampered with opens no other.
        if !DIRECTORIES.contains(&path.as_str()) && wanted.etcd_data != Some(path) {
            let what = format!("the mode of {path} (the receipt names it, and it is not ours)");
            undo.line(&format!("left {}", quote(&what)));
            continue;
        }
        undo.line(&format!(
            "attributes_back {} {} {}",
            quote(word("mode", &before.mode)?),
            quote(word("owner", &before.owner)?),
            quote(&relative(path)?)
        ));
    }
    Ok(())
}
