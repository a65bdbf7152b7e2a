//! What the connections of one [`Connector`](crate::Connector) share: secrets,
//! agents, counters, the observer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::agent::Agents;
use crate::error::SshError;
use crate::prompt::{Prompt, Secrets};

pub(crate) struct Shared {
    pub(crate) secrets: Secrets,
    pub(crate) agents: Agents,
    observer: Option<Observer>,
    connections: AtomicU64,
    commands: AtomicU64,
}

/// Called after each command.
pub type Observer = Arc<dyn Fn(&Finished<'_>) + Send + Sync>;

/// A command that has ended.
#[derive(Debug)]
pub struct Finished<'a> {
    /// The host as the operator calls it.
    pub host: &'a str,
    /// The script's name.
    pub script: &'a str,
    /// Its exit status, or why there is none.
    pub outcome: Result<u32, &'a SshError>,
    /// How long it ran.
    pub elapsed: Duration,
}

/// What a connector has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// TCP connections and connections through a jump host.
    pub connections: u64,
    /// Commands started on hosts.
    pub commands: u64,
}

impl Shared {
    pub(crate) fn new(prompt: Arc<dyn Prompt>, observer: Option<Observer>) -> Self {
        Shared {
            secrets: Secrets::new(prompt),
            agents: Agents::default(),
            observer,
            connections: AtomicU64::new(0),
            commands: AtomicU64::new(0),
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            connections: self.connections.load(Ordering::Relaxed),
            commands: self.commands.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn count_connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_command(&self) {
        self.commands.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn notify_observer(&self, finished: &Finished<'_>) {
        if let Some(observer) = &self.observer {
            observer(finished);
        }
    }
}
