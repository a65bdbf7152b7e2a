//! Which run may change a host: `/var/lib/clusterctl/lock` has the number of the last one that
//! did, and whose it was. The number only grows; scripts refuse a smaller one. It is what keeps
//! a run that lost its lock, on a laptop that was asleep, from writing later.

use std::time::Duration;

use ssh::Script;

use super::error::HostError;
use super::loose::refused_loose;
use super::run_owner::RunOwner;
use super::wire::{Sections, quote};

/// A run's turn to change hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Greater than that of all runs before it.
    pub number: u64,
    /// Whose it is.
    pub owner: RunOwner,
}

/// The last turn that a host knows of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundTurn {
    /// It.
    pub turn: Turn,
    /// How long ago it changed something there.
    pub age: Duration,
}

impl Turn {
    /// `NUMBER<tab>OWNER`.
    fn parse(line: &[u8]) -> Option<Self> {
        let at = line.iter().position(|&byte| byte == b'\t')?;
        let (number, owner) = line.split_at(at);
        Some(Turn {
            number: std::str::from_utf8(number).ok()?.parse().ok()?,
            owner: RunOwner::parse(&owner[1..]),
        })
    }

    /// The arguments of the scripts' `guard` and `claim`.
    pub(super) fn words(&self) -> String {
        format!("{} {}", self.number, quote(&self.owner.to_line()))
    }
}

/// The script that makes a host refuse runs before `turn`, if any has ever changed it.
pub fn take(turn: &Turn) -> Script {
    let text = concat!(
        include_str!("scripts/safe.sh"),
        include_str!("scripts/take.sh"),
        include_str!("scripts/lock.sh"),
    );
    Script {
        name: "take the lock".into(),
        text: format!("{text}take {}\n", turn.words()),
        input: Vec::new(),
    }
}

/// Judges how that went.
///
/// # Errors
///
/// [`HostError::Superseded`]; an answer that was cut off.
pub fn taken(stdout: &[u8]) -> Result<(), HostError> {
    refused(stdout).map_or(Ok(()), Err)?;
    refused_loose(stdout).map_or(Ok(()), Err)?;
    Sections::parse(stdout, "take").map(|_| ())
}

/// Whether a script was refused because another run came later.
pub(super) fn refused(stdout: &[u8]) -> Option<HostError> {
    let mut lines = stdout.split(|&byte| byte == b'\n');
    let line = lines.find_map(|line| line.strip_prefix(b"@@refused "))?;
    let turn = Turn::parse(line)?;
    Some(HostError::Superseded {
        number: turn.number,
        owner: Box::new(turn.owner),
    })
}

/// Reads the section of an answer that says who changed the host last, and how long ago.
pub(super) fn read_turn(sections: &Sections<'_>) -> Option<FoundTurn> {
    let [age, line, ..] = sections.raw("lock") else {
        return None;
    };
    let age: i64 = std::str::from_utf8(age).ok()?.trim().parse().ok()?;
    Some(FoundTurn {
        turn: Turn::parse(line)?,
        age: Duration::from_secs(age.max(0).unsigned_abs()),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_survives_the_way_to_a_host_and_back() {
        let owner = RunOwner {
            holder: "it's\tme@host".into(),
            verb: "apply".into(),
            since: "2026-11-27T20:00:00Z".parse().unwrap(),
            process: "boot/1".into(),
        };
        let read = RunOwner::parse(owner.to_line().as_bytes());
        assert_eq!(read.holder, "it's me@host");
        assert_eq!((read.verb, read.since), (owner.verb, owner.since));
        assert_eq!(read.process, owner.process);
        // Whatever a host says.
        assert_eq!(RunOwner::parse(b"").holder, "");
        assert_eq!(Turn::parse(b"seven\tme"), None);
        let error = refused(b"@@clusterctl converge 1\n@@refused 8\tme@there\tapply\n").unwrap();
        assert!(error.to_string().contains("me@there"), "{error}");
    }
}
