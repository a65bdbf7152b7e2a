//! What a host is asked.

use std::collections::{BTreeMap, BTreeSet};

use crate::host::error::HostError;
use crate::host::systemd::unit_name;
use crate::host::wire::{quote, relative, word};

/// What the observe script has to look at. Lists go over standard input, for they may be
/// long; variables are in its text.
#[derive(Default)]
pub(in crate::host) struct Question {
    /// By name: items by what they are about, as they are sent.
    lists: BTreeMap<&'static str, BTreeMap<String, String>>,
    variables: BTreeMap<&'static str, BTreeSet<String>>,
}

impl Question {
    /// Adds to a list of items that end in NUL.
    pub(in crate::host) fn add(&mut self, list: &'static str, item: String) {
        let sent = format!("{item}\0");
        self.lists.entry(list).or_default().insert(item, sent);
    }

    /// Adds to a list of lines `sha256 path`: the file is of interest if its hash is
    /// another one. Of two for one path the later one counts.
    pub(in crate::host) fn add_hash(&mut self, list: &'static str, path: String, sha256: &str) {
        let sent = format!("{sha256} {path}\n");
        self.lists.entry(list).or_default().insert(path, sent);
    }

    /// Adds a word to a variable.
    pub(in crate::host) fn add_word(&mut self, variable: &'static str, word: &str) {
        let words = self.variables.entry(variable).or_default();
        words.insert(word.to_owned());
    }

    /// A path as the scripts have it ([`relative`]), and the directories in which it lies.
    pub(in crate::host) fn add_path(&mut self, path: &str) {
        self.add("paths", path.to_owned());
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.add_directories(parent);
        }
    }

    /// A directory and those in which it lies. The `/.` asks for the directory behind a
    /// symbolic link.
    pub(in crate::host) fn add_directories(&mut self, path: &str) {
        let mut path = path;
        while path != "." {
            self.add("paths", format!("{path}/."));
            let Some((parent, _)) = path.rsplit_once('/') else {
                return;
            };
            path = parent;
        }
    }

    /// Whether a path is there, whatever it is.
    pub(in crate::host) fn add_presence(&mut self, path: &str) -> Result<(), HostError> {
        self.add("paths", relative(path)?);
        Ok(())
    }

    /// The state of units.
    pub(in crate::host) fn add_units(&mut self, names: &[String]) -> Result<(), HostError> {
        for name in names {
            self.add("units", unit_name(word("unit", name)?));
        }
        Ok(())
    }

    /// What is sent for one list.
    pub(in crate::host) fn list(&self, name: &str) -> String {
        let items = self.lists.get(name).into_iter().flat_map(BTreeMap::values);
        items.map(String::as_str).collect()
    }

    /// A variable as a line of shell.
    pub(in crate::host) fn variable(&self, name: &str) -> String {
        let words = self.variables.get(name).into_iter().flatten();
        let words: Vec<&str> = words.map(String::as_str).collect();
        format!("{name}={}\n", quote(&words.join(" ")))
    }
}
