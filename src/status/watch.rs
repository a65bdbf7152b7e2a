//! Rounds: every host is asked at once, then the API, etcd and the plan.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt;
use jiff::Timestamp;

use super::access::Access;
use super::drift::Drift;
use super::host::Told;
use super::merge::Answers;
use super::model::{ClusterStatus, ComponentStatus, Health};
use super::{certs, drift, etcd, host, merge};
use crate::inventory::{Cluster, Etcd, Host};
use crate::run::Run;
use crate::run::connections::Kept;
use crate::run::error::Error;
use crate::run::events::{Event, Events, Sink};
use crate::run::phase::Phase;
use crate::run::remote::Remote;
use crate::run::tracker::Tracker;

/// Time for each step of connecting, whatever the inventory allows.
const CONNECT: Duration = Duration::from_secs(5);

/// Time for one host in all, where no one can be asked for a passphrase.
const HOST: Duration = Duration::from_secs(20);

/// How often a watch makes a plan: it hashes files on the hosts.
const DRIFT_EVERY: Duration = Duration::from_secs(60);

/// Looks at a cluster, again and again if need be, over the same connections.
pub struct Watch {
    run: Run,
    drift: Mutex<Option<(Instant, Result<Drift, String>)>>,
    rounds: Mutex<usize>,
}

impl Watch {
    /// A watch that has not looked yet.
    pub fn new(run: &Run) -> Self {
        let mut options = run.options.clone();
        // What preflight has to say of a running cluster is another verb's.
        options.selection = options.selection.without(Phase::Preflight);
        // `status` must not download 500 MB.
        options.downloads = false;
        let events = Events::new(vec![Arc::new(Once::of(run.events().clone()))]);
        Watch {
            run: Run {
                cluster: Arc::new(with_short_times(&run.cluster)),
                inventory: run.inventory.clone(),
                state: run.state.clone(),
                connector: run.connector.clone(),
                tracker: Tracker::new(events),
                journal: None,
                options,
                lock: run.lock.clone(),
                kept: Some(Arc::new(Kept::default())),
            },
            drift: Mutex::default(),
            rounds: Mutex::default(),
        }
    }

    /// Looks once.
    pub async fn query_cluster(&self) -> ClusterStatus {
        let run = &self.run;
        if let Some(kept) = &run.kept {
            kept.forget_failures();
        }
        let access = Access::read(run);
        let patient = self.somebody_may_be_asked();
        let hosts: Vec<Result<Told, String>> = futures::stream::iter(&run.cluster.hosts)
            .map(|host| self.ask_in_time(host, &access, patient))
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
                operator: certs::read_operator_certificates(run),
            },
        )
    }

    async fn ask_in_time(
        &self,
        host: &Host,
        access: &Access,
        patient: bool,
    ) -> Result<Told, String> {
        let asking = host::ask_host(&self.run, host, access);
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

    /// In its first round an operator at a terminal may have to type.
    fn somebody_may_be_asked(&self) -> bool {
        let mut rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
        *rounds += 1;
        *rounds == 1 && std::io::stdin().is_terminal()
    }

    /// Control planes that answer, those first whose API server is well.
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

    /// The plan's counts; in a watch, those of a while ago will do.
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
        let looked = drift::count_changes(&self.run).await;
        let mut drift = self.drift.lock().unwrap_or_else(PoisonError::into_inner);
        *drift = Some((Instant::now(), looked.clone()));
        looked
    }
}

/// The same cluster with short times.
fn with_short_times(cluster: &Cluster) -> Cluster {
    let mut cluster = cluster.clone();
    for host in &mut cluster.hosts {
        let given = host.ssh.connect_timeout.unwrap_or(CONNECT);
        host.ssh.connect_timeout = Some(given.min(CONNECT));
    }
    cluster
}

/// Hands on warnings, each once; what goes on meanwhile is no news.
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
