//! Everything that is wrong with one file.

use std::fmt;

use super::diagnostic::{Diagnostic, Level};

/// How many diagnostics a report shows in full, and how many more it lists with a
/// line each: who mistypes a field in one host out of a thousand has mistyped
/// it in all of them.
const SHOWN: usize = 20;
const LISTED: usize = 1000;

/// Everything that is wrong with one file.
#[derive(Debug)]
pub struct Diagnostics {
    name: String,
    diagnostics: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Sorts the diagnostics by their place in the file.
    pub(crate) fn new(name: &str, mut diagnostics: Vec<Diagnostic>) -> Self {
        diagnostics.sort_by_key(|diagnostic| diagnostic.start());
        Diagnostics {
            name: name.to_owned(),
            diagnostics,
        }
    }

    /// The diagnostics, warnings included, in the file's order.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// What is wrong, a line each.
    pub(crate) fn messages(&self) -> Vec<&str> {
        let messages = self.diagnostics.iter().map(Diagnostic::message);
        messages.collect()
    }

    /// The diagnostics alone.
    pub(crate) fn into_list(self) -> Vec<Diagnostic> {
        self.diagnostics
    }

    /// Every diagnostic in full and a summary.
    pub fn render(&self, color: bool) -> String {
        let mut text = String::new();
        for diagnostic in self.diagnostics.iter().take(SHOWN) {
            text.push_str(&diagnostic.render(color));
            text.push_str("\n\n");
        }
        let more = self.diagnostics.iter().skip(SHOWN);
        for diagnostic in more.clone().take(LISTED) {
            let (line, column) = diagnostic.position();
            let level = match diagnostic.level() {
                Level::Warning => "warning",
                Level::Error => "error",
            };
            let message = diagnostic.message();
            text.push_str(&format!(
                "{}:{line}:{column}: {level}: {message}\n",
                self.name
            ));
        }
        match more.count() {
            0 => {}
            more if more <= LISTED => text.push('\n'),
            more => text.push_str(&format!("… and {} more\n\n", more - LISTED)),
        }
        text.push_str(&self.summary());
        text
    }

    /// `2 errors and 1 warning in inventory.yaml`.
    pub fn summary(&self) -> String {
        let counts: Vec<String> = [(Level::Error, "error"), (Level::Warning, "warning")]
            .into_iter()
            .filter_map(|(level, name)| {
                let of_level = self.diagnostics.iter().filter(|one| one.level() == level);
                let count = of_level.count();
                (count > 0).then(|| text::count(count, name))
            })
            .collect();
        format!("{} in {}", counts.join(" and "), self.name)
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}
