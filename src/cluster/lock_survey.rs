//! Looks at the lock from outside of a run that changes something, and breaks it.

use std::time::Duration;

use futures::StreamExt;

use super::answer::answer_within;
use super::lock::LockSeen;
use super::operator_access::OperatorAccess;
use crate::host::{RunOwner, Turn};
use crate::inventory::Host;
use crate::kubernetes::api::ClusterLock;
use crate::run::Run;
use crate::run::error::Error;
use crate::run::lock::this_process;
use crate::run::remote::Remote;

/// Time for one host, or for the API through it.
const LIMIT: Duration = Duration::from_secs(15);

/// How often breaking is tried while the run that has the lock renews it.
const TRIES: usize = 5;

/// What was found.
pub(crate) struct LockSurvey {
    /// The lock, and the hosts' numbers.
    pub(crate) seen: LockSeen,
    /// Hosts that did not respond, and why.
    pub(crate) silent: Vec<(String, String)>,
    client: Option<kube::Client>,
    remotes: Vec<(String, Remote)>,
}

/// A lock that was broken.
pub(crate) struct Broken {
    /// How many hosts refuse the run that had it.
    pub(crate) hosts: usize,
    /// Those that don't, and why.
    pub(crate) missed: Vec<(String, String)>,
}

/// What one host told.
struct Told {
    name: String,
    remote: Remote,
    turn: Option<crate::host::FoundTurn>,
    api: Option<(kube::Client, ClusterLock)>,
}

/// Asks every host, and the API through the control planes.
pub(crate) async fn survey_lock(run: &Run) -> LockSurvey {
    let access = OperatorAccess::read(run).ok();
    let hosts = run.cluster.hosts.iter();
    let told: Vec<_> = futures::stream::iter(hosts)
        .map(|host| async {
            let told = answer_within(LIMIT, ask(run, access.as_ref(), host)).await;
            (host.name.clone(), told)
        })
        .buffered(run.options.parallel)
        .collect()
        .await;
    let mut survey = LockSurvey {
        seen: LockSeen::default(),
        silent: Vec::new(),
        client: None,
        remotes: Vec::new(),
    };
    for (name, told) in told {
        match told {
            Ok(told) => survey.add(told),
            Err(error) => survey.silent.push((name, error.to_string())),
        }
    }
    survey
}

async fn ask(run: &Run, access: Option<&OperatorAccess>, host: &Host) -> Result<Told, Error> {
    let remote = run.connect(host).await?;
    let turn = remote.read_receipt().await?.turn;
    let mut api = None;
    if let Some(access) = access.filter(|_| host.is_control_plane()) {
        let client = access.client(run, host, &remote)?;
        // That it doesn't answer is no news here.
        let read = answer_within(LIMIT / 3, ClusterLock::read(&client)).await;
        api = read.ok().map(|lock| (client, lock));
    }
    Ok(Told {
        name: host.name.clone(),
        remote,
        turn,
        api,
    })
}

impl LockSurvey {
    fn add(&mut self, told: Told) {
        if let Some(turn) = told.turn {
            self.seen.hosts.push((told.name.clone(), turn));
        }
        self.remotes.push((told.name, told.remote));
        if let (None, Some((client, lock))) = (&self.client, told.api) {
            self.client = Some(client);
            self.seen.lease = Some(lock);
        }
    }
}

/// Frees the lock, and makes every host that was reached refuse the run that had it.
///
/// # Errors
/// An API that answers and says no.
pub(crate) async fn break_lock(run: &Run, survey: &LockSurvey) -> Result<Broken, Error> {
    let turn = Turn {
        number: survey.seen.number() + 1,
        // No process has it: the next run need not wait.
        owner: RunOwner {
            process: String::new(),
            ..this_process("lock break")
        },
    };
    if let (Some(client), Some(lock)) = (&survey.client, &survey.seen.lease) {
        let mut lock = lock.clone();
        for last in 1..=TRIES {
            match lock.free(client, turn.number, survey.seen.now()).await {
                Err(error) if error.is_outdated() && last < TRIES => {
                    lock = ClusterLock::read(client).await?;
                }
                result => {
                    result?;
                    break;
                }
            }
        }
    }
    let turn = &turn;
    let takes = survey.remotes.iter().map(|(name, remote)| async move {
        (name, answer_within(LIMIT, remote.take_turn(turn)).await)
    });
    let taken: Vec<_> = futures::stream::iter(takes)
        .buffered(run.options.parallel)
        .collect()
        .await;
    let mut broken = Broken {
        hosts: 0,
        missed: survey.silent.clone(),
    };
    for (name, result) in taken {
        match result {
            Ok(()) => broken.hosts += 1,
            Err(error) => broken.missed.push((name.clone(), error.to_string())),
        }
    }
    Ok(broken)
}
