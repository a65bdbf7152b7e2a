//! Parses YAML into a tree of [`Node`]s, and reports everything that is wrong with it.
//!
//! One document of YAML 1.2 (core schema: `no` is a string, `0644` a decimal
//! number), with anchors, aliases and the merge key `<<` of YAML 1.1, which
//! people expect. Whatever a hostile file could blow up is bounded.

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span as YamlSpan, StrInput, Tag};

use super::diagnostic::{Diagnostic, Level};
use super::explain::explain_parse_error;
use super::scalar::resolve_plain_scalar;
use super::source::{Source, Span, shorten};
use super::tree::{Entry, Node, Value};

/// How deep collections may nest. The deepest legal inventory has about ten
/// levels outside free-form trees.
const MAX_DEPTH: usize = 64;

/// How many nodes a file may have once its aliases are expanded. Ten thousand
/// hosts, each listed with a dozen fields, have a fifth of this.
const MAX_NODES: usize = 1_000_000;

/// Reads the one document of `source`. Without a tree there is at least one
/// error among the diagnostics.
pub(crate) fn parse_document(
    source: &Arc<Source>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Node> {
    let mut reader = Reader {
        source,
        diagnostics,
        parser: Parser::new_from_str(source.text()),
        offsets: character_offsets(source.text()),
        anchors: HashMap::new(),
        nodes: 0,
    };
    reader.check_control_characters();
    match reader.read_document() {
        Ok(node) => node,
        Err(diagnostic) => {
            reader.diagnostics.push(*diagnostic);
            None
        }
    }
}

/// Byte offset of each character, unless the two are the same.
fn character_offsets(text: &str) -> Option<Vec<usize>> {
    (!text.is_ascii()).then(|| text.char_indices().map(|(at, _)| at).collect())
}

/// An error after which the rest can't be parsed.
type Fatal = Box<Diagnostic>;

struct Reader<'a> {
    source: &'a Arc<Source>,
    diagnostics: &'a mut Vec<Diagnostic>,
    parser: Parser<'a, StrInput<'a>>,
    offsets: Option<Vec<usize>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    /// YAML has no place for raw control characters; the parser lets some pass.
    fn check_control_characters(&mut self) {
        let forbidden = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}');
        for (at, c) in self.source.text().char_indices() {
            if forbidden(c) {
                let message = format!("unexpected control character {}", c.escape_unicode());
                let diagnostic = self.new_error(at..at + c.len_utf8(), message);
                self.diagnostics.push(diagnostic.help("remove it"));
            }
        }
    }

    fn read_document(&mut self) -> Result<Option<Node>, Fatal> {
        let empty = |reader: &Self| {
            let diagnostic = reader.new_error(0..0, "the inventory is empty");
            diagnostic.help("run `clusterctl-rs init` to create one to start from")
        };
        loop {
            match self.next_event()?.0 {
                Event::DocumentStart(_) => break,
                Event::StreamEnd => return Err(empty(self).into()),
                _ => {}
            }
        }
        let (event, span) = self.next_event()?;
        let root = self.read_node(event, span, 0)?;
        loop {
            let (event, span) = self.next_event()?;
            match event {
                Event::DocumentStart(_) => {
                    let span = self.byte_span(span);
                    let diagnostic = self
                        .new_error(span, "unexpected second YAML document")
                        .help("an inventory is a single YAML document that describes one cluster");
                    self.diagnostics.push(diagnostic);
                    break;
                }
                Event::StreamEnd => break,
                _ => {}
            }
        }
        match root.value {
            Value::Null => Err(empty(self).into()),
            _ => Ok(Some(root)),
        }
    }

    fn next_event(&mut self) -> Result<(Event<'a>, YamlSpan), Fatal> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => {
                let at = self.byte_offset(error.marker().index());
                let end = self.end_of_character(at);
                let (message, help) = explain_parse_error(error.info());
                Err(self.new_error(at..end, message).help(help).into())
            }
            // The parser ends by `StreamEnd`, after which there is no further call.
            None => Ok((Event::StreamEnd, YamlSpan::default())),
        }
    }

    fn read_node(&mut self, event: Event<'a>, span: YamlSpan, depth: usize) -> Result<Node, Fatal> {
        let span = self.byte_span(span);
        self.count_nodes(1, &span)?;
        if depth > MAX_DEPTH {
            let message = format!("nested more than {MAX_DEPTH} levels deep");
            return Err(self.new_error(span, message).into());
        }
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = self.read_scalar(&text, style, tag.as_deref(), &span);
                (Node { span, value }, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), "seq", &span);
                (self.read_sequence(span, depth)?, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), "map", &span);
                (self.read_mapping(span, depth)?, anchor)
            }
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id).cloned() else {
                    let diagnostic = self.new_error(span, "alias inside its own anchor");
                    return Err(diagnostic.help("a value can't contain itself").into());
                };
                self.count_nodes(node.count_nodes(), &span)?;
                (node, 0)
            }
            _ => (
                Node {
                    span,
                    value: Value::Null,
                },
                0,
            ),
        };
        if anchor != 0 {
            // An anchor keeps a copy, which costs as much as an alias does.
            self.count_nodes(node.count_nodes(), &node.span)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn count_nodes(&mut self, nodes: usize, span: &Span) -> Result<(), Fatal> {
        self.nodes += nodes;
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        let message = format!("too many values: more than {MAX_NODES} once aliases are expanded");
        Err(self.new_error(span.clone(), message).into())
    }

    fn read_sequence(&mut self, start: Span, depth: usize) -> Result<Node, Fatal> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next_event()?;
            if event == Event::SequenceEnd {
                let span = start.start..self.find_end(span).max(start.end);
                let value = Value::Sequence(items);
                return Ok(Node { span, value });
            }
            items.push(self.read_node(event, span, depth + 1)?);
        }
    }

    fn read_mapping(&mut self, start: Span, depth: usize) -> Result<Node, Fatal> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen: HashMap<String, Span> = HashMap::new();
        let mut merged = Vec::new();
        let end = loop {
            let (event, span) = self.next_event()?;
            if event == Event::MappingEnd {
                break self.find_end(span);
            }
            let is_merge = matches!(
                &event,
                Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<"
            );
            let key = self.read_key(event, span, depth)?;
            let (event, span) = self.next_event()?;
            let value = self.read_node(event, span, depth + 1)?;
            let Some((key, key_span)) = key else {
                continue;
            };
            if is_merge {
                merged.push(value);
                continue;
            }
            if let Some(first) = seen.get(&key) {
                let diagnostic = self
                    .new_error(key_span, format!("duplicate field `{}`", shorten(&key)))
                    .label("set again here")
                    .also(first.clone(), "first set here")
                    .help("remove one of the two");
                self.diagnostics.push(diagnostic);
                continue;
            }
            seen.insert(key.clone(), key_span.clone());
            entries.push(Entry {
                key,
                key_span,
                value,
            });
        };
        for value in merged {
            self.merge_into(value, &mut entries, &mut seen);
        }
        Ok(Node {
            span: start.start..end.max(start.end),
            value: Value::Mapping(entries),
        })
    }

    /// The key's text, or nothing (and a diagnostic) if it is no scalar.
    fn read_key(
        &mut self,
        event: Event<'a>,
        span: YamlSpan,
        depth: usize,
    ) -> Result<Option<(String, Span)>, Fatal> {
        if let Event::Scalar(text, style, 0, None) = &event
            && (*style != ScalarStyle::Plain || !text.is_empty())
        {
            self.count_nodes(1, &(0..0))?;
            return Ok(Some((text.to_string(), self.byte_span(span))));
        }
        let node = self.read_node(event, span, depth + 1)?;
        if let Value::String(text) = node.value {
            return Ok(Some((text, node.span)));
        }
        let diagnostic = self.new_error(node.span, "a key must be a string");
        self.diagnostics.push(diagnostic);
        Ok(None)
    }

    /// `<<: *defaults`: adds what isn't there yet.
    fn merge_into(
        &mut self,
        value: Node,
        entries: &mut Vec<Entry>,
        seen: &mut HashMap<String, Span>,
    ) {
        match value.value {
            Value::Mapping(more) => {
                // What the mapping has itself takes precedence, wherever `<<` is in it; of
                // several merged mappings, the first one does. So says YAML 1.1.
                for entry in more {
                    if !seen.contains_key(&entry.key) {
                        seen.insert(entry.key.clone(), entry.key_span.clone());
                        entries.push(entry);
                    }
                }
            }
            Value::Sequence(items)
                if items
                    .iter()
                    .all(|item| matches!(item.value, Value::Mapping(_))) =>
            {
                for item in items {
                    self.merge_into(item, entries, seen);
                }
            }
            _ => {
                let diagnostic = self
                    .new_error(value.span, "`<<` needs a mapping or a list of mappings")
                    .help("write `<<: *name`, where `&name` marks a mapping above");
                self.diagnostics.push(diagnostic);
            }
        }
    }

    fn read_scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        span: &Span,
    ) -> Value {
        let quoted = style != ScalarStyle::Plain;
        let string = || Value::String(text.to_owned());
        match tag {
            None if quoted => string(),
            None => resolve_plain_scalar(text),
            Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => string(),
            Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => string(),
            Some(tag) => {
                self.refuse_tag(tag, span);
                string()
            }
        }
    }

    fn check_tag(&mut self, tag: Option<&Tag>, own: &str, span: &Span) {
        if let Some(tag) = tag
            && !(tag.is_yaml_core_schema() && tag.suffix == own)
        {
            self.refuse_tag(tag, span);
        }
    }

    fn refuse_tag(&mut self, tag: &Tag, span: &Span) {
        let message = format!("unsupported tag `{}`", shorten(&tag.to_string()));
        let diagnostic = self
            .new_error(span.clone(), message)
            .help("remove it; to make a value a string, put it in quotes");
        self.diagnostics.push(diagnostic);
    }

    fn new_error(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(self.source, Level::Error, span, message)
    }

    fn byte_span(&self, span: YamlSpan) -> Span {
        let start = self.byte_offset(span.start.index());
        let end = self.byte_offset(span.end.index()).max(start);
        // A block scalar's span reaches past its last line break.
        let text = &self.source.text()[start..end];
        start..start + text.trim_end().len()
    }

    /// Where a collection ends. The parser counts the comment after a bracket as
    /// the bracket's own.
    fn find_end(&self, span: YamlSpan) -> usize {
        let span = self.byte_span(span);
        match self.source.text()[span.start..].starts_with([']', '}']) {
            true => span.start + 1,
            false => span.end,
        }
    }

    fn byte_offset(&self, character: usize) -> usize {
        let end = self.source.text().len();
        match &self.offsets {
            None => character.min(end),
            Some(offsets) => offsets.get(character).copied().unwrap_or(end),
        }
    }

    fn end_of_character(&self, at: usize) -> usize {
        let next = self.source.text()[at..].chars().next();
        at + next.filter(|c| !c.is_control()).map_or(0, char::len_utf8)
    }
}
