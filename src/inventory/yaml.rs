//! Reads YAML into a [`Node`], once, with all its faults.
//!
//! One document of YAML 1.2 (core schema: `no` is a string, `0644` a decimal
//! number), with anchors, aliases and the merge key `<<` of YAML 1.1, which
//! people expect. Everything that a hostile file could blow up is bounded.

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span as YamlSpan, StrInput, Tag};
use serde_json::Number;

use super::finding::{Finding, Severity};
use super::source::{Source, Span};
use super::tree::{Entry, Node, Value};

/// How deep collections may nest. The deepest legal inventory has about ten
/// levels outside free-form trees.
const MAX_DEPTH: usize = 64;

/// How many nodes a file may have once its aliases are expanded. Ten thousand
/// hosts, each listed with a dozen fields, have a fifth of this.
const MAX_NODES: usize = 1_000_000;

/// Reads the one document of `source`. Without a tree there is at least one
/// error among the findings.
pub(super) fn read(source: &Arc<Source>, findings: &mut Vec<Finding>) -> Option<Node> {
    let mut reader = Reader {
        source,
        findings,
        parser: Parser::new_from_str(source.text()),
        offsets: offsets(source.text()),
        anchors: HashMap::new(),
        nodes: 0,
    };
    reader.control_characters();
    match reader.document() {
        Ok(node) => node,
        Err(finding) => {
            reader.findings.push(*finding);
            None
        }
    }
}

/// Byte offset of each character, unless the two are the same.
fn offsets(text: &str) -> Option<Vec<usize>> {
    (!text.is_ascii()).then(|| text.char_indices().map(|(at, _)| at).collect())
}

/// A fault after which the rest can't be read.
type Fatal = Box<Finding>;

struct Reader<'a> {
    source: &'a Arc<Source>,
    findings: &'a mut Vec<Finding>,
    parser: Parser<'a, StrInput<'a>>,
    offsets: Option<Vec<usize>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    /// YAML has no place for raw control characters; the parser lets some pass.
    fn control_characters(&mut self) {
        let forbidden = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}');
        for (at, c) in self.source.text().char_indices() {
            if forbidden(c) {
                let message = format!("a control character, {}", c.escape_unicode());
                let finding = self.error(at..at + c.len_utf8(), message);
                self.findings.push(finding.help("delete it"));
            }
        }
    }

    fn document(&mut self) -> Result<Option<Node>, Fatal> {
        let empty = |reader: &Self| {
            let finding = reader.error(0..0, "the inventory is empty");
            finding.help("`clusterctl-rs init` writes one to start from")
        };
        loop {
            match self.next()?.0 {
                Event::DocumentStart(_) => break,
                Event::StreamEnd => return Err(empty(self).into()),
                _ => {}
            }
        }
        let (event, span) = self.next()?;
        let root = self.node(event, span, 0)?;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::DocumentStart(_) => {
                    let span = self.span(span);
                    let finding = self
                        .error(span, "a second document starts here")
                        .help("an inventory is one YAML document, one file describes one cluster");
                    self.findings.push(finding);
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

    fn next(&mut self) -> Result<(Event<'a>, YamlSpan), Fatal> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => {
                let at = self.offset(error.marker().index());
                let end = self.end_of_character(at);
                let (message, help) = explain(error.info());
                Err(self.error(at..end, message).help(help).into())
            }
            // The parser ends by `StreamEnd`, after which nobody asks.
            None => Ok((Event::StreamEnd, YamlSpan::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, span: YamlSpan, depth: usize) -> Result<Node, Fatal> {
        let span = self.span(span);
        self.count(1, &span)?;
        if depth > MAX_DEPTH {
            let message = format!("nested deeper than {MAX_DEPTH} levels");
            return Err(self.error(span, message).into());
        }
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = self.scalar(&text, style, tag.as_deref(), &span);
                (Node { span, value }, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), "seq", &span);
                (self.sequence(span, depth)?, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), "map", &span);
                (self.mapping(span, depth)?, anchor)
            }
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id).cloned() else {
                    let finding = self.error(span, "an alias within its own anchor");
                    return Err(finding.help("a value can't contain itself").into());
                };
                self.count(node.size(), &span)?;
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
            self.count(node.size(), &node.span)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn count(&mut self, nodes: usize, span: &Span) -> Result<(), Fatal> {
        self.nodes += nodes;
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        let message = format!("more than {MAX_NODES} values, aliases expanded");
        Err(self.error(span.clone(), message).into())
    }

    fn sequence(&mut self, start: Span, depth: usize) -> Result<Node, Fatal> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                let span = start.start..self.closing(span).max(start.end);
                let value = Value::Sequence(items);
                return Ok(Node { span, value });
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn mapping(&mut self, start: Span, depth: usize) -> Result<Node, Fatal> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen: HashMap<String, Span> = HashMap::new();
        let mut merged = Vec::new();
        let end = loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break self.closing(span);
            }
            let is_merge = matches!(
                &event,
                Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<"
            );
            let key = self.key(event, span, depth)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            let Some((key, key_span)) = key else {
                continue;
            };
            if is_merge {
                merged.push(value);
                continue;
            }
            if let Some(first) = seen.get(&key) {
                let finding = self
                    .error(key_span, format!("`{}` is given twice", shorten(&key)))
                    .label("again here")
                    .also(first.clone(), "first here")
                    .help("delete one of the two");
                self.findings.push(finding);
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
            self.merge(value, &mut entries, &mut seen);
        }
        Ok(Node {
            span: start.start..end.max(start.end),
            value: Value::Mapping(entries),
        })
    }

    /// The key's text, or nothing (and a finding) if it is no scalar.
    fn key(
        &mut self,
        event: Event<'a>,
        span: YamlSpan,
        depth: usize,
    ) -> Result<Option<(String, Span)>, Fatal> {
        if let Event::Scalar(text, style, 0, None) = &event
            && (*style != ScalarStyle::Plain || !text.is_empty())
        {
            self.count(1, &(0..0))?;
            return Ok(Some((text.to_string(), self.span(span))));
        }
        let node = self.node(event, span, depth + 1)?;
        if let Value::String(text) = node.value {
            return Ok(Some((text, node.span)));
        }
        let finding = self.error(node.span, "a key has to be a plain word or a quoted string");
        self.findings.push(finding);
        Ok(None)
    }

    /// `<<: *defaults`: adds what isn't there yet.
    fn merge(&mut self, value: Node, entries: &mut Vec<Entry>, seen: &mut HashMap<String, Span>) {
        match value.value {
            Value::Mapping(more) => {
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
                    self.merge(item, entries, seen);
                }
            }
            _ => {
                let finding = self
                    .error(value.span, "`<<` merges a mapping, or a list of mappings")
                    .help("write `<<: *name`, where `&name` marks a mapping further up");
                self.findings.push(finding);
            }
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: &Span) -> Value {
        let quoted = style != ScalarStyle::Plain;
        let string = || Value::String(text.to_owned());
        match tag {
            None if quoted => string(),
            None => plain(text),
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
        let message = format!("the tag `{}` means nothing here", shorten(&tag.to_string()));
        let finding = self
            .error(span.clone(), message)
            .help("leave it out; put a value in quotes to make it a string");
        self.findings.push(finding);
    }

    fn error(&self, span: Span, message: impl Into<String>) -> Finding {
        Finding::new(self.source, Severity::Error, span, message)
    }

    fn span(&self, span: YamlSpan) -> Span {
        let start = self.offset(span.start.index());
        let end = self.offset(span.end.index()).max(start);
        // A block scalar's span reaches past its last line break.
        let text = &self.source.text()[start..end];
        start..start + text.trim_end().len()
    }

    /// Where a collection ends. The parser counts the comment behind a bracket as
    /// the bracket's own.
    fn closing(&self, span: YamlSpan) -> usize {
        let span = self.span(span);
        match self.source.text()[span.start..].starts_with([']', '}']) {
            true => span.start + 1,
            false => span.end,
        }
    }

    fn offset(&self, character: usize) -> usize {
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

/// A plain scalar by the core schema of YAML 1.2.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    match number(text) {
        Some(number) => Value::Number(number),
        None => Value::String(text.to_owned()),
    }
}

/// Whether a plain scalar is a string.
pub(super) fn is_plain_string(text: &str) -> bool {
    matches!(plain(text), Value::String(_))
}

fn number(text: &str) -> Option<Number> {
    let radix = |digits: &str, radix| u64::from_str_radix(digits, radix).ok().map(Number::from);
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let starts_as_number = |s: &str| s.bytes().next().is_some_and(|b| b.is_ascii_digit());
    if !starts_as_number(unsigned) && !unsigned.strip_prefix('.').is_some_and(starts_as_number) {
        return None;
    }
    let text = text.strip_prefix('+').unwrap_or(text);
    if let Ok(integer) = text.parse::<i64>() {
        return Some(integer.into());
    }
    if let Ok(integer) = text.parse::<u64>() {
        return Some(integer.into());
    }
    text.parse::<f64>().ok().and_then(Number::from_f64)
}

/// What the parser says, in words that help somebody who wrote the file.
fn explain(info: &str) -> (String, &'static str) {
    const INDENT: &str = "compare the indentation with the lines above: fields of one mapping \
                          start in the same column, list items with `- `";
    let known: &[(&str, &str, &str)] = &[
        (
            "in quoted scalar",
            "a quote is opened here and never closed",
            "close it with the same kind of quote",
        ),
        (
            "tab",
            "a tab where YAML wants spaces",
            "indent with spaces only",
        ),
        (
            "mapping values are not allowed",
            "a second `:` on this line, or a field that is indented too far",
            "put a value that contains `: ` in quotes; give the fields of one mapping the same \
             indentation",
        ),
        (
            "did not find expected key",
            "this line belongs to no mapping",
            INDENT,
        ),
        (
            "did not find expected '-'",
            "a list goes on here without `- `",
            INDENT,
        ),
        ("invalid indentation", "the indentation is wrong", INDENT),
        (
            "simple key expect",
            "a field without its `:`",
            "write `name: value`, with a space after the colon",
        ),
        (
            "unknown anchor",
            "an alias to an anchor that doesn't exist",
            "`*name` repeats what `&name` marks further up; put a string that starts with `*` \
             in quotes",
        ),
        (
            "unexpected end of stream",
            "a quote is opened here and never closed",
            "close it with the same kind of quote",
        ),
        (
            "expected ',' or '}'",
            "expected `,` or `}`",
            "a mapping in braces is `{name: value, name: value}`",
        ),
        (
            "expected ',' or ']'",
            "expected `,` or `]`",
            "a list in brackets is `[value, value]`; put a value with brackets of its own in \
             quotes",
        ),
        (
            "unexpected character",
            "a value can't start with this character",
            "put the value in quotes",
        ),
        (
            "unknown escape character",
            "an unknown escape in double quotes",
            "use single quotes, where `\\` means itself",
        ),
        (
            "unprintable character",
            "a control character",
            "delete it, or write it as an escape in double quotes",
        ),
        ("recursion limit", "nested too deeply", ""),
    ];
    match known.iter().find(|(pattern, ..)| info.contains(pattern)) {
        Some((_, message, help)) => (format!("not valid YAML: {message}"), help),
        None => (format!("not valid YAML: {}", shorten(info)), ""),
    }
}

/// A piece of the file for use within a message, not endless.
pub(super) fn shorten(text: &str) -> String {
    const MAX: usize = 64;
    let mut short: String = text.chars().take(MAX).collect();
    if text.chars().nth(MAX).is_some() {
        short.push('…');
    }
    short
}
