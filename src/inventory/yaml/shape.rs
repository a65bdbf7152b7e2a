//! Checks a tree against a JSON Schema, and repairs what doesn't fit.
//!
//! Repairing is what lets one run report everything: an unknown field is dropped, a
//! value of the wrong type is replaced by a placeholder, and its path is added to
//! [`Shape::repaired`], so that later checks don't report the same mistake again.

use std::sync::Arc;

use serde_json::Value as Json;

use super::diagnostic::{Diagnostic, Level};
use super::json_schema::{alternatives, bounds, kind, required};
use super::known_fields::KnownFields;
use super::path::FieldPath;
use super::repaired::Repaired;
use super::source::{Source, Span, shorten};
use super::suggest::find_closest;
use super::tree::{Entry, Node, Value};
use super::words::{any_of, describe_field, describe_value, expected_kind, one_of, unquote_help};

/// How many fields a message lists.
const MAX_LISTED: usize = 12;

/// A tree that fits the schema.
pub(crate) struct Shape {
    /// The repaired tree.
    pub(crate) tree: Node,
    /// Where the file said something else, or nothing.
    pub(crate) repaired: Repaired,
}

/// Walks `tree` along `schema`; reports every misfit.
pub(crate) fn check_shape(
    source: &Arc<Source>,
    schema: &Json,
    tree: &Node,
    diagnostics: &mut Vec<Diagnostic>,
) -> Shape {
    let mut walker = Walker {
        source,
        schema,
        fields: KnownFields::from_schema(schema),
        diagnostics,
        repaired: Repaired::default(),
    };
    let place = Location {
        path: FieldPath::root(),
        key: None,
        field: &Json::Null,
    };
    let tree = walker.walk(tree, schema, &place).unwrap_or_else(|| {
        walker.repaired.insert(FieldPath::root());
        walker.new_placeholder(schema, tree.span.clone())
    });
    Shape {
        tree,
        repaired: walker.repaired,
    }
}

struct Walker<'a> {
    source: &'a Arc<Source>,
    schema: &'a Json,
    fields: KnownFields,
    diagnostics: &'a mut Vec<Diagnostic>,
    repaired: Repaired,
}

/// Where the walk is.
struct Location<'a> {
    path: FieldPath,
    key: Option<(&'a str, &'a Span)>,
    /// The field's schema, whose description makes good help.
    field: &'a Json,
}

impl<'a> Walker<'a> {
    /// The repaired node; nothing, after a diagnostic, if nothing is left of it.
    fn walk(&mut self, node: &Node, schema: &'a Json, place: &Location<'_>) -> Option<Node> {
        let schema = self.resolve_reference(schema);
        if let Some(alternatives) = alternatives(schema) {
            return self.walk_choice(node, alternatives, place);
        }
        match (kind(schema), &node.value) {
            (Some("object"), Value::Mapping(entries)) => {
                Some(self.walk_mapping(node, entries, schema, place))
            }
            (Some("array"), Value::Sequence(items)) => {
                Some(self.walk_sequence(node, items, schema, place))
            }
            (Some("string"), Value::String(text)) => match schema["format"].as_str() {
                Some("ip") if text.parse::<std::net::IpAddr>().is_err() => {
                    self.report_misfit(node, place, "an IP address");
                    None
                }
                _ => Some(node.clone()),
            },
            (Some("integer"), Value::Number(number)) => {
                let (least, most) = bounds(schema);
                match number.as_i64() {
                    Some(number) if (least..=most).contains(&number) => Some(node.clone()),
                    _ => {
                        let expected = match most {
                            i64::MAX => "an integer".to_owned(),
                            _ => format!("an integer from {least} to {most}"),
                        };
                        self.report_misfit(node, place, &expected);
                        None
                    }
                }
            }
            (Some("boolean"), Value::Bool(_)) | (None, _) => Some(node.clone()),
            (Some(kind), _) => {
                self.report_misfit(node, place, expected_kind(kind));
                None
            }
        }
    }

    fn walk_choice(
        &mut self,
        node: &Node,
        choices: &'a [Json],
        place: &Location<'_>,
    ) -> Option<Node> {
        let words: Vec<&str> = choices
            .iter()
            .filter_map(|choice| choice["const"].as_str())
            .collect();
        if words.len() == choices.len() {
            match &node.value {
                Value::String(text) if words.contains(&text.as_str()) => {
                    return Some(node.clone());
                }
                Value::String(text) => self.report_unknown_word(node, text, &words, place),
                _ => self.report_misfit(node, place, &one_of(&words)),
            }
            return None;
        }
        let kinds: Vec<&str> = choices.iter().filter_map(kind).collect();
        let fits = match &node.value {
            Value::Bool(_) => kinds.contains(&"boolean"),
            Value::Number(number) => kinds.contains(&"integer") && number.as_i64().is_some(),
            Value::String(_) => kinds.contains(&"string"),
            _ => false,
        };
        if !fits {
            self.report_misfit(node, place, &any_of(&kinds));
        }
        fits.then(|| node.clone())
    }

    fn report_unknown_word(
        &mut self,
        node: &Node,
        text: &str,
        words: &[&str],
        place: &Location<'_>,
    ) {
        let mut diagnostic = self.new_error(
            node.span.clone(),
            format!(
                "invalid value `{}` for {}",
                shorten(text),
                field_name(place)
            ),
        );
        if let Some(word) = find_closest(text, words.iter().copied()) {
            diagnostic = diagnostic.help(format!("did you mean `{word}`?"));
        }
        if words.len() > 1 || diagnostic.helps().is_empty() {
            diagnostic = diagnostic.help(format!("expected {}", one_of(words)));
        }
        self.diagnostics.push(diagnostic);
    }

    fn walk_sequence(
        &mut self,
        node: &Node,
        items: &[Node],
        schema: &'a Json,
        place: &Location<'_>,
    ) -> Node {
        let items_schema = &schema["items"];
        let items = items.iter().enumerate().map(|(index, item)| {
            let path = place.path.index(index);
            let place = Location {
                path: path.clone(),
                key: None,
                field: &Json::Null,
            };
            self.walk(item, items_schema, &place).unwrap_or_else(|| {
                self.repaired.insert(path);
                self.new_placeholder(items_schema, item.span.clone())
            })
        });
        Node {
            span: node.span.clone(),
            value: Value::Sequence(items.collect()),
        }
    }

    fn walk_mapping(
        &mut self,
        node: &Node,
        entries: &[Entry],
        schema: &'a Json,
        place: &Location<'_>,
    ) -> Node {
        let required = required(schema);
        let mut repaired: Vec<Entry> = entries
            .iter()
            .filter_map(|entry| self.walk_entry(entry, schema, &required, place))
            .collect();
        for name in required {
            if entries.iter().any(|entry| entry.key == name) {
                continue;
            }
            let key_span = self.report_missing_field(name, node, &schema["properties"], place);
            let value = self.new_placeholder(&schema["properties"][name], key_span.clone());
            self.repaired.insert(place.path.key(name));
            repaired.push(Entry {
                key: name.to_owned(),
                key_span,
                value,
            });
        }
        Node {
            span: node.span.clone(),
            value: Value::Mapping(repaired),
        }
    }

    /// The repaired entry; nothing, if it is left out or takes its default.
    fn walk_entry(
        &mut self,
        entry: &Entry,
        mapping: &'a Json,
        required: &[&str],
        place: &Location<'_>,
    ) -> Option<Entry> {
        let path = place.path.key(&entry.key);
        let known = mapping["properties"].get(&entry.key);
        let schema = match (known, &mapping["additionalProperties"]) {
            (Some(schema), _) => schema,
            (None, Json::Bool(false)) => {
                self.report_unknown_field(entry, &mapping["properties"], place);
                return None;
            }
            (None, more) => more,
        };
        let is_required = required.contains(&entry.key.as_str());
        let is_null = matches!(entry.value.value, Value::Null);
        // As in Kubernetes, an optional field that is null is not there.
        if is_null && known.is_some() && !is_required {
            return None;
        }
        let place = Location {
            path: path.clone(),
            key: Some((&entry.key, &entry.key_span)),
            field: schema,
        };
        let value = self.walk(&entry.value, schema, &place);
        // An optional field that doesn't fit is dropped and takes its default; a required
        // one needs a placeholder, or the types below could not be deserialized.
        if value.is_none() {
            self.repaired.insert(path);
        }
        let value = match value {
            Some(value) => value,
            None if is_required => self.new_placeholder(schema, entry.value.span.clone()),
            None => return None,
        };
        Some(Entry {
            key: entry.key.clone(),
            key_span: entry.key_span.clone(),
            value,
        })
    }

    fn report_unknown_field(&mut self, entry: &Entry, properties: &Json, place: &Location<'_>) {
        let inside = match place.path == FieldPath::root() {
            true => String::new(),
            false => format!(" in {}", field_name(place)),
        };
        let message = format!("unknown field `{}`{inside}", shorten(&entry.key));
        let mut diagnostic = self.new_error(entry.key_span.clone(), message);
        let names: Vec<&str> = properties.as_object().map_or_else(Vec::new, |properties| {
            properties.keys().map(String::as_str).collect()
        });
        if let Some(name) = find_closest(&entry.key, names.iter().copied()) {
            diagnostic = diagnostic.help(format!("did you mean `{name}`?"));
            // The value is in the file, only under another name: no check may report that
            // the right field is missing, or that its default doesn't fit.
            self.repaired.insert(place.path.key(name));
        } else if let Some(parents) = self.fields.find_parents(&entry.key, &place.path) {
            diagnostic = diagnostic.help(format!("`{}` belongs in {parents}", entry.key));
        } else if names.len() <= MAX_LISTED {
            diagnostic = diagnostic.help(format!("expected {}", one_of(&names)));
        } else {
            diagnostic = diagnostic.help("run `clusterctl-rs schema` for a list of all fields");
        }
        self.diagnostics.push(diagnostic);
    }

    fn report_missing_field(
        &mut self,
        name: &str,
        node: &Node,
        properties: &Json,
        place: &Location<'_>,
    ) -> Span {
        let span = node.label_span(place.key.map(|(_, span)| span));
        let inside = match place.path == FieldPath::root() {
            true => String::new(),
            false => format!(" in {}", field_name(place)),
        };
        let mut diagnostic =
            self.new_error(span.clone(), format!("missing field `{name}`{inside}"));
        if let Some(about) = properties.get(name).and_then(describe_field) {
            diagnostic = diagnostic.help(format!("`{name}`: {about}"));
        }
        self.diagnostics.push(diagnostic);
        span
    }

    fn report_misfit(&mut self, node: &Node, place: &Location<'_>, expected: &str) {
        let span = node.label_span(place.key.map(|(_, span)| span));
        let mut diagnostic = match &node.value {
            Value::Null => {
                let diagnostic =
                    self.new_error(span, format!("{} has no value", field_name(place)));
                diagnostic.label(format!("expected {expected}"))
            }
            value => {
                let message = format!("{} must be {expected}", field_name(place));
                let diagnostic = self.new_error(span, message);
                match describe_value(value) {
                    // Out of range, but what it should be.
                    kind if expected.starts_with(kind) => diagnostic,
                    kind => diagnostic.label(format!("found {kind}")),
                }
            }
        };
        let scalar = matches!(node.value, Value::Bool(_) | Value::Number(_));
        if scalar && expected.starts_with("a string") {
            let text = &self.source.shown()[node.span.clone()];
            diagnostic = diagnostic.help(format!("put it in quotes: \"{}\"", shorten(text)));
        } else if let Value::String(text) = &node.value
            && let Some(word) = unquote_help(text, expected)
        {
            diagnostic = diagnostic.help(word);
        }
        if let Some(((key, _), about)) = place.key.zip(describe_field(place.field)) {
            diagnostic = diagnostic.help(format!("`{}`: {about}", shorten(key)));
        }
        self.diagnostics.push(diagnostic);
    }

    fn new_error(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(self.source, Level::Error, span, message)
    }

    /// Follows `$ref`, and takes the other side of "or null".
    fn resolve_reference(&self, mut schema: &'a Json) -> &'a Json {
        loop {
            if let Some(name) = schema["$ref"].as_str() {
                let name = name.trim_start_matches("#/$defs/");
                schema = &self.schema["$defs"][name];
                continue;
            }
            let inner = schema["anyOf"].as_array().and_then(|choices| {
                let mut others = choices.iter().filter(|choice| choice["type"] != "null");
                let first = others.next()?;
                (others.next().is_none()).then_some(first)
            });
            match inner {
                Some(inner) => schema = inner,
                None => return schema,
            }
        }
    }

    /// The least value that fits a schema.
    fn new_placeholder(&self, schema: &'a Json, span: Span) -> Node {
        let schema = self.resolve_reference(schema);
        let value = match (alternatives(schema), kind(schema)) {
            (Some(choices), _) => match choices.first().and_then(|first| first["const"].as_str()) {
                Some(word) => Value::String(word.to_owned()),
                None => Value::String(String::new()),
            },
            (None, Some("object")) => Value::Mapping(
                required(schema)
                    .into_iter()
                    .map(|name| Entry {
                        key: name.to_owned(),
                        key_span: span.clone(),
                        value: self.new_placeholder(&schema["properties"][name], span.clone()),
                    })
                    .collect(),
            ),
            (None, Some("array")) => Value::Sequence(Vec::new()),
            (None, Some("boolean")) => Value::Bool(false),
            (None, Some("integer")) => Value::Number(bounds(schema).0.max(0).into()),
            (None, Some("string")) => Value::String(match schema["format"].as_str() {
                Some("ip") => "0.0.0.0".to_owned(),
                _ => String::new(),
            }),
            (None, _) => Value::Null,
        };
        Node { span, value }
    }
}

/// How messages call the field that the walk is at.
fn field_name(place: &Location<'_>) -> String {
    match place.path.to_string() {
        path if path.is_empty() => "the inventory".to_owned(),
        path => format!("`{}`", shorten(&path)),
    }
}
