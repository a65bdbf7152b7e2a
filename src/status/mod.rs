//! `status`: the health of the cluster. Changes nothing.
//!
//! One round asks all hosts in parallel (one script and the health endpoints), then API,
//! etcd and plan in parallel. A host that does not respond delays the round by a few
//! seconds, once.

mod access;
mod certs;
mod drift;
mod etcd;
mod host;
mod merge;
mod model;
#[cfg(test)]
pub(crate) mod samples;

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt;
use jiff::Timestamp;

pub use model::{
    ApiStatus, CertificateStatus, ClusterStatus, ComponentStatus, DriftStatus, EndpointStatus,
    EtcdMemberStatus, EtcdStatus, Health, HostDrift, HostStatus, NodeStatus, Validity,
};

use self::access::Access;
use self::drift::Drift;
use self::host::Told;
use self::merge::Answers;
use crate::artifacts;
use crate::inventory::{ArtifactSource, Cluster, Etcd, Host};
use crate::run::Run;
use crate::run::connections::Kept;
use crate::run::error::Error;
use crate::run::events::Event;
use crate::run::events::Events;
use crate::run::events::Sink;
use crate::run::phase::Phase;
use crate::run::remote::Remote;
use crate::run::tracker::Tracker;
use text::terminal::escape;

/// Time limit for each step of connecting, regardless of the inventory.
const CONNECT: Duration = Duration::from_secs(5);

/// Time limit for one host, if the user cannot be asked for a passphrase.
const HOST: Duration = Duration::from_secs(20);

/// How often a watch checks drift: it hashes files on the hosts.
const DRIFT_EVERY: Duration = Duration::from_secs(60);

/// Maximum length of an error, in characters.
const SHORT: usize = 200;

/// Takes the status of a cluster, repeatedly over the same connections.
pub struct Watch {
    run: Run,
    drift: Mutex<Option<(Instant, Result<Drift, String>)>>,
    rounds: Mutex<usize>,
}

impl Watch {
    /// Creates a watch.
    pub fn new(run: &Run) -> Self {
        let mut options = run.options.clone();
        // Preflight findings about a running cluster belong to another verb.
        options.selection = options.selection.without(Phase::Preflight);
        let events = Events::new(vec![Arc::new(Once::of(run.events().clone()))]);
        Watch {
            run: Run {
                cluster: Arc::new(offline(&run.cluster)),
                inventory: run.inventory.clone(),
                state: run.state.clone(),
                connector: run.connector.clone(),
                tracker: Tracker::new(events),
                journal: None,
                options,
                kept: Some(Arc::new(Kept::default())),
            },
            drift: Mutex::default(),
            rounds: Mutex::default(),
        }
    }

    /// Takes the status once.
    pub async fn look(&self) -> ClusterStatus {
        let run = &self.run;
        if let Some(kept) = &run.kept {
            kept.forget_failures();
        }
        let access = Access::read(run);
        let patient = self.somebody_may_be_asked();
        let hosts: Vec<Result<Told, String>> = futures::stream::iter(&run.cluster.hosts)
            .map(|host| self.ask(host, &access, patient))
            .buffered(run.options.parallel)
            .collect()
            .await;
        let through = self.control_planes(&hosts);
        let (api, endpoint, etcd, drift) = tokio::join!(
            access.list_nodes(run, &through),
            access.probe_endpoint(run, &through),
            self.etcd(&through),
            self.drift()
        );
        merge::merge(
            &run.cluster,
            &Answers {
                time: Timestamp::now(),
                hosts,
                api,
                endpoint,
                etcd,
                drift,
                operator: certs::of_operator(run),
            },
        )
    }

    async fn ask(&self, host: &Host, access: &Access, patient: bool) -> Result<Told, String> {
        let asking = host::ask(&self.run, host, access);
        if patient {
            return asking.await;
        }
        match tokio::time::timeout(HOST, asking).await {
            Ok(answer) => answer,
            Err(_) => {
                let why = Error::NoAnswer { after: HOST }.to_string();
                if let Some(kept) = &self.run.kept {
                    kept.put(&host.name, Err(why.clone()));
                }
                Err(why)
            }
        }
    }

    /// In the first round, a user at a terminal may have to type a passphrase.
    fn somebody_may_be_asked(&self) -> bool {
        let mut rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
        *rounds += 1;
        *rounds == 1 && std::io::stdin().is_terminal()
    }

    /// Reachable control planes, those with a healthy API server first.
    fn control_planes(&self, hosts: &[Result<Told, String>]) -> Vec<(&Host, Remote)> {
        let mut through: Vec<(bool, &Host, Remote)> = self
            .run
            .cluster
            .hosts
            .iter()
            .zip(hosts)
            .filter(|(host, _)| host.is_control_plane())
            .filter_map(|(host, told)| {
                let told = told.as_ref().ok()?;
                let session = self.run.kept.as_ref()?.get(&host.name)?.ok()?;
                let sick = |one: &ComponentStatus| {
                    one.name == "kube-apiserver" && one.health != Health::Healthy
                };
                Some((told.components.iter().any(sick), host, session))
            })
            .collect();
        through.sort_by_key(|(sick, _, _)| *sick);
        through
            .into_iter()
            .map(|(_, host, session)| (host, session))
            .collect()
    }

    async fn etcd(&self, through: &[(&Host, Remote)]) -> Result<Vec<etcd::Member>, String> {
        if matches!(self.run.cluster.etcd, Etcd::External(_)) {
            return Ok(Vec::new());
        }
        etcd::ask_members(&self.run, through).await
    }

    /// The plan's counts; in a watch, recent ones are reused.
    async fn drift(&self) -> Result<Drift, String> {
        let known = self
            .drift
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some((at, Ok(drift))) = known
            && at.elapsed() < DRIFT_EVERY
        {
            return Ok(drift);
        }
        let looked = drift::look(&self.run).await;
        let mut drift = self.drift.lock().unwrap_or_else(PoisonError::into_inner);
        *drift = Some((Instant::now(), looked.clone()));
        looked
    }
}

/// The same cluster with short timeouts, and artifacts from the cache only: `status` must
/// not download 500 MB.
fn offline(cluster: &Cluster) -> Cluster {
    let mut cluster = cluster.clone();
    for host in &mut cluster.hosts {
        host.ssh.connect_timeout = host.ssh.connect_timeout.min(CONNECT);
    }
    if cluster.artifacts.source == ArtifactSource::Online
        && let Some(cache) = artifacts::default_cache_dir()
    {
        cluster.artifacts.source = ArtifactSource::Directory;
        cluster.artifacts.path = Some(cache.join(cluster.version.to_string()));
    }
    cluster
}

/// Passes on warnings, each once; other events are dropped.
struct Once {
    events: Events,
    seen: Mutex<BTreeSet<String>>,
}

impl Once {
    fn of(events: Events) -> Self {
        Once {
            events,
            seen: Mutex::default(),
        }
    }
}

impl Sink for Once {
    fn take(&self, event: &Event) {
        if let Event::Warning { text } = event
            && self
                .seen
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(text.clone())
        {
            self.events.emit(event.clone());
        }
    }
}

/// An error on one line, without the host's name, which precedes it.
fn one_line(error: &Error, host: &str) -> String {
    let text = error.to_string();
    let text = text.strip_prefix(&format!("{host}: ")).unwrap_or(&text);
    short(text)
}

/// The first line of a text, escaped and shortened.
fn short(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    let mut short: String = line.chars().take(SHORT).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    escape(&short).into_owned()
}
