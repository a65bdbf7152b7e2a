//! The right of a run to change a cluster: its turn, which every command that changes a host
//! carries. `cluster::lock` gets it and keeps it.

use std::fmt;
use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::task::AbortHandle;

use super::error::Error;
use super::remote::Remote;
use crate::host::{RunOwner, Turn};
use crate::kubernetes::api::{ClusterLock, LOCK_DURATION};

/// Time for one API server to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// The lock of one run. Clones are of the same run.
#[derive(Debug, Clone)]
pub struct RunLock(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    owner: RunOwner,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    turn: Option<Turn>,
    lost: Option<String>,
    lease: Option<Renewal>,
    /// Hosts that were changed in this turn.
    hosts: Vec<Remote>,
}

/// A turn that is over.
pub(crate) struct Ended {
    /// It.
    pub(crate) turn: Turn,
    /// Its Lease, if it had one.
    pub(crate) lease: Option<Renewal>,
    /// Hosts that were changed in it.
    pub(crate) hosts: Vec<Remote>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("turn", &self.turn)
            .field("lost", &self.lost)
            .finish_non_exhaustive()
    }
}

/// The Lease of a run in the API, which a task renews.
pub(crate) struct Renewal {
    /// The API, through one control plane each.
    pub(crate) clients: Vec<kube::Client>,
    /// How far the cluster's clock is ahead of this machine's.
    pub(crate) clock_offset: SignedDuration,
    /// What renews it.
    pub(crate) task: AbortHandle,
    /// When it was last seen to be ours, by the clock that goes on while a laptop sleeps.
    pub(crate) seen: Timestamp,
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl RunLock {
    /// That of a run of `verb` in this process, which has no turn yet.
    pub fn new(verb: &str) -> Self {
        RunLock::of(this_process(verb))
    }

    /// That of a run of `owner`'s.
    pub fn of(owner: RunOwner) -> Self {
        RunLock(Arc::new(Shared {
            owner,
            state: Mutex::default(),
        }))
    }

    /// Whose the run is.
    pub fn owner(&self) -> &RunOwner {
        &self.0.owner
    }

    /// The run's turn; `None` while it has none.
    ///
    /// # Errors
    /// [`Error::LockLost`] if another run has taken over.
    pub fn turn(&self) -> Result<Option<Turn>, Error> {
        let state = self.state();
        match &state.lost {
            Some(why) => Err(Error::LockLost { why: why.clone() }),
            None => Ok(state.turn.clone()),
        }
    }

    /// Makes sure that the run still has its turn. Its Lease is read again if it was not for
    /// longer than it lasts: this machine was asleep, or the API away.
    ///
    /// # Errors
    /// [`Error::LockLost`] if another run has taken over.
    pub(crate) async fn confirm(&self) -> Result<(), Error> {
        let Some(turn) = self.turn()? else {
            return Ok(());
        };
        let clients = {
            let state = self.state();
            let lease = state.lease.as_ref();
            let limit = SignedDuration::try_from(LOCK_DURATION).unwrap_or(SignedDuration::MAX);
            match lease {
                Some(lease) if Timestamp::now().duration_since(lease.seen) > limit => {
                    lease.clients.clone()
                }
                _ => return Ok(()),
            }
        };
        for client in clients {
            let read = tokio::time::timeout(ANSWER, ClusterLock::read(&client));
            if let Ok(Ok(found)) = read.await {
                self.see(&turn, &found);
                return self.turn().map(drop);
            }
        }
        // Without an API, no other run can have taken the Lease either, and hosts know the number.
        Ok(())
    }

    /// What the Lease says now. One in other hands is lost.
    pub(crate) fn see(&self, turn: &Turn, found: &ClusterLock) {
        if found.is_of(turn) {
            if let Some(lease) = &mut self.state().lease {
                lease.seen = Timestamp::now();
            }
            return;
        }
        self.lose(match &found.owner {
            Some(owner) => format!("{} has it now, for {}", owner.holder, owner.verb),
            None => "it was broken".to_owned(),
        });
    }

    /// Remembers a host that this run changes.
    pub(crate) fn remember_host(&self, remote: &Remote) {
        self.state().hosts.push(Arc::clone(remote));
    }

    /// The run has its turn from now on.
    pub(crate) fn begin(&self, number: u64) -> Turn {
        let turn = Turn {
            number,
            owner: self.owner().clone(),
        };
        self.state().turn = Some(turn.clone());
        turn
    }

    /// Keeps what renews the Lease, until the turn ends.
    pub(crate) fn keep_renewing(&self, renewal: Renewal) {
        self.state().lease = Some(renewal);
    }

    /// Another run has taken over.
    fn lose(&self, why: String) {
        self.state().lost.get_or_insert(why);
    }

    /// The turn is over. Returns it, if there was one.
    pub(crate) fn end(&self) -> Option<Ended> {
        let mut state = self.state();
        let (lease, hosts) = (state.lease.take(), std::mem::take(&mut state.hosts));
        Some(Ended {
            turn: state.turn.take()?,
            lease,
            hosts,
        })
    }

    /// A reference that doesn't keep the run's lock alive.
    pub(crate) fn downgrade(&self) -> WeakLock {
        WeakLock(Arc::downgrade(&self.0))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a task that renews the lock has of it.
#[derive(Debug, Clone)]
pub(crate) struct WeakLock(std::sync::Weak<Shared>);

impl WeakLock {
    /// The lock, while its run lasts.
    pub(crate) fn upgrade(&self) -> Option<RunLock> {
        self.0.upgrade().map(RunLock)
    }
}

/// This process as the owner of a run of `verb`.
pub(crate) fn this_process(verb: &str) -> RunOwner {
    let user = ssh::login_name();
    let machine = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let machine = match machine.trim() {
        "" => "unknown",
        name => name,
    };
    let id = std::process::id();
    let name = format!("{}/{id}/{}", namespace(), started(id).unwrap_or_default());
    RunOwner {
        holder: format!("{}@{machine}", user.as_deref().unwrap_or("unknown")),
        verb: verb.to_owned(),
        // People read it: whole seconds.
        since: Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default(),
        process: name,
    }
}

/// Whether a run is known to be over, or is this very process's: one after the other, never
/// both. Of another machine's processes nothing is known.
pub(crate) fn is_over(owner: &RunOwner) -> bool {
    let Some((place, process)) = split_process(&owner.process) else {
        // A lock that was broken names no process.
        return owner.process.is_empty();
    };
    let Some((id, start)) = process.split_once('/') else {
        return false;
    };
    let Ok(id) = id.parse::<u32>() else {
        return false;
    };
    place == namespace() && (id == std::process::id() || started(id).as_deref() != Some(start))
}

/// `BOOT/NAMESPACE/PID/START` as `(BOOT/NAMESPACE, PID/START)`.
fn split_process(process: &str) -> Option<(&str, &str)> {
    let (at, _) = process.match_indices('/').nth(1)?;
    Some((&process[..at], &process[at + 1..]))
}

/// The number of a process on its machine.
pub(crate) fn process_id(owner: &RunOwner) -> &str {
    owner.process.split('/').nth(2).unwrap_or_default()
}

/// Where numbers of processes mean what they mean here: this boot, this namespace.
fn namespace() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let digits = |text: &str| -> String { text.chars().filter(char::is_ascii_digit).collect() };
    format!("{}/{}", boot.trim(), digits(&namespace.to_string_lossy()))
}

/// When a process started, in ticks since boot; `None` if it is gone.
fn started(id: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The second field is its name, which may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    Some(rest.split_whitespace().nth(19)?.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_processes_of_this_machine_are_known_to_be_over() {
        let mut owner = this_process("apply");
        assert!(is_over(&owner), "one after the other");
        assert_eq!(process_id(&owner), std::process::id().to_string());
        let mut child = std::process::Command::new("sleep")
            .arg("9")
            .spawn()
            .unwrap();
        let (id, start) = (child.id(), started(child.id()).unwrap());
        owner.process = format!("{}/{id}/{start}", namespace());
        assert!(!is_over(&owner), "it runs");
        owner.process = format!("{}/{id}/1{start}", namespace());
        assert!(is_over(&owner), "another process has its number by now");
        child.kill().unwrap();
        child.wait().unwrap();
        owner.process = format!("{}/{id}/{start}", namespace());
        assert!(is_over(&owner), "it is gone");
        owner.process = format!("elsewhere/1/{id}/{start}");
        assert!(!is_over(&owner), "who knows");
        owner.process = "nonsense".into();
        assert!(!is_over(&owner));
        owner.process = String::new();
        assert!(is_over(&owner), "broken");
    }
}
