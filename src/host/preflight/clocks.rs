//! Clocks against each other and against the workstation's.

use super::report::{FleetCheck, Report};
use super::subject::Subject;
use crate::inventory::Cluster;

/// A clock that is further off than this is worth a look, in nanoseconds (5 s).
const SKEW_WARNING: i128 = 5_000_000_000;

/// Certificates are valid from five minutes before they are made: a clock that
/// is further behind takes them for not yet valid. In nanoseconds, with some
/// margin (4 min).
pub const MAX_CLOCK_OFFSET: i128 = 240_000_000_000;

pub(super) const CHECK: FleetCheck = FleetCheck {
    names: &["ClockSkew"],
    run: check_clocks,
};

/// Every clock against the median, and against the workstation's, by which
/// certificates are made.
fn check_clocks(_: &Cluster, subjects: &[Subject<'_>], reports: &mut [Report<'_>]) {
    let mut offsets: Vec<i128> = subjects
        .iter()
        .filter_map(|subject| subject.gathered.clock_offset)
        .collect();
    offsets.sort_unstable();
    let Some(&median) = offsets.get(offsets.len() / 2) else {
        return;
    };
    for (subject, report) in subjects.iter().zip(reports) {
        let Some(offset) = subject.gathered.clock_offset else {
            continue;
        };
        let from_median = offset.saturating_sub(median);
        let message = format!(
            "{}, {} from the middle of all hosts",
            describe_clock(offset),
            seconds(from_median),
        );
        let remedy = "set the clock, and let chrony or systemd-timesyncd keep it";
        let apart = from_median.saturating_abs().max(offset.saturating_abs());
        if apart > MAX_CLOCK_OFFSET {
            report.error("ClockSkew", message, remedy);
        } else if apart > SKEW_WARNING {
            report.warn("ClockSkew", message, remedy);
        } else {
            report.pass("ClockSkew");
        }
    }
}

/// How a host's clock is off, in words. `offset` is in nanoseconds.
pub fn describe_clock(offset: i128) -> String {
    let side = if offset < 0 { "behind" } else { "ahead of" };
    format!("the clock is {} {side} the workstation's", seconds(offset))
}

fn seconds(nanos: i128) -> String {
    format!("{:.1} s", nanos.saturating_abs() as f64 / 1e9)
}
