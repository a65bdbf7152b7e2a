//! Checks a tree against the JSON Schema and mends what is wrong.
//!
//! Mending is what lets one run report everything: an unknown field is dropped,
//! a value of the wrong type gives way to a placeholder, and its place goes
//! into a list of [`Shape::mended`] paths, so that what later checks find there
//! isn't held against the operator a second time.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::finding::{Finding, Severity};
use super::mended::Mended;
use super::schema::{alternatives, bounds, kind, required};
use super::source::{Source, Span};
use super::suggest::{Fields, closest};
use super::tree::{Entry, Node, Path, Value};
use super::yaml::shorten;

/// How many fields a message lists.
const MAX_LISTED: usize = 12;

/// A tree that fits the schema.
pub(super) struct Shape {
    /// The mended tree.
    pub(super) tree: Node,
    /// Where the file said something else, or nothing.
    pub(super) mended: Mended,
}

/// Walks `tree` along `schema`; reports every misfit.
pub(super) fn check(
    source: &Arc<Source>,
    schema: &Json,
    tree: &Node,
    findings: &mut Vec<Finding>,
) -> Shape {
    let mut walker = Walker {
        source,
        schema,
        fields: Fields::of(schema),
        findings,
        mended: Mended::default(),
    };
    let place = Place {
        path: Path::root(),
        key: None,
        about: "",
    };
    let tree = walker.walk(tree, schema, &place).unwrap_or_else(|| {
        walker.mended.insert(Path::root());
        walker.placeholder(schema, tree.span.clone())
    });
    Shape {
        tree,
        mended: walker.mended,
    }
}

struct Walker<'a> {
    source: &'a Arc<Source>,
    schema: &'a Json,
    fields: Fields,
    findings: &'a mut Vec<Finding>,
    mended: Mended,
}

/// Where the walk is.
struct Place<'a> {
    path: Path,
    key: Option<(&'a str, &'a Span)>,
    /// The field's description, whose first paragraph makes good help.
    about: &'a str,
}

impl<'a> Walker<'a> {
    /// The mended node; nothing, after a finding, if nothing is left of it.
    fn walk(&mut self, node: &Node, schema: &'a Json, place: &Place<'_>) -> Option<Node> {
        let schema = self.resolve(schema);
        if let Some(alternatives) = alternatives(schema) {
            return self.one_of(node, alternatives, place);
        }
        match (kind(schema), &node.value) {
            (Some("object"), Value::Mapping(entries)) => {
                Some(self.mapping(node, entries, schema, place))
            }
            (Some("array"), Value::Sequence(items)) => {
                Some(self.sequence(node, items, schema, place))
            }
            (Some("string"), Value::String(text)) => match schema["format"].as_str() {
                Some("ip") if text.parse::<std::net::IpAddr>().is_err() => {
                    self.misfit(node, place, "an IP address");
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
                        self.misfit(node, place, &expected);
                        None
                    }
                }
            }
            (Some("boolean"), Value::Bool(_)) | (None, _) => Some(node.clone()),
            (Some(kind), _) => {
                self.misfit(node, place, expected(kind));
                None
            }
        }
    }

    fn one_of(&mut self, node: &Node, choices: &'a [Json], place: &Place<'_>) -> Option<Node> {
        let words: Vec<&str> = choices
            .iter()
            .filter_map(|choice| choice["const"].as_str())
            .collect();
        if words.len() == choices.len() {
            match &node.value {
                Value::String(text) if words.contains(&text.as_str()) => {
                    return Some(node.clone());
                }
                Value::String(text) => self.unknown_word(node, text, &words, place),
                _ => self.misfit(node, place, &one_of(&words)),
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
            self.misfit(node, place, &any_of(&kinds));
        }
        fits.then(|| node.clone())
    }

    fn unknown_word(&mut self, node: &Node, text: &str, words: &[&str], place: &Place<'_>) {
        let mut finding = self.error(
            node.span.clone(),
            format!("{} can't be `{}`", field(place), shorten(text)),
        );
        if let Some(word) = closest(text, words.iter().copied()) {
            finding = finding.help(format!("did you mean `{word}`?"));
        }
        let list = words.iter().map(|word| format!("`{word}`"));
        let list: Vec<String> = list.collect();
        if words.len() > 1 || finding.helps().is_empty() {
            finding = finding.help(format!("it can be {}", list.join(", ")));
        }
        self.findings.push(finding);
    }

    fn sequence(
        &mut self,
        node: &Node,
        items: &[Node],
        schema: &'a Json,
        place: &Place<'_>,
    ) -> Node {
        let items_schema = &schema["items"];
        let items = items.iter().enumerate().map(|(index, item)| {
            let path = place.path.index(index);
            let place = Place {
                path: path.clone(),
                key: None,
                about: "",
            };
            self.walk(item, items_schema, &place).unwrap_or_else(|| {
                self.mended.insert(path);
                self.placeholder(items_schema, item.span.clone())
            })
        });
        Node {
            span: node.span.clone(),
            value: Value::Sequence(items.collect()),
        }
    }

    fn mapping(
        &mut self,
        node: &Node,
        entries: &[Entry],
        schema: &'a Json,
        place: &Place<'_>,
    ) -> Node {
        let none = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&none);
        let required = required(schema);
        let more = &schema["additionalProperties"];
        let mut mended = Vec::new();
        for entry in entries {
            let path = place.path.key(&entry.key);
            let known = schema["properties"].get(&entry.key);
            let schema = match (known, more) {
                (Some(schema), _) => schema,
                (None, Json::Bool(false)) => {
                    self.unknown_field(entry, properties, place);
                    continue;
                }
                (None, more) => more,
            };
            let place = Place {
                path: path.clone(),
                key: Some((&entry.key, &entry.key_span)),
                about: schema["description"].as_str().unwrap_or_default(),
            };
            let is_null = matches!(entry.value.value, Value::Null);
            // As in Kubernetes, an optional field that is null is not there.
            if is_null && known.is_some() && !required.contains(&entry.key.as_str()) {
                continue;
            }
            let value = self.walk(&entry.value, schema, &place);
            if value.is_none() {
                self.mended.insert(path);
            }
            // What is mended away and needn't be there takes its default.
            let value = match value {
                None if !required.contains(&entry.key.as_str()) => continue,
                None => self.placeholder(schema, entry.value.span.clone()),
                Some(value) => value,
            };
            mended.push(Entry {
                key: entry.key.clone(),
                key_span: entry.key_span.clone(),
                value,
            });
        }
        for name in required {
            if entries.iter().any(|entry| entry.key == name) {
                continue;
            }
            let key_span = self.missing_field(name, node, properties, place);
            let value = self.placeholder(&schema["properties"][name], key_span.clone());
            self.mended.insert(place.path.key(name));
            mended.push(Entry {
                key: name.to_owned(),
                key_span,
                value,
            });
        }
        Node {
            span: node.span.clone(),
            value: Value::Mapping(mended),
        }
    }

    fn unknown_field(&mut self, entry: &Entry, properties: &Map<String, Json>, place: &Place<'_>) {
        let inside = field(place);
        let message = format!("{inside} has no field `{}`", shorten(&entry.key));
        let mut finding = self.error(entry.key_span.clone(), message);
        let known = properties.keys().map(String::as_str);
        if let Some(name) = closest(&entry.key, known) {
            finding = finding.help(format!("did you mean `{name}`?"));
            self.mended.insert(place.path.key(name));
        } else if let Some(parents) = self.fields.parents_of(&entry.key, &place.path) {
            finding = finding.help(format!("`{}` belongs in {parents}", entry.key));
        } else if properties.len() <= MAX_LISTED {
            let names: Vec<String> = properties.keys().map(|name| format!("`{name}`")).collect();
            finding = finding.help(format!("its fields are {}", names.join(", ")));
        } else {
            finding = finding.help("`clusterctl-rs schema` shows every field");
        }
        self.findings.push(finding);
    }

    fn missing_field(
        &mut self,
        name: &str,
        node: &Node,
        properties: &Map<String, Json>,
        place: &Place<'_>,
    ) -> Span {
        let span = node.handle(place.key.map(|(_, span)| span));
        let inside = field(place);
        let about = properties
            .get(name)
            .and_then(|schema| schema["description"].as_str())
            .unwrap_or_default();
        let finding = self
            .error(span.clone(), format!("{inside} lacks the field `{name}`"))
            .help(format!("`{name}`: {}", first_paragraph(about)));
        self.findings.push(finding);
        span
    }

    fn misfit(&mut self, node: &Node, place: &Place<'_>, expected: &str) {
        let span = node.handle(place.key.map(|(_, span)| span));
        let mut finding = match &node.value {
            Value::Null => {
                let finding = self.error(span, format!("{} has no value", field(place)));
                finding.label(format!("expected {expected}"))
            }
            value => {
                let message = format!("{} is not {expected}", field(place));
                let finding = self.error(span, message);
                match describe(value) {
                    // Out of range, but what it should be.
                    kind if expected.starts_with(kind) => finding,
                    kind => finding.label(format!("this is {kind}")),
                }
            }
        };
        let scalar = matches!(node.value, Value::Bool(_) | Value::Number(_));
        if scalar && expected.starts_with("a string") {
            let text = &self.source.shown()[node.span.clone()];
            finding = finding.help(format!("write it in quotes: \"{}\"", shorten(text)));
        } else if let Value::String(text) = &node.value
            && let Some(word) = unquoted(text, expected)
        {
            finding = finding.help(format!("write {word}"));
        }
        if let Some((key, _)) = place.key.filter(|_| !place.about.is_empty()) {
            let about = first_paragraph(place.about);
            finding = finding.help(format!("`{}`: {about}", shorten(key)));
        }
        self.findings.push(finding);
    }

    fn error(&self, span: Span, message: impl Into<String>) -> Finding {
        Finding::new(self.source, Severity::Error, span, message)
    }

    /// Follows `$ref`, and takes the other side of "or null".
    fn resolve(&self, mut schema: &'a Json) -> &'a Json {
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
    fn placeholder(&self, schema: &'a Json, span: Span) -> Node {
        let schema = self.resolve(schema);
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
                        value: self.placeholder(&schema["properties"][name], span.clone()),
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

fn expected(kind: &str) -> &str {
    match kind {
        "object" => "a mapping",
        "array" => "a list",
        "string" => "a string",
        "integer" => "an integer",
        "boolean" => "`true` or `false`",
        other => other,
    }
}

fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a decimal number",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Sequence(_) => "a list",
        Value::Mapping(_) => "a mapping",
    }
}

/// The word without quotes that a string should have been.
fn unquoted(text: &str, expected: &str) -> Option<String> {
    if expected.starts_with("an integer") && text.parse::<i64>().is_ok() {
        return Some(format!("{text} without quotes"));
    }
    if expected.starts_with("`true`") {
        return match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => Some("true".to_owned()),
            "false" | "no" | "off" | "n" => Some("false".to_owned()),
            _ => None,
        };
    }
    None
}

fn one_of(words: &[&str]) -> String {
    match words {
        [word] => format!("`{word}`"),
        _ => {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            format!("one of {}", words.join(", "))
        }
    }
}

fn any_of(kinds: &[&str]) -> String {
    let words = kinds.iter().map(|kind| match *kind {
        "boolean" => "a boolean",
        kind => expected(kind),
    });
    let words: Vec<&str> = words.collect();
    match words.split_last() {
        Some((last, others)) if !others.is_empty() => {
            format!("{} or {last}", others.join(", "))
        }
        _ => words.concat(),
    }
}

/// How messages call the field that the walk is at.
fn field(place: &Place<'_>) -> String {
    match place.path.to_string() {
        path if path.is_empty() => "the inventory".to_owned(),
        path => format!("`{}`", shorten(&path)),
    }
}

/// A doc comment's first paragraph on one line.
fn first_paragraph(about: &str) -> String {
    let lines = about.lines().take_while(|line| !line.trim().is_empty());
    lines.collect::<Vec<_>>().join(" ")
}
