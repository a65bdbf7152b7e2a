//! What can go wrong between a host and its desired state.

use super::owner::Owner;
use super::run_owner::RunOwner;

/// Why a host's answer or desired state can't be used.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The answer doesn't begin as ours do.
    #[error("the answer to `{script}` has no header: {start:?}")]
    NoHeader {
        /// The script that was run.
        script: &'static str,
        /// How the answer starts, escaped and shortened.
        start: String,
    },
    /// The answer ends before its end marker.
    #[error("the answer to `{script}` was cut off after {bytes} bytes")]
    Truncated {
        /// The script that was run.
        script: &'static str,
        /// How much of it came.
        bytes: usize,
    },
    /// The receipt on the host can't be read.
    #[error("/var/lib/clusterctl/receipt.json on the host can't be read: {why}")]
    Receipt {
        /// What the parser said.
        why: String,
    },
    /// The host is part of another cluster.
    #[error("the host belongs to cluster {found}, not to {wanted}")]
    OtherCluster {
        /// The cluster that the host's receipt names.
        found: Box<Owner>,
        /// The cluster of the inventory.
        wanted: Box<Owner>,
    },
    /// A name that the scripts can't carry.
    #[error("{kind} {name:?} can't be managed: {why}")]
    Name {
        /// What it names: a path, a unit, a package.
        kind: &'static str,
        /// The name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Something of ours is still there after a reset.
    #[error("could not remove everything: {}", stuck.join("; "))]
    NotClean {
        /// What is still there, escaped.
        stuck: Vec<String>,
    },
    /// Another run has changed the host since this one got its turn.
    #[error(
        "nothing was changed here, because a later run has taken over: {} by {}, since {}",
        owner.verb, owner.holder, owner.since
    )]
    Superseded {
        /// That run's number.
        number: u64,
        /// Whose it is.
        owner: Box<RunOwner>,
    },
    /// Files have changed since the plan was made.
    #[error("changed on the host since the plan was made: {}", paths.join(", "))]
    ChangedSince {
        /// They, escaped.
        paths: Vec<String>,
    },
    /// Others than root could redirect what is read and written.
    #[error("refusing paths that others than root can redirect{}", ways.iter().map(|way| format!("\n  {way}")).collect::<String>())]
    Loose {
        /// They, escaped, each with who could.
        ways: Vec<String>,
    },
    /// Converging stopped.
    #[error("{step}: {why}")]
    Step {
        /// The change that failed, such as `create file /etc/hosts`.
        step: String,
        /// What the host said, escaped.
        why: String,
    },
}

impl HostError {
    /// What to do next, where there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            HostError::NoHeader { .. } => Some(
                "something on the host writes to standard output, or its shell isn't a POSIX sh"
                    .into(),
            ),
            HostError::Truncated { .. } => {
                Some("the connection broke, or the host ran out of memory or processes: run the same command again".into())
            }
            HostError::Receipt { .. } => Some(
                "if the file is damaged, move it away: what is on the host is then taken for its own"
                    .into(),
            ),
            HostError::OtherCluster { .. } => Some(
                "reset the host with the inventory and the .clusterctl directory of its own cluster first, or take it out of this one".into(),
            ),
            HostError::NotClean { .. } => Some(
                "the receipt is kept: fix what remains, then run the same command again"
                    .into(),
            ),
            HostError::Name { .. } => None,
            HostError::Superseded { .. } => Some(
                "wait for that run to end, then run the same command again; `clusterctl-rs lock \
                 status` shows it"
                    .into(),
            ),
            HostError::ChangedSince { .. } => Some(
                "nothing was changed on it: run `clusterctl-rs plan` again to see what is different now"
                    .into(),
            ),
            HostError::Loose { .. } => Some(
                "whoever may write to a directory can put a symbolic link into it: on the host, make \
                 these directories root's alone (`chown root:root DIR`, `chmod go-w DIR`), or choose \
                 a `destination` in one that is"
                    .into(),
            ),
            HostError::Step { .. } => {
                Some("no file is half-written: fix the cause, then run the same command again".into())
            }
        }
    }
}
