//! The event stream on a terminal: a spinner or bar for each host at work,
//! lines above them for what is done.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use console::style;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{Printer, plain};
use crate::run::events::{Event, Sink};

/// Rows that bars may take: beyond that, hosts work unseen.
const ROWS: usize = 16;

/// Draws bars.
#[derive(Debug)]
pub(super) struct Tty {
    verbose: bool,
    color: bool,
    multi: MultiProgress,
    bars: Mutex<HashMap<String, ProgressBar>>,
}

impl Tty {
    pub(super) fn new(verbose: bool, printer: Printer) -> Self {
        Tty {
            verbose,
            color: printer.color_err,
            multi: MultiProgress::new(),
            bars: Mutex::new(HashMap::new()),
        }
    }

    fn println(&self, text: &str) {
        let _ = self.multi.println(text);
    }

    fn progress(&self, host: &str, phase: &str, doing: &str, bytes: Option<(u64, u64)>) {
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        let room = bars.len() < ROWS;
        let bar = bars.entry(host.to_owned()).or_insert_with(|| {
            if !room {
                return ProgressBar::hidden();
            }
            let bar = self.multi.add(ProgressBar::new_spinner());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        let template = match bytes {
            Some((_, total)) => {
                bar.set_length(total);
                "{spinner} {prefix:16} {bar:24} {bytes}/{total_bytes} {msg}"
            }
            None => "{spinner} {prefix:16} {msg} {elapsed:.dim}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(host.to_owned());
        bar.set_message(format!("{phase}: {doing}"));
        if let Some((sent, _)) = bytes {
            bar.set_position(sent);
        }
    }

    fn finish(&self, host: &str) {
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = bars.remove(host) {
            bar.finish_and_clear();
        }
    }
}

impl Sink for Tty {
    fn take(&self, event: &Event) {
        match event {
            Event::HostProgress {
                host,
                phase,
                doing,
                bytes,
            } => {
                self.progress(host, phase, doing, *bytes);
                return;
            }
            Event::HostDone { host, .. }
            | Event::HostIdle { host }
            | Event::HostFailed { host, .. } => self.finish(host),
            _ => {}
        }
        let Some(line) = plain::line(event, self.verbose) else {
            return;
        };
        if !self.color {
            return self.println(&line);
        }
        let line = match event {
            Event::PhaseStarted { .. } | Event::RunStarted { .. } => style(line).bold(),
            Event::HostFailed { .. } => style(line).red(),
            Event::Warning { .. } => style(line).yellow(),
            Event::Command { .. } | Event::PhaseFinished { .. } => style(line).dim(),
            Event::HostDone { .. } | Event::Changed { .. } => style(line).green(),
            _ => style(line),
        };
        self.println(&line.force_styling(true).to_string());
    }
}
