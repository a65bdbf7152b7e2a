//! What makes connections, and knows which jump hosts are connected already.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::prompt::Prompt;
use crate::session::WeakSession;
use crate::shared::{Observer, Shared, Stats};
use crate::target::Target;

/// Makes connections. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Connector {
    pub(crate) shared: Arc<Shared>,
    /// Open connections to jump hosts, by login.
    jumps: Arc<Mutex<HashMap<String, JumpSlot>>>,
}

/// Locked while the one connection to that jump host is being made.
pub(crate) type JumpSlot = Arc<tokio::sync::Mutex<WeakSession>>;

impl Connector {
    /// A connector that asks `prompt` for what it doesn't know, once each, and
    /// tells `observer` of every command.
    pub fn new(prompt: Arc<dyn Prompt>, observer: Option<Observer>) -> Self {
        Connector {
            shared: Arc::new(Shared::new(prompt, observer)),
            jumps: Arc::default(),
        }
    }

    /// What was done so far.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// The place of the connection to a jump host, shared by all who go through
    /// it: a hundred hosts must not make a hundred connections to it.
    pub(crate) fn jump_slot(&self, target: &Target) -> JumpSlot {
        let mut jumps = self.jumps.lock().unwrap_or_else(PoisonError::into_inner);
        jumps.entry(target.identity()).or_default().clone()
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
