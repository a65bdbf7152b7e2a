//! One thing that is wrong with an inventory, and how it is shown.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level as Title, Renderer, Snippet};
use text::terminal;

use super::source::{Source, Span};

/// Width at which long source lines are cut.
const WIDTH: usize = 120;

/// How bad a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Worth knowing; the inventory can be used.
    Warning,
    /// The inventory can't be used.
    Error,
}

/// One error or warning, with the places in the file that it is about.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    level: Level,
    message: String,
    /// The place to change; then those that it conflicts with.
    places: Vec<(Span, String)>,
    help: Vec<String>,
    source: Arc<Source>,
}

impl Diagnostic {
    /// Makes a diagnostic about one place.
    pub(crate) fn new(
        source: &Arc<Source>,
        level: Level,
        span: Span,
        message: impl Into<String>,
    ) -> Self {
        Diagnostic {
            level,
            message: escape(message),
            places: vec![(span, String::new())],
            help: Vec::new(),
            source: Arc::clone(source),
        }
    }

    /// Says at the place itself what is wrong with it.
    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.places[0].1 = escape(label);
        self
    }

    /// Adds a place that the first one conflicts with.
    pub(crate) fn also(mut self, span: Span, label: impl Into<String>) -> Self {
        self.places.push((span, escape(label)));
        self
    }

    /// Says what would be right.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        let help = escape(help);
        if !help.is_empty() {
            self.help.push(help);
        }
        self
    }

    /// How bad it is.
    pub(crate) fn level(&self) -> Level {
        self.level
    }

    /// What is wrong, in one line.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// What would be right.
    pub(super) fn helps(&self) -> &[String] {
        &self.help
    }

    /// Offset of the place to change.
    pub(super) fn start(&self) -> usize {
        self.places[0].0.start
    }

    /// Line and column (in characters), counted from 1.
    pub fn position(&self) -> (usize, usize) {
        self.source.position(self.places[0].0.start)
    }

    /// The whole message, as rustc would show it.
    pub fn render(&self, color: bool) -> String {
        let level = match self.level {
            Level::Warning => Title::WARNING,
            Level::Error => Title::ERROR,
        };
        let source = &self.source;
        let text = source.shown();
        // Only the lines in question: rendering all diagnostics of a large file
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
            group = group.element(Title::HELP.message(help.as_str()));
        }
        let renderer = match color {
            true => Renderer::styled(),
            false => Renderer::plain(),
        };
        renderer.term_width(WIDTH).render(&[group])
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// Messages quote values of the file, which may hold what would drive a terminal.
fn escape(text: impl Into<String>) -> String {
    let text = text.into();
    match terminal::escape(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(escaped) => escaped,
    }
}
