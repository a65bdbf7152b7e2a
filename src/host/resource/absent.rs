//! Paths that must not exist. What `reset` does about them is in `file.rs`: it puts back
//! what was kept.

use super::comparison::Comparison;
use super::kind::{Piece, ResourceKind, Wanted, as_kind};
use super::question::Question;
use super::step::{Bundle, Step, Work};
use crate::host::change::{Action, Detail, Kind};
use crate::host::error::HostError;
use crate::host::wire::{quote, relative};
use crate::layout::{names, paths};

/// A path that must not exist (a file or an empty directory).
#[derive(Debug, Clone)]
pub struct Absent {
    /// Absolute path.
    pub path: String,
    /// Units to restart once it is gone.
    pub notify: Vec<String>,
}

/// A file that left the inventory: if it is ours, it goes, and what was there before comes
/// back. One of the same path that isn't ours stays.
#[derive(Debug, Clone)]
pub struct Withdrawn {
    /// Absolute path.
    pub path: String,
}

pub(in crate::host) const KIND: ResourceKind = ResourceKind {
    shell: include_str!("absent.sh"),
    sections: &["ours"],
    compare: compare_paths,
    converge: remove_paths,
    ..ResourceKind::NOTHING
};

#[derive(Debug)]
struct Remove {
    path: String,
    /// Whether it is the host's own, and has to be kept for `reset`.
    keep: bool,
    /// Whether something that may run reads it.
    read: bool,
}

impl Step for Remove {
    fn place(&self) -> Result<Option<String>, HostError> {
        relative(&self.path).map(Some)
    }

    fn replaces(&self) -> Option<&str> {
        self.read.then_some(&self.path)
    }
}

#[derive(Debug)]
struct Withdraw {
    path: String,
}

impl Step for Withdraw {
    fn place(&self) -> Result<Option<String>, HostError> {
        relative(&self.path).map(Some)
    }
}

/// A file that left the inventory, and that others than root could redirect by now: it is taken
/// off the receipt, and stays. What it replaced is kept where `reset` leaves it.
#[derive(Debug)]
struct Forget {
    path: String,
}

impl Step for Forget {}

impl Piece for Absent {
    fn ask(&self, question: &mut Question) -> Result<(), HostError> {
        question.add_path(&relative(&self.path)?);
        question.add_units(&self.notify)
    }

    fn place(&self) -> Option<String> {
        Some(self.path.clone())
    }

    fn describe(&self) -> String {
        format!("absent {}", self.path)
    }
}

impl Piece for Withdrawn {
    fn ask(&self, _: &mut Question) -> Result<(), HostError> {
        // Those that exist are in another section.
        relative(&self.path).map(drop)
    }

    fn describe(&self) -> String {
        format!("absent {} (if it is ours)", self.path)
    }
}

fn compare_paths(wanted: &Wanted<'_>, found: &mut Comparison<'_>) {
    for piece in wanted.pieces() {
        if let Some(Absent { path, notify }) = as_kind(piece) {
            remove(found, path, notify);
        } else if let Some(Withdrawn { path }) = as_kind(piece)
            && let Some(file) = found.receipt.files.get(path)
        {
            let there = found.observed.at(path).is_some()
                || found.observed.answer("ours").contains(&format!(".{path}"));
            if there || file.original {
                withdraw(found, path);
            }
        }
    }
}

fn withdraw(found: &mut Comparison<'_>, path: &str) {
    let Some(file) = found.receipt.files.remove(path) else {
        return;
    };
    if let Some(loose) = found.observed.loose.get(path) {
        let text = format!("stays, because {loose}: remove it by hand");
        let path_of_step = path.to_owned();
        found.withdrawn.insert(path.to_owned(), file);
        let step = Forget { path: path_of_step };
        return found.push(
            Action::Remove,
            Kind::File,
            path,
            Detail::Text { text },
            step,
        );
    }
    let detail = match file.original {
        true => Detail::Text {
            text: "restores what was there before".into(),
        },
        false => Detail::None,
    };
    // Without it, containerd has the proxies of before until it starts the next time.
    let readers: &[String] = match path == paths::CONTAINERD_PROXY {
        true => &[names::CONTAINERD_UNIT.to_owned()],
        false => &[],
    };
    found.touch(path, readers);
    found.written.insert(path.to_owned());
    // Listed until it is gone, whatever happens.
    found.withdrawn.insert(path.to_owned(), file);
    let step = Withdraw {
        path: path.to_owned(),
    };
    found.push(Action::Remove, Kind::File, path, detail, step);
}

fn remove(found: &mut Comparison<'_>, path: &str, notify: &[String]) {
    if found.observed.at(path).is_none() {
        return;
    }
    let keep = !found.receipt.files.contains_key(path);
    found.receipt.files.remove(path);
    found.receipt.links.remove(path);
    found.touch(path, notify);
    found.written.insert(path.to_owned());
    let step = Remove {
        path: path.to_owned(),
        keep,
        read: !notify.is_empty() || paths::static_pod(path).is_some(),
    };
    found.push(Action::Remove, Kind::File, path, Detail::None, step);
}

fn remove_paths(work: &Work, bundle: &mut Bundle) -> Result<(), HostError> {
    for (number, Remove { path, keep, .. }) in work.all() {
        let path = quote(&relative(path)?);
        let whose = if *keep { "keep" } else { "ours" };
        bundle.line(&format!("remove {number} {whose} {path}"));
    }
    for (number, Forget { path }) in work.all() {
        let path = quote(&relative(path)?);
        bundle.line(&format!("forget {number} {path}"));
    }
    for (number, Withdraw { path }) in work.all() {
        let path = quote(&relative(path)?);
        bundle.line(&format!("withdraw {number} {path}"));
    }
    Ok(())
}
