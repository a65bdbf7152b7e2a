//! SSH agents: each is asked one thing at a time.
//!
//! An agent may want a touch or a confirmation for each signature. Were all hosts to ask at once,
//! the operator could not tell which question is whose, and most of them would time out. So each
//! request takes its turn, and holds a connection to the agent only then: some serve one client
//! after the other.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::keys::HashAlg;
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

/// Time to list keys, for which no agent asks the operator; but it may be busy with another
/// program's question.
const LIST_TIMEOUT: Duration = Duration::from_secs(30);

/// The agents that a run has to do with, by socket.
#[derive(Debug, Default)]
pub(crate) struct Agents(Mutex<HashMap<PathBuf, Arc<Queue>>>);

/// One agent. Clones share its queue.
#[derive(Debug, Clone)]
pub(crate) struct Agent {
    socket: PathBuf,
    queue: Arc<Queue>,
}

/// The right to ask an agent something.
#[derive(Debug)]
pub(crate) struct Turn(#[allow(dead_code)] OwnedSemaphorePermit);

#[derive(Debug)]
struct Queue {
    turns: Arc<Semaphore>,
    /// When the keys were listed last, and how that ended.
    listed: Mutex<Option<(Instant, Listing)>>,
}

/// The keys of an agent, or why it has not listed them.
pub(crate) type Listing = Result<Arc<Vec<AgentIdentity>>, String>;

impl Agents {
    /// The agent that listens on a socket.
    pub(crate) fn at(&self, socket: &Path) -> Agent {
        let mut agents = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            Arc::new(Queue {
                // Permits are handed out in the order in which they were asked for.
                turns: Arc::new(Semaphore::new(1)),
                listed: Mutex::default(),
            })
        };
        let queue = agents.entry(socket.to_path_buf()).or_insert_with(new);
        Agent {
            socket: socket.to_path_buf(),
            queue: queue.clone(),
        }
    }
}

impl Agent {
    /// Waits until all who came before have had their turn.
    pub(crate) async fn wait_for_turn(&self) -> Turn {
        match self.queue.turns.clone().acquire_owned().await {
            Ok(permit) => Turn(permit),
            Err(_) => unreachable!("the semaphore is never closed"),
        }
    }

    /// What the agent holds. Those who ask at the same time share an answer.
    pub(crate) async fn list_keys(&self) -> Listing {
        let asked = Instant::now();
        let _turn = self.wait_for_turn().await;
        {
            let listed = self
                .queue
                .listed
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some((_, listing)) = listed.as_ref().filter(|(at, _)| *at >= asked) {
                return listing.clone();
            }
        }
        let asking = async {
            let mut agent = AgentClient::connect_uds(&self.socket).await?;
            agent.request_identities().await
        };
        let at = |why: String| format!("agent at {}: {why}", self.socket.display());
        let listing = match timeout(LIST_TIMEOUT, asking).await {
            Ok(Ok(keys)) => Ok(Arc::new(keys)),
            Ok(Err(error)) => Err(at(error.to_string())),
            Err(_) => Err(at("it did not answer".into())),
        };
        let mut listed = self
            .queue
            .listed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *listed = Some((Instant::now(), listing.clone()));
        listing
    }

    /// Has the agent sign, for as long as it takes. `_turn` is the caller's right to ask.
    pub(crate) async fn sign(
        &self,
        _turn: &Turn,
        key: &AgentIdentity,
        hash: Option<HashAlg>,
        data: Vec<u8>,
    ) -> Result<Vec<u8>, russh::keys::Error> {
        let mut agent = AgentClient::connect_uds(&self.socket).await?;
        agent.sign_request(key, hash, data).await
    }
}
