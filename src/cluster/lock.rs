//! One run at a time, wherever it starts. Where there is an API, the lock is a Lease; before
//! that, and behind it, each host knows the number of the run that changed it last, and refuses
//! runs with smaller ones.

use std::time::Duration;

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};

use super::answer::{Asked, answer_within, ask_first};
use super::operator_access::OperatorAccess;
use crate::host::{FoundTurn, RunOwner, Turn};
use crate::kubernetes::api::{ApiError, ClusterLock};
use crate::run::Run;
use crate::run::error::Error;
use crate::run::lock::{Ended, Renewal, WeakLock, is_over};

/// How often the lock is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(20);

/// How long a host is another run's that has changed it, where there is no API to ask. A run
/// waits at most this long without sending a command.
const HOST_LOCK: Duration = Duration::from_secs(600);

/// How often the lock is tried to be taken while others change it, too.
const TRIES: usize = 5;

/// How long it is tried to write to a cluster that is just starting.
const START: Duration = Duration::from_secs(30);

/// How long one API server may take to answer, where none is needed.
const ANSWER: Duration = Duration::from_secs(5);

/// How long one is searched for.
const SEARCH: Duration = Duration::from_secs(20);

/// How long freeing the lock may take; it expires by itself.
const RELEASE: Duration = Duration::from_secs(10);

/// What was seen of the lock.
#[derive(Debug, Clone, Default)]
pub(crate) struct LockSeen {
    /// The Lease; `None` without an API.
    pub(crate) lease: Option<ClusterLock>,
    /// The last turn of each host that knows one.
    pub(crate) hosts: Vec<(String, FoundTurn)>,
    /// How far the cluster's clock is ahead of this machine's.
    pub(crate) clock_offset: SignedDuration,
    /// Whether that is known.
    pub(crate) compared_clocks: bool,
}

/// Who has the lock.
pub(crate) struct Holder<'a> {
    /// It.
    pub(crate) owner: &'a RunOwner,
    /// The number of its turn.
    pub(crate) number: u64,
    /// Where it was seen.
    pub(crate) place: String,
    /// How long ago.
    pub(crate) age: Duration,
    /// Whether its run is known to have ended, or is this process's own.
    pub(crate) is_over: bool,
}

impl LockSeen {
    /// The time by the cluster's clock, which is what runs on several workstations share.
    pub(crate) fn now(&self) -> Timestamp {
        now(self.clock_offset)
    }

    /// The greatest number that was seen.
    pub(crate) fn number(&self) -> u64 {
        let lease = self.lease.as_ref().map_or(0, |lease| lease.number);
        let hosts = self.hosts.iter().map(|(_, found)| found.turn.number);
        hosts.fold(lease, u64::max)
    }

    /// Who has the lock.
    pub(crate) fn holder(&self) -> Option<Holder<'_>> {
        let mut known = 0;
        if let Some(lease) = &self.lease {
            known = lease.number;
            let now = self.now();
            if let Some(owner) = &lease.owner
                && !lease.has_expired(now)
            {
                let age = lease
                    .renewed
                    .map_or(0, |at| now.duration_since(at).as_secs());
                return Some(Holder {
                    owner,
                    number: lease.number,
                    place: "in the API".into(),
                    age: Duration::from_secs(age.max(0).unsigned_abs()),
                    is_over: is_over(owner),
                });
            }
        }
        // What the Lease knows of, too, is judged by that.
        let mut newer = self.hosts.iter().filter(|(_, found)| {
            let broken = found.turn.owner.process.is_empty();
            found.turn.number > known && found.age < HOST_LOCK && !broken
        });
        newer.next().map(|(host, found)| Holder {
            owner: &found.turn.owner,
            number: found.turn.number,
            place: format!("on {host}"),
            age: found.age,
            is_over: is_over(&found.turn.owner),
        })
    }

    /// Refuses if another run has the lock.
    ///
    /// # Errors
    /// [`Error::Held`].
    pub(crate) fn refuse_held(&self) -> Result<(), Error> {
        match self.holder() {
            Some(holder) if !holder.is_over => Err(Error::Held {
                owner: Box::new(holder.owner.clone()),
                place: format!("seen {} {} s ago", holder.place, holder.age.as_secs()),
            }),
            _ => Ok(()),
        }
    }
}

fn now(offset: SignedDuration) -> Timestamp {
    let now = Timestamp::now();
    now.checked_add(offset).unwrap_or(now)
}

/// Takes the lock for a run, unless it has it already; says whether it was taken now. `clients`
/// lead to the API through one control plane each; without any, hosts alone keep the lock.
///
/// # Errors
/// Another run has the lock, or had it since `seen`; an API that says no.
pub(crate) async fn acquire(
    run: &Run,
    clients: Vec<kube::Client>,
    seen: &LockSeen,
) -> Result<bool, Error> {
    if run.lock.turn()?.is_some() {
        return Ok(false);
    }
    for _ in 0..TRIES {
        let read = read_through(&clients).await?;
        let lease = read.as_ref().map(|(lease, _)| lease.clone());
        let fresh = LockSeen {
            lease,
            ..seen.clone()
        };
        fresh.refuse_held()?;
        refuse_other_since(seen, &fresh)?;
        if let Some(lease) = &fresh.lease {
            refuse_renewed(lease, seen, &clients).await?;
        }
        let turn = Turn {
            number: fresh.number() + 1,
            owner: run.lock.owner().clone(),
        };
        if let Some((lease, client)) = &read {
            match lease.give(client, &turn, fresh.now()).await {
                // Another run was faster; what it did decides.
                Err(error) if error.is_outdated() => continue,
                result => result?,
            }
        }
        run.lock.begin(turn.number);
        renew_in_background(run, &turn, clients, seen.clock_offset);
        return Ok(true);
    }
    Err(Error::Refused {
        message: "cannot take the lock: other runs keep changing it".into(),
        hint: "see who with `clusterctl-rs lock status`".into(),
    })
}

/// The same for a run that needs no API: without one, hosts alone keep the lock.
///
/// # Errors
/// As [`acquire`].
pub(crate) async fn acquire_if_possible(run: &Run) -> Result<bool, Error> {
    let Ok(access) = OperatorAccess::read(run) else {
        return Ok(false);
    };
    let control_planes = run.cluster.control_planes().map(|host| (host, ()));
    let asking = ask_first(control_planes, async |host, ()| {
        let remote = run.connect(host).await?;
        let client = access.client(run, host, &remote)?;
        answer_within(ANSWER, ClusterLock::read(&client)).await?;
        Ok(client)
    });
    match tokio::time::timeout(SEARCH, asking).await {
        Ok(Asked {
            answer: Some(client),
            ..
        }) => Box::pin(acquire(run, vec![client], &LockSeen::default())).await,
        _ => Ok(false),
    }
}

/// The turn that a run has on one host, of which `found` is known. A run without a turn gets
/// one there.
///
/// # Errors
/// [`Error::Held`] if another run is at work there.
pub(crate) fn turn_on(run: &Run, found: Option<(String, FoundTurn)>) -> Result<Turn, Error> {
    let turn = run.lock.turn()?;
    let number = turn.as_ref().map_or(0, |turn| turn.number);
    let seen = LockSeen {
        lease: Some(ClusterLock::numbered(number)),
        hosts: found.into_iter().collect(),
        ..LockSeen::default()
    };
    seen.refuse_held()?;
    let last = seen.hosts.first();
    Ok(Turn {
        number: last.map_or(number.max(1), |(_, found)| {
            number.max(found.turn.number + 1)
        }),
        owner: run.lock.owner().clone(),
    })
}

/// Refuses a plan if another run has changed the cluster since it was made.
fn refuse_other_since(seen: &LockSeen, fresh: &LockSeen) -> Result<(), Error> {
    match (&seen.lease, &fresh.lease) {
        (Some(before), Some(now)) if before.number != now.number => Err(Error::Refused {
            message: "another run has changed the cluster since this plan was made".into(),
            hint: "run the same command again: it makes a new plan".into(),
        }),
        _ => Ok(()),
    }
}

/// Where clocks were not compared, a Lease that seems to have expired may be one of a
/// workstation whose clock is behind: it is watched for a moment.
///
/// # Errors
/// [`Error::Held`] if it is renewed.
async fn refuse_renewed(
    lease: &ClusterLock,
    seen: &LockSeen,
    clients: &[kube::Client],
) -> Result<(), Error> {
    let Some(owner) = lease.owner.as_ref().filter(|owner| !is_over(owner)) else {
        return Ok(());
    };
    if seen.compared_clocks {
        return Ok(());
    }
    tokio::time::sleep(RENEW_EVERY + RENEW_EVERY / 2).await;
    match read_through(clients).await? {
        Some((now, _)) if now.renewed != lease.renewed && now.owner.is_some() => Err(Error::Held {
            owner: Box::new(owner.clone()),
            place: "its clock is behind; renewed just now".into(),
        }),
        _ => Ok(()),
    }
}

/// Reads the Lease through the first control plane that answers; `None` without any client.
async fn read_through(
    clients: &[kube::Client],
) -> Result<Option<(ClusterLock, kube::Client)>, ApiError> {
    let mut failed = None;
    for client in clients {
        match ClusterLock::read(client).await {
            Ok(lease) => return Ok(Some((lease, client.clone()))),
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(None), Err)
}

/// Puts the turn of a run that began without an API into the Lease of the cluster that it has
/// started. Does nothing for a run that has the Lease.
///
/// # Errors
/// Another run has it; an API that says no for half a minute.
pub(crate) async fn adopt(
    run: &Run,
    clients: Vec<kube::Client>,
    offset: SignedDuration,
) -> Result<(), Error> {
    let Some(mut turn) = run.lock.turn()? else {
        return Ok(());
    };
    let tries = async {
        loop {
            match put(run, &mut turn, &clients, offset).await {
                Err(Error::Api(error)) if error.is_transient() => {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                result => return result,
            }
        }
    };
    match tokio::time::timeout(START, tries).await {
        Ok(result) => result?,
        Err(_) => return Err(Error::NoAnswer { after: START }),
    }
    renew_in_background(run, &turn, clients, offset);
    Ok(())
}

async fn put(
    run: &Run,
    turn: &mut Turn,
    clients: &[kube::Client],
    offset: SignedDuration,
) -> Result<(), Error> {
    let Some((lease, client)) = read_through(clients).await? else {
        return Ok(());
    };
    if lease.is_of(turn) {
        return Ok(());
    }
    let seen = LockSeen {
        lease: Some(lease.clone()),
        clock_offset: offset,
        ..LockSeen::default()
    };
    seen.refuse_held()?;
    if lease.number >= turn.number {
        *turn = run.lock.begin(lease.number + 1);
    }
    Ok(lease.give(&client, turn, now(offset)).await?)
}

/// Renews the Lease until the turn ends. A run that finds it in other hands has lost it, and
/// changes nothing more.
fn renew_in_background(run: &Run, turn: &Turn, clients: Vec<kube::Client>, offset: SignedDuration) {
    if clients.is_empty() {
        return;
    }
    let (lock, turn) = (run.lock.downgrade(), turn.clone());
    let task = tokio::spawn(renew(lock, turn, clients.clone(), offset));
    run.lock.keep_renewing(Renewal {
        clients,
        clock_offset: offset,
        task: task.abort_handle(),
        seen: Timestamp::now(),
    });
}

async fn renew(lock: WeakLock, turn: Turn, clients: Vec<kube::Client>, offset: SignedDuration) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        // While an API server restarts, the next control plane may answer, or the next time.
        let attempt = async {
            let (lease, client) = read_through(&clients).await.ok().flatten()?;
            if lease.is_of(&turn) {
                // Written in between by a run that breaks the lock: the next look finds that.
                let _ = lease.give(&client, &turn, now(offset)).await;
            }
            Some(lease)
        };
        let Ok(Some(lease)) = tokio::time::timeout(RENEW_EVERY, attempt).await else {
            continue;
        };
        let Some(lock) = lock.upgrade() else {
            return;
        };
        lock.see(&turn, &lease);
        if lock.turn().is_err() {
            return;
        }
    }
}

/// Ends the run's turn, if it has one, and frees the Lease, or without one the hosts that were
/// changed. That this fails is nothing to worry about: both expire.
pub(crate) async fn release(run: &Run) {
    let Some(ended) = run.lock.end() else {
        return;
    };
    let free = async {
        match &ended.lease {
            Some(lease) => free_lease(&ended.turn, lease).await,
            None => free_hosts(&ended).await,
        }
    };
    let _ = tokio::time::timeout(RELEASE, free).await;
}

/// Ends the turn of a run that has taken its cluster, and with it the Lease, away.
pub(crate) fn forget(run: &Run) {
    drop(run.lock.end());
}

async fn free_lease(turn: &Turn, lease: &Renewal) {
    // An API server that the run restarted may need a moment.
    loop {
        match read_through(&lease.clients).await {
            Ok(Some((found, client))) if found.is_of(turn) => {
                let now = now(lease.clock_offset);
                if found.free(&client, turn.number, now).await.is_ok() {
                    return;
                }
            }
            Ok(_) => return,
            Err(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// The next run on another machine need not wait until this one is forgotten.
async fn free_hosts(ended: &Ended) {
    let turn = Turn {
        number: ended.turn.number + 1,
        owner: RunOwner {
            process: String::new(),
            ..ended.turn.owner.clone()
        },
    };
    join_all(ended.hosts.iter().map(|remote| remote.take_turn(&turn))).await;
}
