//! What is wrong with an inventory, and how it is shown.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::source::{Source, Span};

/// How many findings a report shows in full, and how many more it lists with a
/// line each: who mistypes a field in one host out of a thousand has mistyped
/// it in all of them.
const SHOWN: usize = 20;
const LISTED: usize = 1000;

/// Width that messages are laid out for where a line has to be cut.
const WIDTH: usize = 120;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; the inventory can be used.
    Warning,
    /// The inventory can't be used.
    Error,
}

/// One fault, or one doubt, with the places in the file that it is about.
#[derive(Debug, Clone)]
pub struct Finding {
    severity: Severity,
    message: String,
    /// The place to change; then those that it conflicts with.
    places: Vec<(Span, String)>,
    help: Vec<String>,
    source: Arc<Source>,
}

impl Finding {
    /// Makes a finding about one place.
    pub(super) fn new(
        source: &Arc<Source>,
        severity: Severity,
        span: Span,
        message: impl Into<String>,
    ) -> Self {
        Finding {
            severity,
            message: harmless(message),
            places: vec![(span, String::new())],
            help: Vec::new(),
            source: Arc::clone(source),
        }
    }

    /// Says at the place itself what is wrong with it.
    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.places[0].1 = harmless(label);
        self
    }

    /// Adds a place that the first one conflicts with.
    pub(super) fn also(mut self, span: Span, label: impl Into<String>) -> Self {
        self.places.push((span, harmless(label)));
        self
    }

    /// Says what would be right.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        let help = harmless(help);
        if !help.is_empty() {
            self.help.push(help);
        }
        self
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// What is wrong, in one line.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What would be right.
    pub fn helps(&self) -> &[String] {
        &self.help
    }

    /// Line and column (in characters), counted from 1.
    pub fn position(&self) -> (usize, usize) {
        self.source.position(self.places[0].0.start)
    }

    /// The whole message, as rustc would show it.
    pub fn render(&self, color: bool) -> String {
        let level = match self.severity {
            Severity::Warning => Level::WARNING,
            Severity::Error => Level::ERROR,
        };
        let source = &self.source;
        let text = source.shown();
        // Only the lines in question: rendering all findings of a large file
        // would otherwise scan all of it for each.
        let line = |offset| source.position(offset).0;
        let first = self.places.iter().map(|(span, _)| line(span.start)).min();
        let last = self.places.iter().map(|(span, _)| line(span.end)).max();
        let (first, last) = (first.unwrap_or(1), last.unwrap_or(1));
        let base = source.line_start(first);
        let window = &text[base..source.line_end(last)];
        let mut snippet = Snippet::source(window)
            .path(source.name())
            .line_start(first);
        for (index, (span, label)) in self.places.iter().enumerate() {
            let kind = match index {
                0 => AnnotationKind::Primary,
                _ => AnnotationKind::Context,
            };
            let start = span.start.clamp(base, base + window.len());
            let end = span.end.clamp(start, base + window.len());
            let annotation = kind.span(start - base..end - base);
            snippet = snippet.annotation(match label.is_empty() {
                true => annotation,
                false => annotation.label(label.as_str()),
            });
        }
        let mut group: Group<'_> = level.primary_title(self.message.as_str()).element(snippet);
        for help in &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = match color {
            true => Renderer::styled(),
            false => Renderer::plain(),
        };
        renderer.term_width(WIDTH).render(&[group])
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// Messages quote values, and a value may hold what would drive a terminal.
fn harmless(text: impl Into<String>) -> String {
    let text = text.into();
    if !text.contains(char::is_control) {
        return text;
    }
    let escape = |c: char| match c.is_control() {
        true => c.escape_debug().to_string(),
        false => c.to_string(),
    };
    text.chars().map(escape).collect()
}

/// Everything that is wrong with one file.
#[derive(Debug)]
pub struct Report {
    name: String,
    findings: Vec<Finding>,
}

impl Report {
    /// Sorts the findings by their place in the file.
    pub(super) fn new(name: &str, mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| finding.places[0].0.start);
        Report {
            name: name.to_owned(),
            findings,
        }
    }

    /// The findings, warnings included, in the file's order.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The findings alone.
    pub(super) fn into_findings(self) -> Vec<Finding> {
        self.findings
    }

    /// Every finding in full and a summary.
    pub fn render(&self, color: bool) -> String {
        let mut text = String::new();
        for finding in self.findings.iter().take(SHOWN) {
            text.push_str(&finding.render(color));
            text.push_str("\n\n");
        }
        let more = self.findings.iter().skip(SHOWN);
        for finding in more.clone().take(LISTED) {
            let (line, column) = finding.position();
            let severity = match finding.severity {
                Severity::Warning => "warning",
                Severity::Error => "error",
            };
            let message = &finding.message;
            text.push_str(&format!(
                "{}:{line}:{column}: {severity}: {message}\n",
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
        let count = |severity, one: &str| {
            let count = self
                .findings
                .iter()
                .filter(|finding| finding.severity == severity)
                .count();
            match count {
                0 => None,
                1 => Some(format!("1 {one}")),
                _ => Some(format!("{count} {one}s")),
            }
        };
        let counts: Vec<String> = [
            count(Severity::Error, "error"),
            count(Severity::Warning, "warning"),
        ]
        .into_iter()
        .flatten()
        .collect();
        format!("{} in {}", counts.join(" and "), self.name)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// Why there is no cluster.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// The file can't be read at all.
    #[error("cannot read the inventory {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// The file was read; these are its faults.
    #[error("{0}")]
    Invalid(Report),
}

impl InventoryError {
    /// The whole text, with every fault of the file.
    pub fn render(&self, color: bool) -> String {
        match self {
            InventoryError::Unreadable { .. } => self.to_string(),
            InventoryError::Invalid(report) => report.render(color),
        }
    }

    /// What to do next, where the message itself doesn't say so.
    pub fn hint(&self) -> Option<String> {
        match self {
            InventoryError::Unreadable { hint, .. } => hint.clone(),
            InventoryError::Invalid(_) => None,
        }
    }
}
