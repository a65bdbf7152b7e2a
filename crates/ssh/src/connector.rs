//! What connections share: secrets, jump hosts, counters, the observer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::prompt::{Prompt, Secrets};
use super::session::{Session, WeakSession};
use super::{SshError, Target};

/// Makes connections. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Connector {
    shared: Arc<Shared>,
}

struct Shared {
    secrets: Secrets,
    observer: Option<Observer>,
    connections: AtomicU64,
    commands: AtomicU64,
    /// Open connections to jump hosts, by login.
    jumps: Mutex<HashMap<String, JumpSlot>>,
}

/// Locked while the one connection to that jump host is being made.
type JumpSlot = Arc<tokio::sync::Mutex<WeakSession>>;

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

impl Connector {
    /// A connector that asks `prompt` for what it doesn't know, once each, and
    /// tells `observer` of every command.
    pub fn new(prompt: Arc<dyn Prompt>, observer: Option<Observer>) -> Self {
        Connector {
            shared: Arc::new(Shared {
                secrets: Secrets::new(prompt),
                observer,
                connections: AtomicU64::new(0),
                commands: AtomicU64::new(0),
                jumps: Mutex::default(),
            }),
        }
    }

    /// What was done so far.
    pub fn stats(&self) -> Stats {
        Stats {
            connections: self.shared.connections.load(Ordering::Relaxed),
            commands: self.shared.commands.load(Ordering::Relaxed),
        }
    }

    pub(super) fn secrets(&self) -> &Secrets {
        &self.shared.secrets
    }

    pub(super) fn count_connection(&self) {
        self.shared.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_command(&self) {
        self.shared.commands.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn observe(&self, finished: &Finished<'_>) {
        if let Some(observer) = &self.shared.observer {
            observer(finished);
        }
    }

    /// The connection to a jump host, shared by all who go through it: a
    /// hundred hosts must not knock a hundred times.
    pub(super) async fn jump(&self, target: &Target) -> Result<Session, SshError> {
        let slot = {
            let mut jumps = self
                .shared
                .jumps
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            jumps.entry(target.identity()).or_default().clone()
        };
        let mut slot = slot.lock().await;
        if let Some(session) = slot.upgrade().filter(|session| !session.is_closed()) {
            return Ok(session);
        }
        let session = Box::pin(Session::connect(target, self)).await?;
        *slot = session.downgrade();
        Ok(session)
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
