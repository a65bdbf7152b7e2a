//! The workstation's clock against those of the hosts.
//!
//! Certificates are made by the workstation's clock and judged by the hosts'. One that is off by
//! minutes makes certificates that are not valid yet, or reissues what is valid. So this belongs
//! to no phase, and can't be waived.

use super::survey::Surveyed;
use crate::host::preflight::{MAX_CLOCK_OFFSET, describe_clock};
use crate::run::error::Error;

/// Refuses to go on if clocks are too far apart.
///
/// # Errors
/// [`Error::Refused`], with each host's offset.
pub(crate) fn refuse_wrong_clocks(surveyed: &[Surveyed]) -> Result<(), Error> {
    let offset = |one: &Surveyed| one.gathered.clock_offset;
    let wrong: Vec<(&str, i128)> = surveyed
        .iter()
        .filter_map(|one| Some((one.host.name.as_str(), offset(one)?)))
        .filter(|(_, offset)| offset.saturating_abs() > MAX_CLOCK_OFFSET)
        .collect();
    let Some((_, first)) = wrong.first() else {
        return Ok(());
    };
    let clocks = surveyed.iter().filter(|one| offset(one).is_some()).count();
    // All hosts agree with each other: it is this machine.
    let ours = clocks > 1
        && wrong.len() == clocks
        && wrong
            .iter()
            .all(|(_, offset)| offset.abs_diff(*first) < MAX_CLOCK_OFFSET.unsigned_abs());
    let lines: String = wrong
        .iter()
        .map(|(host, offset)| format!("\n  {host}: {}", describe_clock(*offset)))
        .collect();
    Err(Error::Refused {
        message: format!(
            "clocks are too far apart: certificates would not be valid where they are needed{lines}"
        ),
        hint: match ours {
            true => "the hosts agree with each other, so set this machine's clock".into(),
            false => "set the clocks, and let chrony or systemd-timesyncd keep them".into(),
        },
    })
}
