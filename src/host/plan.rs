//! What has to change on a host.

use super::change::Change;
use super::receipt::Receipt;
use super::resource::Work;

/// What has to change on one host, in the order in which it will.
#[derive(Debug, Clone)]
pub struct HostPlan {
    /// The cluster's name.
    pub cluster: String,
    /// What has to change. [`super::Progress`] counts by their positions.
    pub changes: Vec<Change>,
    /// The receipt as it will be.
    pub receipt: Receipt,
    /// Whether the host has another one, or none.
    pub(super) receipt_changed: bool,
    /// How the changes are made.
    pub(super) work: Work,
}

impl HostPlan {
    /// Whether the host is as it should be.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// What the change at position `at` writes, if it writes bytes of ours.
    pub fn content(&self, at: usize) -> Option<&[u8]> {
        self.work.steps.get(at)?.content()
    }

    /// Bytes that converging will send over, about: for progress bars.
    pub fn payload(&self) -> u64 {
        self.work.steps.iter().map(|step| step.payload()).sum()
    }
}
