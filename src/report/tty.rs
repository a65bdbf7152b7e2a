//! The event stream on a terminal: a spinner or bar for each host at work,
//! lines above them for what is done.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use console::style;
use indicatif::{MultiProgress, ProgressBar, ProgressFinish, ProgressStyle};

use text::terminal::escape;

use super::{Printer, plain};
use crate::run::events::{Event, Sink};

/// Maximum number of bars; further hosts are not shown.
const ROWS: usize = 16;

/// Templates of bars that count bytes, and of spinners.
const BYTES: &str = "{spinner} {prefix:16} {bar:24} {bytes}/{total_bytes} {msg}";
const SPINNER: &str = "{spinner} {prefix:16} {msg} {elapsed:.dim}";

/// Draws bars.
#[derive(Debug)]
pub(super) struct Tty {
    verbose: bool,
    color: bool,
    multi: MultiProgress,
    /// By host, or by the file that is downloaded.
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

    /// Shows what `name` is at; `bytes` are those done and in all.
    fn show_progress(&self, name: &str, message: String, bytes: Option<(u64, u64)>) {
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        let full = bars.len() >= ROWS;
        let bar = bars.entry(name.to_owned()).or_insert_with(|| {
            if full {
                return ProgressBar::hidden();
            }
            let bar = ProgressBar::new_spinner()
                .with_finish(ProgressFinish::AndClear)
                .with_prefix(name.to_owned());
            set_template(&bar, SPINNER);
            let bar = self.multi.add(bar);
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        match bytes {
            Some((done, total)) if done < total => {
                if bar.length() != Some(total) {
                    bar.set_length(total);
                    set_template(bar, BYTES);
                }
                bar.set_position(done);
            }
            // All of it is there; what follows counts no bytes.
            Some(_) if bar.length().is_some() => {
                bar.unset_length();
                set_template(bar, SPINNER);
            }
            // A step of a host whose upload goes on: the bar stays.
            Some(_) | None => {}
        }
        bar.set_message(escape(&message).into_owned());
    }

    fn remove(&self, name: &str) {
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = bars.remove(name) {
            bar.finish_and_clear();
        }
    }
}

fn set_template(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
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
                return self.show_progress(host, format!("{phase}: {doing}"), *bytes);
            }
            Event::Downloading { file, bytes, total } if *total == Some(*bytes) => {
                return self.remove(file);
            }
            Event::Downloading { file, bytes, total } => {
                let bytes = total.map(|total| (*bytes, total));
                return self.show_progress(file, "downloading".to_owned(), bytes);
            }
            Event::HostDone { host, .. }
            | Event::HostIdle { host }
            | Event::HostFailed { host, .. } => self.remove(host),
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use indicatif::{ProgressDrawTarget, TermLike};

    use super::*;

    /// A terminal that remembers what was written.
    #[derive(Debug, Clone, Default)]
    struct Screen(Arc<Mutex<String>>);

    impl Screen {
        /// What was written since the last call.
        fn take(&self) -> String {
            let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            console::strip_ansi_codes(&std::mem::take(&mut *written)).into_owned()
        }
    }

    impl TermLike for Screen {
        fn width(&self) -> u16 {
            120
        }
        fn move_cursor_up(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> std::io::Result<()> {
            self.write_str(&format!("{text}\n"))
        }
        fn write_str(&self, text: &str) -> std::io::Result<()> {
            let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            written.push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> std::io::Result<()> {
            Ok(())
        }
        fn flush(&self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is drawn after an event. Draws are limited in time, so this asks for
    /// one that isn't.
    fn drawn(tty: &Tty, screen: &Screen, name: &str, event: &Event) -> String {
        tty.take(event);
        screen.take();
        let bars = tty.bars.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = bars.get(name) {
            bar.disable_steady_tick();
            bar.force_draw();
        }
        screen.take()
    }

    fn tty(screen: &Screen) -> Tty {
        let target = ProgressDrawTarget::term_like(Box::new(screen.clone()));
        Tty {
            verbose: false,
            color: false,
            multi: MultiProgress::with_draw_target(target),
            bars: Mutex::default(),
        }
    }

    fn progress(doing: &str, bytes: Option<(u64, u64)>) -> Event {
        Event::HostProgress {
            host: "cp1".into(),
            phase: "hosts",
            doing: doing.into(),
            bytes,
        }
    }

    #[test]
    fn an_upload_shows_its_bytes_until_all_are_sent() {
        let screen = Screen::default();
        let tty = tty(&screen);
        let drawn = |event| drawn(&tty, &screen, "cp1", &event);
        let mib = |n: u64| n << 20;
        let text = drawn(progress("file /usr/bin/kubelet", Some((mib(50), mib(200)))));
        assert!(text.contains("cp1"), "{text}");
        assert!(text.contains("50.00 MiB/200.00 MiB"), "{text}");
        assert!(text.contains("hosts: file /usr/bin/kubelet"), "{text}");
        // The next step begins while the upload goes on.
        let text = drawn(progress("file /usr/bin/kubectl", None));
        assert!(
            text.contains("50.00 MiB/200.00 MiB hosts: file /usr/bin/kubectl"),
            "{text}"
        );
        let text = drawn(progress("unit kubelet.service", Some((mib(200), mib(200)))));
        assert!(text.contains("unit kubelet.service"), "{text}");
        assert!(!text.contains("MiB"), "{text}");
    }

    #[test]
    fn a_download_is_a_bar_with_the_files_name() {
        let screen = Screen::default();
        let tty = tty(&screen);
        let file = "linux-amd64/kubelet";
        let event = |bytes| Event::Downloading {
            file: file.into(),
            bytes,
            total: Some(60 << 20),
        };
        let text = drawn(&tty, &screen, file, &event(15 << 20));
        assert!(
            text.contains(file) && text.contains("15.00 MiB/60.00 MiB"),
            "{text}"
        );
        drawn(&tty, &screen, file, &event(60 << 20));
        assert!(
            tty.bars
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .is_empty()
        );
    }
}
