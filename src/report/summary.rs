//! The final summary: the number of changes, the duration of each phase, which hosts were
//! set aside.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use text::count;

use super::{human, table};
use crate::run::events::{Event, Sink};
use crate::run::phase::Phase;

/// Summarizes the events of a run.
#[derive(Debug)]
pub struct Summary {
    started: Instant,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    phases: Vec<(&'static str, Duration)>,
    host_changes: usize,
    other_changes: usize,
    failed: Vec<(String, &'static str)>,
    /// Warnings of preflight are not repeated: they precede the confirmation.
    preflight_is_over: bool,
    warnings: Vec<String>,
}

impl Summary {
    /// A summary that starts now.
    pub fn new() -> Self {
        Summary {
            started: Instant::now(),
            seen: Mutex::default(),
        }
    }

    /// The number of changes made, on hosts and elsewhere.
    pub fn changes(&self) -> usize {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.host_changes + seen.other_changes
    }

    /// Whether it was told that, and why, this host was set aside.
    pub fn has_told(&self, host: &str) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.failed.iter().any(|(name, _)| name == host)
    }

    /// The summary's text.
    pub fn render(&self) -> String {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        if !seen.phases.is_empty() {
            let rows: Vec<_> = seen
                .phases
                .iter()
                .map(|(phase, elapsed)| vec![(*phase).to_owned(), human(*elapsed)])
                .collect();
            text.push_str(&table(&["PHASE", "TIME"], &rows));
            text.push_str("\n\n");
        }
        let changes = seen.host_changes + seen.other_changes;
        text.push_str(&match changes {
            0 => "nothing to change".to_owned(),
            n => format!("{} made", count(n, "change")),
        });
        text.push_str(&format!(" in {}", human(self.started.elapsed())));
        for (host, phase) in &seen.failed {
            text.push_str(&format!("\n{host} was set aside in phase {phase}"));
        }
        for warning in &seen.warnings {
            text.push_str(&format!("\nwarning: {warning}"));
        }
        text
    }
}

impl Default for Summary {
    fn default() -> Self {
        Summary::new()
    }
}

impl Sink for Summary {
    fn take(&self, event: &Event) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            // A phase that ends and resumes, such as join, is counted once.
            Event::PhaseFinished { phase, elapsed } => {
                seen.preflight_is_over |= *phase == Phase::Preflight.name();
                match seen.phases.iter_mut().find(|(name, _)| name == phase) {
                    Some((_, sum)) => *sum += *elapsed,
                    None => seen.phases.push((phase, *elapsed)),
                }
            }
            Event::HostDone { changed, .. } => seen.host_changes += changed,
            Event::Changed { .. } => seen.other_changes += 1,
            Event::HostFailed { host, phase, .. } => seen.failed.push((host.clone(), phase)),
            Event::Warning { text } if seen.preflight_is_over => seen.warnings.push(text.clone()),
            _ => {}
        }
    }
}
