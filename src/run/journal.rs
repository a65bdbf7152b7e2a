//! The journal of a run: one JSON object per line, each step before and after it is done.

use std::fs::{File, OpenOptions};
use std::io;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Mutex;

use serde::Serialize;
use text::terminal::escape_json;

use super::events::{Event, Sink};

/// Appends to `runs/<id>/journal.jsonl`.
///
/// Intents are on disk before a step begins, so that a killed run leaves a record of what
/// it was about to do.
#[derive(Debug)]
pub struct Journal {
    file: Mutex<File>,
}

/// A step that changes something.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step<'a> {
    /// The host, or `None` for the cluster's API and the workstation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<&'a str>,
    /// The phase.
    pub phase: &'a str,
    /// What it changes.
    pub what: &'a str,
}

#[derive(Serialize)]
struct Line<'a, T: Serialize> {
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(flatten)]
    what: &'a T,
}

impl Journal {
    /// Opens the journal of a run, 0600.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn create(run_dir: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(run_dir.join("journal.jsonl"))?;
        Ok(Journal {
            file: Mutex::new(file),
        })
    }

    /// Records that a step is about to begin. Returns once the record is on disk.
    ///
    /// # Errors
    /// Whatever the file system says; the step must not begin then.
    pub fn intent(&self, step: &Step<'_>) -> io::Result<()> {
        self.write(Some("intent"), step, true)
    }

    /// Records that a step is done.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn done(&self, step: &Step<'_>) -> io::Result<()> {
        self.write(Some("done"), step, false)
    }

    fn write<T: Serialize>(
        &self,
        state: Option<&'static str>,
        what: &T,
        sync: bool,
    ) -> io::Result<()> {
        let line = Line {
            time: jiff::Timestamp::now().to_string(),
            state,
            what,
        };
        // Journals are read on terminals, too.
        let text = format!("{}\n", escape_json(&serde_json::to_string(&line)?));
        // A poisoned lock means that a writer panicked between whole lines.
        let mut file = self
            .file
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        file.write_all(text.as_bytes())?;
        if sync { file.sync_data() } else { Ok(()) }
    }
}

impl Sink for Journal {
    fn take(&self, event: &Event) {
        if matches!(
            event,
            Event::HostProgress { .. } | Event::HostIdle { .. } | Event::Downloading { .. }
        ) {
            return;
        }
        if let Err(error) = self.write(None, event, false) {
            tracing::warn!(%error, "cannot write to the journal");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn intents_and_events_are_lines_of_json() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::create(dir.path()).unwrap();
        let step = Step {
            host: Some("cp1"),
            phase: "hosts",
            what: "3 changes",
        };
        journal.intent(&step).unwrap();
        journal.take(&Event::Note {
            text: "hello".into(),
        });
        journal.done(&step).unwrap();
        let text = std::fs::read_to_string(dir.path().join("journal.jsonl")).unwrap();
        let states: Vec<_> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .map(|line| {
                line["state"]
                    .as_str()
                    .or(line["event"].as_str())
                    .unwrap()
                    .to_owned()
            })
            .collect();
        assert_eq!(states, ["intent", "note", "done"]);
    }
}
