//! The event stream as plain lines, for logs and CI.

use text::terminal::sanitize;

use super::{Printer, human};
use crate::run::events::{Event, Sink};

/// Writes one line per event that matters in a log.
#[derive(Debug)]
pub(super) struct Plain {
    pub(super) verbose: bool,
    pub(super) printer: Printer,
}

impl Sink for Plain {
    fn take(&self, event: &Event) {
        // Progress is noise where lines are kept.
        if matches!(event, Event::HostProgress { .. }) && !self.verbose {
            return;
        }
        if matches!(event, Event::HostProgress { bytes: Some(_), .. }) {
            return;
        }
        if let Some(line) = line(event, self.verbose) {
            self.printer.err(&line);
        }
    }
}

/// The line for an event, if it has one, escaped.
pub(super) fn line(event: &Event, verbose: bool) -> Option<String> {
    text_of(event, verbose).map(|text| sanitize(&text).into_owned())
}

fn text_of(event: &Event, verbose: bool) -> Option<String> {
    Some(match event {
        Event::HostIdle { .. } | Event::Downloading { .. } => return None,
        Event::RunStarted {
            verb,
            cluster,
            hosts,
        } => {
            format!("{verb}: cluster {cluster}, {}", text::count(*hosts, "host"))
        }
        Event::PhaseStarted { phase, title } => format!("[{phase}] {title}"),
        Event::PhaseFinished { phase, elapsed } => format!("[{phase}] done in {}", human(*elapsed)),
        Event::HostProgress {
            host, phase, doing, ..
        } => format!("[{phase}] {host}: {doing}"),
        Event::HostDone {
            host,
            phase,
            changed,
            elapsed,
        } => {
            let what = match changed {
                0 => "done".to_owned(),
                n => text::count(*n, "change"),
            };
            format!("[{phase}] {host}: {what} ({})", human(*elapsed))
        }
        Event::HostFailed {
            host,
            phase,
            error,
            hint,
        } => {
            let mut text = format!("[{phase}] {host}: FAILED: {}", indented(error));
            if let Some(hint) = hint {
                text.push_str("\n    hint: ");
                text.push_str(&indented(hint));
            }
            text
        }
        Event::Command {
            host,
            command,
            status,
            elapsed,
        } => {
            if !verbose {
                return None;
            }
            let status = status.map_or_else(|| "no exit status".into(), |s| format!("exit {s}"));
            format!("    {host}$ {command}: {status} ({})", human(*elapsed))
        }
        Event::Changed { phase, what, how } => format!("[{phase}] {what} {how}"),
        Event::Note { text } => text.clone(),
        Event::Warning { text } => format!("warning: {text}"),
    })
}

fn indented(text: &str) -> String {
    text.replace('\n', "\n    ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn failures_say_host_phase_cause_and_next_step() {
        let event = Event::HostFailed {
            host: "worker1".into(),
            phase: "hosts",
            error: "step 3 failed\nE: no such package".into(),
            hint: Some("run it again".into()),
        };
        insta::assert_snapshot!(line(&event, false).unwrap_or_default(), @r"
        [hosts] worker1: FAILED: step 3 failed
            E: no such package
            hint: run it again
        ");
    }

    #[test]
    fn a_host_or_a_node_cannot_steer_the_terminal() {
        let text = "Ready\x1b[2J\x1b]0;gone\x07\u{9b}8m: fine\n\x1b[8mhidden";
        let failed = Event::HostFailed {
            host: "worker1".into(),
            phase: "nodes",
            error: text.into(),
            hint: Some(text.into()),
        };
        let warning = Event::Warning { text: text.into() };
        let changed = Event::Changed {
            phase: "nodes",
            what: text.into(),
            how: text.into(),
        };
        for event in [failed, warning, changed] {
            let line = line(&event, false).unwrap_or_default();
            assert!(
                !line.chars().any(|c| c.is_control() && c != '\n'),
                "{line:?}"
            );
            assert!(line.contains("\\u{1b}[2J"), "{line}");
        }
    }

    #[test]
    fn commands_show_only_with_v() {
        let event = Event::Command {
            host: "cp1".into(),
            command: "gather".into(),
            status: Some(0),
            elapsed: Duration::from_millis(120),
        };
        assert_eq!(line(&event, false), None);
        assert_eq!(
            line(&event, true).as_deref(),
            Some("    cp1$ gather: exit 0 (0.1s)")
        );
    }
}
