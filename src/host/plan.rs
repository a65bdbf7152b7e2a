//! What has to change on a host.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::change::{Action, Change, Detail, Kind};
use super::observed::Observed;
use super::receipt::{Receipt, ReceiptFile};
use super::resource::{Step, Work};

/// What has to change on one host, in the order in which it will.
#[derive(Debug, Clone)]
pub struct HostPlan {
    /// The cluster's name.
    pub cluster: String,
    /// What has to change. [`super::Progress`] counts by their positions.
    pub changes: Vec<Change>,
    /// The receipt as it will be.
    pub receipt: Receipt,
    /// Files that go: the receipt lists them until they are gone.
    pub(super) withdrawn: BTreeMap<String, ReceiptFile>,
    /// Whether the host has another one, or none.
    pub(super) receipt_changed: bool,
    /// Whether what the changes replace is kept until they have proven themselves.
    pub(super) keeps: bool,
    /// How the changes are made.
    pub(super) work: Work,
}

/// Nothing is to be done, but to find out whether what is there works.
#[derive(Debug)]
struct Confirm;

impl Step for Confirm {}

impl HostPlan {
    /// Whether the host is as it should be.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// What the change at position `at` writes, if it writes bytes of ours.
    pub fn content(&self, at: usize) -> Option<&[u8]> {
        self.work.steps.get(at)?.content()
    }

    /// Keeps what the changes replace, if something that runs reads it, until the new
    /// configuration has proven itself: if what is there now is known to work
    /// (`works`), or if an interrupted run kept what was there before its own changes. Those
    /// are to be confirmed as well.
    pub fn keep_previous(&mut self, observed: &Observed, works: bool) {
        let replaced: BTreeSet<&str> = self.replaced().collect();
        let open = observed.previous.iter();
        let open: Vec<&String> = open
            .filter(|path| !replaced.contains(path.as_str()))
            .collect();
        self.keeps = !observed.previous.is_empty() || works && !replaced.is_empty();
        for path in open {
            self.changes.push(Change {
                action: Action::Confirm,
                kind: Kind::File,
                name: path.clone(),
                detail: Detail::Text {
                    text: "an interrupted run replaced it".into(),
                },
                before: None,
                after: None,
            });
            self.work.steps.push(Arc::new(Confirm));
        }
    }

    /// Whether what the changes replace is kept until they have proven themselves.
    pub fn keeps_previous(&self) -> bool {
        self.keeps
    }

    /// Paths whose content changes and that something reads which may run.
    pub fn replaced(&self) -> impl Iterator<Item = &str> {
        self.work.steps.iter().filter_map(|step| step.replaces())
    }

    /// Bytes that converging will send over, about: for progress bars.
    pub fn payload(&self) -> u64 {
        self.work.steps.iter().map(|step| step.payload()).sum()
    }
}
