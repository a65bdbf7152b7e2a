//! Counts the changes that have not proven themselves yet.

use tokio::sync::watch;

use crate::plan::model::Work;

/// Changes that have not proven themselves yet. A run that fails elsewhere waits for these:
/// left alone, their hosts would stay as broken as they may be.
#[derive(Debug)]
pub(super) struct OpenChanges(watch::Sender<usize>);

impl OpenChanges {
    pub(super) fn new() -> Self {
        OpenChanges(watch::Sender::new(0))
    }

    /// One more, until the returned value is dropped. `None` if nothing is kept that could be
    /// put back.
    pub(super) fn begin(&self, work: &Work) -> Option<OpenChange<'_>> {
        let keeps = work.prepare.keeps_previous();
        keeps.then(|| {
            self.0.send_modify(|open| *open += 1);
            OpenChange(self)
        })
    }

    /// Waits until no change is open.
    pub(super) async fn none_left(&self) {
        // It can't be closed: `self` is its sender.
        let _ = self.0.subscribe().wait_for(|open| *open == 0).await;
    }
}

/// A change that has not proven itself yet.
pub(super) struct OpenChange<'a>(&'a OpenChanges);

impl Drop for OpenChange<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|open| *open = open.saturating_sub(1));
    }
}
