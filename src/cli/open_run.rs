//! Opens a run: what every verb that connects to hosts sets up.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use ssh::{Connector, Finished, Observer};

use super::Global;
use super::load::load_inventory;
use super::prompt::Terminal;
use super::select::select_hosts;
use crate::cluster::ssh_connect::SshHosts;
use crate::plan::document::PlanOptions;
use crate::report::Summary;
use crate::run::error::Error;
use crate::run::events::{Event, Events, Sink};
use crate::run::journal::Journal;
use crate::run::lock::RunLock;
use crate::run::phase::Phase;
use crate::run::selection::Selection;
use crate::run::state::{Lock, State};
use crate::run::tracker::Tracker;
use crate::run::{Options, Run};
use crate::{inventory, report};

/// Which part of a run to do.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct PartArgs {
    /// Only these phases, comma-separated (see `clusterctl-rs phases`)
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    phases: Vec<String>,
    /// All phases except these, comma-separated
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    skip_phases: Vec<String>,
    /// Only these hosts: names, patterns (`*`, `?`), ranges (`w[1:9]`) or groups, comma-separated
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    hosts: Vec<String>,
}

impl PartArgs {
    /// The part that a saved plan is for.
    pub(super) fn of_plan(options: &PlanOptions) -> Self {
        PartArgs {
            phases: options.phases.clone(),
            skip_phases: Vec::new(),
            hosts: options.hosts.clone(),
        }
    }

    /// Whether nothing is left out.
    pub(super) fn is_all(&self) -> bool {
        self.phases.is_empty() && self.skip_phases.is_empty() && self.hosts.is_empty()
    }

    /// Some hosts, all phases.
    pub(super) fn hosts(patterns: Vec<String>) -> Self {
        PartArgs {
            hosts: patterns,
            ..PartArgs::default()
        }
    }
}

impl PartArgs {
    /// Also skips `phase`.
    pub(super) fn without(mut self, phase: Phase) -> Self {
        self.skip_phases.push(phase.name().to_owned());
        self
    }
}

/// A run and what it needs until the verb ends.
pub(super) struct OpenRun {
    pub(super) run: Run,
    pub(super) summary: Arc<Summary>,
    _lock: Option<Lock>,
}

/// Whether a verb changes anything: if so, it takes the lock and writes a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AccessMode {
    Read,
    Write,
}

impl OpenRun {
    pub(super) fn open(
        global: &Global,
        verb: &'static str,
        inventory: Option<&PathBuf>,
        part: &PartArgs,
        access: AccessMode,
    ) -> Result<Self, Error> {
        let inventory = global.inventory(inventory);
        let cluster = load_inventory(&inventory, global.printer())?;
        OpenRun::with(global, verb, &inventory, cluster, part, access)
    }

    /// Like `open`, for an inventory that is already loaded.
    // Long: a run is set up in one order, of which nothing is used elsewhere.
    pub(super) fn with(
        global: &Global,
        verb: &'static str,
        file: &Path,
        cluster: inventory::Cluster,
        part: &PartArgs,
        access: AccessMode,
    ) -> Result<Self, Error> {
        let printer = global.printer();
        let inventory = inventory::real_path(file);
        let skip: Vec<String> = part
            .skip_phases
            .iter()
            .chain(&cluster.skip_phases)
            .cloned()
            .collect();
        let options = Options {
            selection: Selection::new(&part.phases, &skip)?,
            hosts: select_hosts(&part.hosts, &cluster)?,
            // Naming the phase explicitly requests it.
            upload_certs: part
                .phases
                .iter()
                .any(|name| name == Phase::UploadCerts.name()),
            ..Options::default()
        };

        let summary = Arc::new(Summary::new());
        let mut sinks: Vec<Arc<dyn Sink>> = vec![
            Arc::clone(&summary) as Arc<dyn Sink>,
            report::sink(global.events, global.verbose > 0, printer),
        ];
        let (state, lock, journal) = match access {
            AccessMode::Read => (State::peek(cluster.state_dir())?, None, None),
            AccessMode::Write => {
                let state = State::open(cluster.state_dir())?;
                let lock = state.lock(verb)?;
                let dir = state.new_run()?;
                let journal = Journal::create(&dir).map_err(|source| Error::File {
                    what: "create a journal in",
                    path: dir,
                    source,
                })?;
                (state, Some(lock), Some(Arc::new(journal)))
            }
        };
        sinks.extend(journal.clone().map(|journal| journal as Arc<dyn Sink>));
        let events = Events::new(sinks);
        let connector = Connector::new(Arc::new(Terminal), Some(command_observer(events.clone())));
        let connector = Arc::new(SshHosts::new(connector, state.clone()));
        events.emit(Event::RunStarted {
            verb,
            cluster: cluster.name.clone(),
            hosts: cluster.hosts.len(),
        });
        Ok(OpenRun {
            run: Run {
                cluster: Arc::new(cluster),
                inventory,
                state,
                connector,
                tracker: Tracker::new(events),
                journal,
                options,
                lock: RunLock::new(verb),
                kept: None,
            },
            summary,
            _lock: lock,
        })
    }
}

/// Emits an event for each finished command.
fn command_observer(events: Events) -> Observer {
    Arc::new(move |command: &Finished<'_>| {
        events.emit(Event::Command {
            host: command.host.to_owned(),
            command: command.script.to_owned(),
            status: command.outcome.as_ref().ok().copied(),
            elapsed: command.elapsed,
        });
    })
}
