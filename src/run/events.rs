//! What a run tells while it goes on.
//!
//! The engine emits typed events; the report room renders them, the journal
//! keeps them. Nothing in the engine prints.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

/// One thing that happened.
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
    /// A phase ended well.
    PhaseFinished {
        /// Its name.
        phase: &'static str,
        /// How long it took.
        #[serde(serialize_with = "seconds")]
        elapsed: Duration,
    },
    /// A host is at something.
    HostProgress {
        /// The host.
        host: String,
        /// The phase.
        phase: &'static str,
        /// What it is at, in a few words.
        doing: String,
        /// Bytes sent and to be sent, where that is known.
        bytes: Option<(u64, u64)>,
    },
    /// A file is being downloaded to this machine.
    Downloading {
        /// The file.
        file: String,
        /// Bytes so far.
        bytes: u64,
        /// Bytes in all, if the server says.
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
        /// How many things were changed on it.
        changed: usize,
        /// How long it took.
        #[serde(serialize_with = "seconds")]
        elapsed: Duration,
    },
    /// A host failed. The run goes on if it can.
    HostFailed {
        /// The host.
        host: String,
        /// The phase.
        phase: &'static str,
        /// What failed and why, terminal-safe.
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
        /// Exit status, or `None` if it never ended.
        status: Option<u32>,
        /// How long it ran.
        #[serde(serialize_with = "seconds")]
        elapsed: Duration,
    },
    /// Something was written that is no host's: an API object, a certificate,
    /// a kubeconfig.
    Changed {
        /// The phase.
        phase: &'static str,
        /// What was written, such as `ConfigMap kube-system/kubeadm-config`.
        what: String,
        /// `created`, `updated`, …
        how: String,
    },
    /// Worth knowing.
    Note {
        /// The text, terminal-safe.
        text: String,
    },
    /// Worth worrying.
    Warning {
        /// The text, terminal-safe.
        text: String,
    },
}

fn seconds<S: serde::Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    // Milliseconds are all that a log needs.
    to.serialize_f64((duration.as_secs_f64() * 1000.0).round() / 1000.0)
}

/// Takes events: a terminal, a plain log, JSON lines, the journal.
pub trait Sink: Send + Sync {
    /// Takes one event. Must not block for long.
    fn take(&self, event: &Event);
}

/// Hands events to every sink. Cheap to clone.
#[derive(Clone, Default)]
pub struct Events {
    sinks: Arc<Vec<Arc<dyn Sink>>>,
}

impl Events {
    /// Events that go to all of `sinks`.
    pub fn new(sinks: Vec<Arc<dyn Sink>>) -> Self {
        Events {
            sinks: Arc::new(sinks),
        }
    }

    /// The same events, for one sink more.
    pub fn and(&self, sink: Arc<dyn Sink>) -> Self {
        let mut sinks = self.sinks.as_ref().clone();
        sinks.push(sink);
        Events::new(sinks)
    }

    /// Hands on one event.
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
