//! Events of a run.
//!
//! A run emits typed events; `report` renders them and the journal keeps them. Nothing else
//! prints. Their texts may come from hosts and the API: what prints them escapes them.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

/// An event.
#[derive(Debug, Clone, Serialize)]
#[serde(
    tag = "event",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
pub enum Event {
    /// A run begins.
    RunStarted {
        /// `apply`, `plan`, …
        verb: &'static str,
        /// The cluster's name.
        cluster: String,
        /// How many hosts take part.
        hosts: usize,
    },
    /// A phase begins.
    PhaseStarted {
        /// Its name, as `phases` lists it.
        phase: &'static str,
        /// What it does, in one line.
        title: &'static str,
    },
    /// A phase has succeeded.
    PhaseFinished {
        /// Its name.
        phase: &'static str,
        /// How long it took.
        #[serde(serialize_with = "seconds")]
        elapsed: Duration,
    },
    /// What a host is doing.
    HostProgress {
        /// The host.
        host: String,
        /// The phase.
        phase: &'static str,
        /// In a few words.
        doing: String,
        /// Bytes sent so far and in total, if known.
        bytes: Option<(u64, u64)>,
    },
    /// A file is being downloaded to this machine.
    Downloading {
        /// The file.
        file: String,
        /// Bytes so far.
        bytes: u64,
        /// Bytes in total, if known.
        total: Option<u64>,
    },
    /// A host has nothing to do for now.
    HostIdle {
        /// The host.
        host: String,
    },
    /// A host has done its part of a phase.
    HostDone {
        /// The host.
        host: String,
        /// The phase.
        phase: &'static str,
        /// The number of changes made on it.
        changed: usize,
        /// How long it took.
        #[serde(serialize_with = "seconds")]
        elapsed: Duration,
    },
    /// A host failed. The run continues if possible.
    HostFailed {
        /// The host.
        host: String,
        /// The phase.
        phase: &'static str,
        /// What failed and why.
        error: String,
        /// What to do next.
        hint: Option<String>,
    },
    /// A command ended on a host (shown with `-v`).
    Command {
        /// The host.
        host: String,
        /// The script's name.
        command: String,
        /// Exit status; `None` if the command did not end.
        status: Option<u32>,
        /// How long it ran.
        #[serde(serialize_with = "seconds")]
        elapsed: Duration,
    },
    /// Something was written that does not belong to a host: an API object, a certificate,
    /// a kubeconfig.
    Changed {
        /// The phase.
        phase: &'static str,
        /// What was written, such as `ConfigMap kube-system/kubeadm-config`.
        what: String,
        /// `created`, `updated`, …
        how: String,
    },
    /// For information.
    Note {
        /// The text.
        text: String,
    },
    /// Something that needs attention.
    Warning {
        /// The text.
        text: String,
    },
}

fn seconds<S: serde::Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    // Milliseconds are precise enough for a log.
    to.serialize_f64((duration.as_secs_f64() * 1000.0).round() / 1000.0)
}

/// A consumer of events: terminal, plain lines, JSON lines, journal.
pub trait Sink: Send + Sync {
    /// Handles one event. Must not block for long.
    fn take(&self, event: &Event);
}

/// Sends events to all sinks. Cheap to clone.
#[derive(Clone, Default)]
pub struct Events {
    sinks: Arc<Vec<Arc<dyn Sink>>>,
}

impl Events {
    /// Sends events to all of `sinks`.
    pub fn new(sinks: Vec<Arc<dyn Sink>>) -> Self {
        Events {
            sinks: Arc::new(sinks),
        }
    }

    /// Adds one more sink.
    pub fn and(&self, sink: Arc<dyn Sink>) -> Self {
        let mut sinks = self.sinks.as_ref().clone();
        sinks.push(sink);
        Events::new(sinks)
    }

    /// Sends one event to all sinks.
    pub fn emit(&self, event: Event) {
        for sink in self.sinks.iter() {
            sink.take(&event);
        }
    }

    /// Emits a [`Event::Note`].
    pub fn note(&self, text: impl Into<String>) {
        self.emit(Event::Note { text: text.into() });
    }

    /// Emits a [`Event::Warning`].
    pub fn warn(&self, text: impl Into<String>) {
        self.emit(Event::Warning { text: text.into() });
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Events({} sinks)", self.sinks.len())
    }
}
