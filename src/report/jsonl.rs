//! The event stream for machines: one JSON object per line, on stderr.

use std::io::Write;

use text::terminal::escape_json;

use crate::run::events::{Event, Sink};

/// Writes each event as a line of JSON.
#[derive(Debug)]
pub(super) struct Jsonl;

impl Sink for Jsonl {
    fn take(&self, event: &Event) {
        if let Ok(line) = serde_json::to_string(event) {
            let _ = writeln!(std::io::stderr().lock(), "{}", escape_json(&line));
        }
    }
}
