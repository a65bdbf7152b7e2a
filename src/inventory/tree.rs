//! YAML as a tree that knows where in the file each of its nodes stands.

use std::fmt;

use serde_json::{Map, Number};

use super::source::Span;

/// A value and its place.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it stands. A collection in block style reaches to the end of its
    /// last line.
    pub span: Span,
    /// What it is.
    pub value: Value,
}

/// A YAML value, by the core schema of YAML 1.2.
#[derive(Debug, Clone)]
pub enum Value {
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
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

/// The way from the root of a file to one of its nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Path(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Step {
    Key(String),
    Index(usize),
}

impl Path {
    /// The root.
    pub fn root() -> Self {
        Path::default()
    }

    /// One step down, to a key of a mapping.
    pub fn key(&self, key: &str) -> Self {
        let mut path = self.clone();
        path.0.push(Step::Key(key.to_owned()));
        path
    }

    /// One step down, to an item of a list.
    pub fn index(&self, index: usize) -> Self {
        let mut path = self.clone();
        path.0.push(Step::Index(index));
        path
    }

    /// This path and all above it, up to the root.
    pub(super) fn ancestors(&self) -> impl Iterator<Item = Path> {
        (0..=self.0.len())
            .rev()
            .map(|length| Path(self.0[..length].to_vec()))
    }
}

impl fmt::Display for Path {
    /// Writes `spec.hosts[3].name`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if position == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

impl Node {
    /// The node at the end of a path.
    pub fn at(&self, path: &Path) -> Option<&Node> {
        let mut node = self;
        for step in &path.0 {
            node = node.step(step)?.1;
        }
        Some(node)
    }

    fn step(&self, step: &Step) -> Option<(Option<&Span>, &Node)> {
        match (&self.value, step) {
            (Value::Mapping(entries), Step::Key(key)) => entries
                .iter()
                .find(|entry| entry.key == *key)
                .map(|entry| (Some(&entry.key_span), &entry.value)),
            (Value::Sequence(items), Step::Index(index)) => {
                items.get(*index).map(|item| (None, item))
            }
            _ => None,
        }
    }

    /// The place to point at for a path: the value if it is a scalar, else its
    /// key; for a path that isn't in the file, its closest ancestor.
    pub fn place(&self, path: &Path) -> Span {
        let mut node = self;
        let mut place = self.handle(None);
        for step in &path.0 {
            let Some((key, next)) = node.step(step) else {
                break;
            };
            node = next;
            place = node.handle(key);
        }
        place
    }

    /// The place of a key, or of the closest ancestor that is there.
    pub fn key_place(&self, path: &Path) -> Span {
        let parent = path.0.split_last().and_then(|(last, parent)| {
            let parent = self.at(&Path(parent.to_vec()))?;
            parent.step(last)?.0.cloned()
        });
        parent.unwrap_or_else(|| self.place(path))
    }

    /// What to point at for this node, given its key's place.
    pub(super) fn handle(&self, key: Option<&Span>) -> Span {
        match (&self.value, key) {
            (Value::Sequence(_) | Value::Mapping(_) | Value::Null, Some(key)) => key.clone(),
            (Value::Mapping(entries), None) => match entries.first() {
                Some(entry) => entry.key_span.clone(),
                None => self.span.clone(),
            },
            (Value::Sequence(items), None) => match items.first() {
                Some(item) => item.handle(None),
                None => self.span.clone(),
            },
            _ => self.span.clone(),
        }
    }

    /// The value without its places.
    pub fn to_json(&self) -> serde_json::Value {
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
    pub(super) fn size(&self) -> usize {
        1 + match &self.value {
            Value::Sequence(items) => items.iter().map(Node::size).sum(),
            Value::Mapping(entries) => entries.iter().map(|entry| entry.value.size()).sum(),
            _ => 0,
        }
    }
}
