//! The probe's answer, taken to pieces once for everything that is read from it.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use super::small_files::Files;
use crate::host::error::HostError;
use crate::host::systemd::{UnitState, parse_units};
use crate::host::wire::Sections;

/// The probe's answer, taken to pieces.
pub(super) struct Answer<'a> {
    pub(super) sections: Sections<'a>,
    pub(super) files: Files,
    /// Paths that exist, out of those that were asked for.
    pub(super) present: BTreeSet<String>,
    /// Commands in PATH, out of those that were asked for.
    pub(super) commands: BTreeSet<String>,
    pub(super) units: BTreeMap<String, UnitState>,
    machine: Vec<String>,
    slow: Vec<String>,
}

impl<'a> Answer<'a> {
    /// Takes an answer to pieces.
    ///
    /// # Errors
    ///
    /// An answer that isn't one, or that was cut off.
    pub(super) fn parse(raw: &'a [u8]) -> Result<Self, HostError> {
        let sections = Sections::parse(raw, "gather")?;
        Ok(Answer {
            files: Files::from_sections(&sections),
            present: absolute_paths(&sections, "present"),
            commands: sections.text("commands").into_iter().collect(),
            units: parse_units(&sections.text("units")),
            machine: sections.text("machine"),
            slow: sections.text("slow"),
            sections,
        })
    }

    /// Line `index` of what describes the machine; empty if it is missing.
    pub(super) fn machine_line(&self, index: usize) -> &str {
        self.machine.get(index).map_or("", |line| line.trim())
    }

    /// The same as a number; 0 if it isn't one.
    pub(super) fn machine_number<T: FromStr + Default>(&self, index: usize) -> T {
        self.machine_line(index).parse().unwrap_or_default()
    }

    /// What one of the slow commands said, line by line.
    pub(super) fn said_by(&self, who: &str) -> Vec<&str> {
        self.slow
            .iter()
            .filter_map(|line| line.strip_prefix(who)?.strip_prefix(' '))
            .collect()
    }

    /// A field of the section about the cluster that the host has joined.
    pub(super) fn joined_field(&self, name: &str) -> Option<String> {
        let lines = self.sections.text("joined");
        lines
            .iter()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
            .map(str::to_owned)
    }

    /// A section that is one number; 0 if it isn't.
    pub(super) fn time(&self, section: &str) -> i128 {
        let lines = self.sections.text(section);
        let first = lines.first().and_then(|line| line.parse().ok());
        first.unwrap_or(0)
    }
}

/// Paths of a section, which has them relative to the root directory.
pub(super) fn absolute_paths(sections: &Sections<'_>, name: &str) -> BTreeSet<String> {
    let absolute = |line: String| line.strip_prefix('.').map(str::to_owned).unwrap_or(line);
    sections.text(name).into_iter().map(absolute).collect()
}
