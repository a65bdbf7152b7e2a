//! Renders events, plans and results: terminal, plain lines, JSON lines.

mod escaped;
mod jsonl;
mod plain;
mod plan;
mod status;
mod summary;
mod table;
mod tty;

use std::io::{IsTerminal, Write};
use std::sync::Arc;

use text::terminal::{escape_json, sanitize, sanitize_coloured};

pub use status::status;
pub use summary::Summary;
pub use table::table;

use crate::run::events::Sink;

/// Where results and messages go. Results on stdout, everything else on stderr.
#[derive(Debug, Clone, Copy)]
pub struct Printer {
    /// Whether stdout may carry colours.
    pub color_out: bool,
    /// Whether stderr may carry colours.
    pub color_err: bool,
}

impl Printer {
    /// A printer for this process: colours only on terminals, and only if
    /// `NO_COLOR` is not set.
    pub fn new() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Printer {
            color_out: wanted && std::io::stdout().is_terminal(),
            color_err: wanted && std::io::stderr().is_terminal(),
        }
    }

    /// Prints a piece of the result. Whatever hosts or the API have put into it is escaped.
    pub fn out(&self, text: &str) {
        self.data(&sanitize(text));
    }

    /// Prints a message, escaped.
    pub fn err(&self, text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{}", sanitize(text));
    }

    /// Prints a piece of the result that has colours of ours, and is escaped but for these.
    pub fn out_coloured(&self, text: &str) {
        match self.color_out {
            true => self.data(&sanitize_coloured(text)),
            false => self.out(text),
        }
    }

    /// The same for a message.
    pub fn err_coloured(&self, text: &str) {
        match self.color_err {
            true => {
                let _ = writeln!(std::io::stderr().lock(), "{}", sanitize_coloured(text));
            }
            false => self.err(text),
        }
    }

    /// Prints a result as JSON.
    pub fn json(&self, json: &str) {
        self.data(&escape_json(json));
    }

    /// Prints what is for other programs, or has been escaped, as it is.
    pub fn data(&self, text: &str) {
        // A closed pipe (`| head`) is not an error.
        let _ = writeln!(std::io::stdout().lock(), "{text}");
    }
}

impl Default for Printer {
    fn default() -> Self {
        Printer::new()
    }
}

/// How the event stream is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum EventFormat {
    /// Bars on a terminal, plain lines elsewhere.
    #[default]
    Auto,
    /// Plain lines.
    Plain,
    /// One JSON object per line.
    Jsonl,
}

/// The sink that shows events on stderr.
pub fn sink(format: EventFormat, verbose: bool, printer: Printer) -> Arc<dyn Sink> {
    match format {
        EventFormat::Jsonl => Arc::new(jsonl::Jsonl),
        EventFormat::Auto if std::io::stderr().is_terminal() => {
            Arc::new(tty::Tty::new(verbose, printer))
        }
        EventFormat::Auto | EventFormat::Plain => Arc::new(plain::Plain { verbose, printer }),
    }
}

/// What a reset has left on a host: a path that is not ours, or something with its reason.
pub fn kept(what: &str) -> String {
    match (what.starts_with('/'), what.contains(" (")) {
        (true, false) => format!("kept (not created by clusterctl-rs): {what}"),
        (true, true) => format!("kept: {what}"),
        (false, _) => what.to_owned(),
    }
}

/// A duration as people read it: `0.4s`, `12.3s`, `2m05s`.
pub fn human(elapsed: std::time::Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    if seconds < 60.0 {
        format!("{seconds:.1}s")
    } else {
        let whole = elapsed.as_secs();
        format!("{}m{:02}s", whole / 60, whole % 60)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_error_cannot_steer_the_terminal() {
        let why = "Ready\x1b[2J\u{9b}8m\u{202e}\x1b[8m".to_owned();
        let error = crate::run::error::Error::NotReady { why };
        escaped::hostile::assert_harmless(&error.on("w1").render(true));
    }

    #[test]
    fn durations_are_readable() {
        assert_eq!(human(Duration::from_millis(449)), "0.4s");
        assert_eq!(human(Duration::from_secs(125)), "2m05s");
    }
}
