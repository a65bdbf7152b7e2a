//! Tracks when phases begin and end while hosts pass through them independently.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::events::{Event, Events};
use super::phase::Phase;

/// Emits a phase's start when its first part begins, and its end when the last part has
/// ended. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tracker {
    events: Events,
    phases: Arc<Mutex<BTreeMap<Phase, Progress>>>,
}

#[derive(Debug)]
struct Progress {
    started: Option<Instant>,
    left: usize,
}

impl Tracker {
    /// A tracker without expected parts.
    pub fn new(events: Events) -> Self {
        Tracker {
            events,
            phases: Arc::default(),
        }
    }

    /// The events it emits to.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// Announces that `phase` will have this many more parts.
    pub fn expect(&self, phase: Phase, parts: usize) {
        let mut phases = self.phases.lock().unwrap_or_else(PoisonError::into_inner);
        phases
            .entry(phase)
            .or_insert(Progress {
                started: None,
                left: 0,
            })
            .left += parts;
    }

    /// Keeps `phase` from ending before the returned value is dropped: what is said of a host
    /// that fails in it comes before its end.
    pub(crate) fn hold(&self, phase: Phase) -> Held {
        self.expect(phase, 1);
        Held {
            tracker: self.clone(),
            phase,
        }
    }

    /// Gives up a part that was expected: its host failed before.
    pub(crate) fn give_up(&self, phase: Phase) {
        self.end(phase);
    }

    /// Reports that `host` failed in `phase`.
    pub(crate) fn failed(&self, phase: Phase, host: &str, error: &crate::run::error::Error) {
        self.events.emit(Event::HostFailed {
            host: host.to_owned(),
            phase: phase.name(),
            error: error.to_string(),
            hint: error.hint(),
        });
    }

    /// Begins a part of `phase`. It ends when the returned value is dropped.
    pub fn part(&self, phase: Phase) -> Part {
        let mut phases = self.phases.lock().unwrap_or_else(PoisonError::into_inner);
        let progress = phases.entry(phase).or_insert(Progress {
            started: None,
            left: 1,
        });
        if progress.started.is_none() {
            progress.started = Some(Instant::now());
            self.events.emit(Event::PhaseStarted {
                phase: phase.name(),
                title: phase.title(),
            });
        }
        Part {
            tracker: self.clone(),
            phase,
            began: Instant::now(),
        }
    }

    fn end(&self, phase: Phase) {
        let mut phases = self.phases.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(progress) = phases.get_mut(&phase) else {
            return;
        };
        progress.left = progress.left.saturating_sub(1);
        if progress.left == 0
            && let Some(started) = progress.started
        {
            let elapsed = started.elapsed();
            phases.remove(&phase);
            drop(phases);
            self.events.emit(Event::PhaseFinished {
                phase: phase.name(),
                elapsed,
            });
        }
    }
}

/// A phase that does not end yet.
#[derive(Debug)]
pub(crate) struct Held {
    tracker: Tracker,
    phase: Phase,
}

impl Held {
    /// Which phase.
    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.tracker.end(self.phase);
    }
}

/// A part of a phase in progress.
#[derive(Debug)]
pub struct Part {
    tracker: Tracker,
    phase: Phase,
    began: Instant,
}

impl Part {
    /// Which phase.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Reports what `host` is doing.
    pub fn doing(&self, host: &str, doing: impl Into<String>) {
        self.emit_progress(host, doing.into(), None);
    }

    /// Reports what `host` is doing, and how many bytes of how many were sent to it.
    pub fn sending(&self, host: &str, doing: impl Into<String>, bytes: (u64, u64)) {
        self.emit_progress(host, doing.into(), Some(bytes));
    }

    fn emit_progress(&self, host: &str, doing: String, bytes: Option<(u64, u64)>) {
        self.tracker.events.emit(Event::HostProgress {
            host: host.to_owned(),
            phase: self.phase.name(),
            doing,
            bytes,
        });
    }

    /// Reports that `host` is finished, without a message.
    pub fn quiet(self, host: &str) {
        self.tracker.events.emit(Event::HostIdle {
            host: host.to_owned(),
        });
    }

    /// Reports that `host` has done its part.
    pub fn done(self, host: &str, changed: usize) {
        self.tracker.events.emit(Event::HostDone {
            host: host.to_owned(),
            phase: self.phase.name(),
            changed,
            elapsed: self.began.elapsed(),
        });
    }

    /// Reports that `host` failed.
    pub fn failed(self, host: &str, error: &crate::run::error::Error) {
        self.tracker.events.emit(Event::HostFailed {
            host: host.to_owned(),
            phase: self.phase.name(),
            error: error.to_string(),
            hint: error.hint(),
        });
    }

    /// Reports that something was written that does not belong to a host.
    pub fn changed(&self, what: impl Into<String>, how: impl Into<String>) {
        self.tracker.events.emit(Event::Changed {
            phase: self.phase.name(),
            what: what.into(),
            how: how.into(),
        });
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.tracker.end(self.phase);
    }
}
