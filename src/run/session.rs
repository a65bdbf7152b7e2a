//! What all phases of a run share.

use std::path::PathBuf;
use std::sync::Arc;

use ssh::SshError;
use text::glob;

use super::connections::Kept;
use super::error::Error;
use super::events::Events;
use super::journal::{Journal, Step};
use super::lock::RunLock;
use super::phase::{PHASES, Phase};
use super::remote::{ConnectHosts, Remote};
use super::selection::Selection;
use super::state::State;
use super::tracker::Tracker;
use crate::inventory::{Cluster, Host};

/// Options from the command line.
#[derive(Debug, Clone)]
pub struct Options {
    /// The selected phases.
    pub selection: Selection,
    /// Patterns (`*` and `?`) of the selected hosts' names; empty for all.
    pub hosts: Vec<String>,
    /// If only workers are selected, connect to one reachable control plane instead of all.
    pub one_control_plane: bool,
    /// Store the shared certificates, encrypted, in the cluster.
    pub upload_certs: bool,
    /// Delete API objects that are no longer in the inventory.
    pub prunes: bool,
    /// How many hosts are worked on at once. sshd's own `MaxStartups` (10:30:100)
    /// is per host and no limit here; the limit keeps a laptop responsive.
    pub parallel: usize,
    /// Where downloads and checksums are kept; `None` for the user's own cache.
    pub cache: Option<PathBuf>,
    /// Whether to download what the cache lacks. Without, that is an error.
    pub downloads: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            selection: Selection::all(),
            hosts: Vec::new(),
            one_control_plane: false,
            upload_certs: false,
            prunes: true,
            parallel: 64,
            cache: None,
            downloads: true,
        }
    }
}

/// A run of a verb over a cluster.
pub struct Run {
    /// What the cluster should be.
    pub cluster: Arc<Cluster>,
    /// The inventory's absolute path.
    pub inventory: PathBuf,
    /// The state directory.
    pub state: State,
    /// Connects to hosts.
    pub connector: Arc<dyn ConnectHosts>,
    /// Tracks phases and emits events.
    pub tracker: Tracker,
    /// The journal, for runs that change something.
    pub journal: Option<Arc<Journal>>,
    /// Options from the command line.
    pub options: Options,
    /// The right to change the cluster.
    pub lock: RunLock,
    /// Connections that are kept open, for verbs that repeat.
    pub kept: Option<Arc<Kept>>,
}

impl Run {
    /// The events.
    pub fn events(&self) -> &Events {
        self.tracker.events()
    }

    /// Opens the connection to `host`, or returns the kept one.
    ///
    /// # Errors
    /// SSH errors.
    pub(crate) async fn connect(&self, host: &Host) -> Result<Remote, Error> {
        match self.kept.as_ref().and_then(|kept| kept.get(&host.name)) {
            Some(Ok(remote)) => return Ok(remote),
            Some(Err(reason)) => {
                let host = host.name.clone();
                return Err(SshError::Lost { host, reason }.into());
            }
            None => {}
        }
        self.connector.connect(host, self.events()).await
    }

    /// Whether `host` is selected.
    pub fn takes_part(&self, host: &Host) -> bool {
        self.options.hosts.is_empty()
            || self
                .options
                .hosts
                .iter()
                .any(|pattern| glob::matches(pattern, &host.name))
    }

    /// Whether `phase` is selected.
    pub fn has(&self, phase: Phase) -> bool {
        self.options.selection.has(phase)
    }

    /// The first selected phase that needs the API.
    pub(crate) fn first_phase_through_api(&self) -> Option<Phase> {
        let mut phases = PHASES.iter();
        phases
            .find(|info| info.through_api && self.has(info.phase))
            .map(|info| info.phase)
    }

    /// Whether to upload the shared certificates.
    pub(crate) fn uploads_certs(&self) -> bool {
        self.options.upload_certs && self.has(Phase::UploadCerts)
    }

    /// Runs `deed`, recording it in the journal before and after.
    pub(crate) async fn journalled<T>(
        &self,
        host: Option<&str>,
        phase: Phase,
        what: &str,
        deed: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        Box::pin(self.lock.confirm()).await?;
        let Some(journal) = &self.journal else {
            return deed.await;
        };
        let step = Step {
            host,
            phase: phase.name(),
            what,
        };
        let cannot = |source| Error::File {
            what: "write",
            path: PathBuf::from("journal.jsonl"),
            source,
        };
        journal.intent(&step).map_err(cannot)?;
        let result = deed.await?;
        journal.done(&step).map_err(cannot)?;
        Ok(result)
    }
}
