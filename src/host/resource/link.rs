//! Symbolic links. `reset` removes them with files: see `file.rs`.

use text::terminal::escape;

use super::comparison::Comparison;
use super::kind::{Piece, ResourceKind, Wanted};
use super::question::Question;
use super::step::{Bundle, Step, Work};
use crate::host::change::{Action, Detail, Kind};
use crate::host::error::HostError;
use crate::host::wire::{quote, relative};

/// A symbolic link that is made only if there is nothing at its path, or if what is there
/// is of no more use.
#[derive(Debug, Clone)]
pub struct SeedLink {
    /// Absolute path.
    pub path: String,
    /// What it points to.
    pub target: String,
    /// Whether to replace a link that is there.
    pub replace: bool,
}

pub(in crate::host) const KIND: ResourceKind = ResourceKind {
    shell: include_str!("link.sh"),
    compare: compare_links,
    converge: make_links,
    ..ResourceKind::NOTHING
};

#[derive(Debug)]
struct Link {
    path: String,
    target: String,
    replace: bool,
}

impl Step for Link {
    fn place(&self) -> Result<Option<String>, HostError> {
        relative(&self.path).map(Some)
    }
}

impl Piece for SeedLink {
    fn ask(&self, question: &mut Question) -> Result<(), HostError> {
        if self.target.chars().any(char::is_control) {
            return Err(HostError::Name {
                kind: "link target",
                name: self.target.clone(),
                why: "it has a control character",
            });
        }
        question.add_path(&relative(&self.path)?);
        Ok(())
    }

    fn path_below_directories(&self) -> Option<&str> {
        Some(&self.path)
    }

    fn place(&self) -> Option<String> {
        Some(self.path.clone())
    }

    fn describe(&self) -> String {
        format!("link {} -> {}", self.path, self.target)
    }
}

fn compare_links(wanted: &Wanted<'_>, found: &mut Comparison<'_>) {
    for SeedLink {
        path,
        target,
        replace,
    } in wanted.all()
    {
        let action = match found.observed.at(path) {
            None => Action::Create,
            Some(_) if *replace => Action::Update,
            Some(_) => continue,
        };
        found.receipt.links.insert(path.clone());
        let detail = Detail::Text {
            text: format!("-> {}", escape(target)),
        };
        let step = Link {
            path: path.clone(),
            target: target.clone(),
            replace: *replace,
        };
        found.push(action, Kind::Link, path, detail, step);
    }
}

fn make_links(work: &Work, bundle: &mut Bundle) -> Result<(), HostError> {
    for (number, link) in work.all::<Link>() {
        let path = quote(&relative(&link.path)?);
        let mode = if link.replace { "replace" } else { "seed" };
        bundle.line(&format!(
            "link {number} {mode} {} {path}",
            quote(&link.target)
        ));
    }
    Ok(())
}
