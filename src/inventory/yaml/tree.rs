//! YAML as a tree that knows where in the file each of its nodes is.

use serde_json::{Map, Number};

use super::path::{FieldPath, PathStep};
use super::source::Span;

/// A value and its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Where it is in the text. A collection in block style reaches to the end of its
    /// last line.
    pub(crate) span: Span,
    /// What it is.
    pub(crate) value: Value,
}

/// A YAML value, by the core schema of YAML 1.2.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer or a float.
    Number(Number),
    /// Anything else, and anything in quotes.
    String(String),
    /// A list.
    Sequence(Vec<Node>),
    /// A mapping in the file's order, without duplicates.
    Mapping(Vec<Entry>),
}

/// A key of a mapping with its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The key.
    pub(crate) key: String,
    /// Where the key is in the text.
    pub(crate) key_span: Span,
    /// The value.
    pub(crate) value: Node,
}

impl Node {
    /// The node at the end of a path.
    pub(crate) fn find(&self, path: &FieldPath) -> Option<&Node> {
        let mut node = self;
        for step in &path.0 {
            node = node.follow(step)?.1;
        }
        Some(node)
    }

    fn follow(&self, step: &PathStep) -> Option<(Option<&Span>, &Node)> {
        match (&self.value, step) {
            (Value::Mapping(entries), PathStep::Key(key)) => entries
                .iter()
                .find(|entry| entry.key == *key)
                .map(|entry| (Some(&entry.key_span), &entry.value)),
            (Value::Sequence(items), PathStep::Index(index)) => {
                items.get(*index).map(|item| (None, item))
            }
            _ => None,
        }
    }

    /// The place to point at for a path: the value if it is a scalar, else its
    /// key; for a path that isn't in the file, its closest ancestor.
    pub(crate) fn span_of(&self, path: &FieldPath) -> Span {
        let mut node = self;
        let mut place = self.label_span(None);
        for step in &path.0 {
            let Some((key, next)) = node.follow(step) else {
                break;
            };
            node = next;
            place = node.label_span(key);
        }
        place
    }

    /// The place of a key, or of the closest ancestor that is there.
    pub(crate) fn key_span_of(&self, path: &FieldPath) -> Span {
        let parent = path.0.split_last().and_then(|(last, parent)| {
            let parent = self.find(&FieldPath(parent.to_vec()))?;
            parent.follow(last)?.0.cloned()
        });
        parent.unwrap_or_else(|| self.span_of(path))
    }

    /// What to point at for this node, given its key's place.
    pub(crate) fn label_span(&self, key: Option<&Span>) -> Span {
        match (&self.value, key) {
            (Value::Sequence(_) | Value::Mapping(_) | Value::Null, Some(key)) => key.clone(),
            (Value::Mapping(entries), None) => match entries.first() {
                Some(entry) => entry.key_span.clone(),
                None => self.span.clone(),
            },
            (Value::Sequence(items), None) => match items.first() {
                Some(item) => item.label_span(None),
                None => self.span.clone(),
            },
            _ => self.span.clone(),
        }
    }

    /// The value without its places.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(value) => serde_json::Value::Number(value.clone()),
            Value::String(value) => value.as_str().into(),
            Value::Sequence(items) => items.iter().map(Node::to_json).collect(),
            Value::Mapping(entries) => entries
                .iter()
                .map(|entry| (entry.key.clone(), entry.value.to_json()))
                .collect::<Map<_, _>>()
                .into(),
        }
    }

    /// How many nodes there are, this one included.
    pub(crate) fn count_nodes(&self) -> usize {
        1 + match &self.value {
            Value::Sequence(items) => items.iter().map(Node::count_nodes).sum(),
            Value::Mapping(entries) => entries.iter().map(|entry| entry.value.count_nodes()).sum(),
            _ => 0,
        }
    }

    /// The text of a string.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }
}
