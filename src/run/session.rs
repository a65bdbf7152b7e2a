//! What every phase of a run shares.

use std::path::PathBuf;
use std::sync::Arc;

use ssh::{Connector, Session, SshError};
use text::glob;

use super::connections::{Kept, ssh_target};
use super::error::Error;
use super::events::Events;
use super::journal::{Journal, Step};
use super::phase::{PHASES, Phase};
use super::selection::Selection;
use super::state::State;
use super::tracker::Tracker;
use crate::inventory::{Cluster, Host};

/// What the command line asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// The phases that take part.
    pub selection: Selection,
    /// Patterns (`*` and `?`) of host names that take part; empty for all.
    pub hosts: Vec<String>,
    /// Where only workers take part, connect to one control plane that answers
    /// rather than to all.
    pub one_control_plane: bool,
    /// Store the shared certificates, encrypted, in the cluster.
    pub upload_certs: bool,
    /// How many hosts are worked on at once. sshd's own `MaxStartups` (10:30:100)
    /// is per host and no limit here; the limit keeps a laptop responsive.
    pub parallel: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            selection: Selection::all(),
            hosts: Vec::new(),
            one_control_plane: false,
            upload_certs: false,
            parallel: 64,
        }
    }
}

/// A run over a cluster: what is wanted, how hosts are reached, who listens.
pub struct Run {
    /// What the cluster should be.
    pub cluster: Arc<Cluster>,
    /// The file that says so, absolute.
    pub inventory: PathBuf,
    /// The operator state.
    pub state: State,
    /// Connects to hosts.
    pub connector: Connector,
    /// Phases' beginnings and ends, and through it the events.
    pub tracker: Tracker,
    /// The journal, for runs that change something.
    pub journal: Option<Arc<Journal>>,
    /// What the command line asked for.
    pub options: Options,
    /// Connections that outlive one look, for verbs that look again and again.
    pub kept: Option<Arc<Kept>>,
}

impl Run {
    /// The events.
    pub fn events(&self) -> &Events {
        self.tracker.events()
    }

    /// Opens the one connection to `host`.
    ///
    /// # Errors
    /// Whatever SSH says.
    pub(crate) async fn connect(&self, host: &Host) -> Result<Session, Error> {
        match self.kept.as_ref().and_then(|kept| kept.get(&host.name)) {
            Some(Ok(session)) => return Ok(session),
            Some(Err(reason)) => {
                let host = host.name.clone();
                return Err(SshError::Lost { host, reason }.into());
            }
            None => {}
        }
        let target = ssh_target(&self.state, host)?;
        for warning in &target.warnings {
            self.events().warn(format!("{}: {warning}", host.name));
        }
        Ok(Session::connect(&target, &self.connector).await?)
    }

    /// Whether `host` takes part.
    pub fn takes_part(&self, host: &Host) -> bool {
        self.options.hosts.is_empty()
            || self
                .options
                .hosts
                .iter()
                .any(|pattern| glob::matches(pattern, &host.name))
    }

    /// Whether `phase` takes part.
    pub fn has(&self, phase: Phase) -> bool {
        self.options.selection.has(phase)
    }

    /// The first phase of this run that can't do without the API.
    pub(crate) fn first_phase_through_api(&self) -> Option<Phase> {
        let mut phases = PHASES.iter();
        phases
            .find(|info| info.through_api && self.has(info.phase))
            .map(|info| info.phase)
    }

    /// Whether the shared certificates are uploaded.
    pub(crate) fn uploads_certs(&self) -> bool {
        self.options.upload_certs && self.has(Phase::UploadCerts)
    }

    /// Runs `deed` between its intent and its being done in the journal.
    pub(crate) async fn journalled<T>(
        &self,
        host: Option<&str>,
        phase: Phase,
        what: &str,
        deed: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
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
