//! Edits of the inventory's text: a host more, a mark that hosts are gone.
//! Comments, order and layout are the operator's and stay as they are.
//!
//! An edit is a few insertions and deletions at places that the tree knows.
//! Whatever the file looks like, its result is read again and has to mean
//! exactly what was wanted: an edit that can't be made so is refused, and says
//! what to write by hand.

mod file;
mod list;
mod text;

use std::ops::Range;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::source::{Source, Span};
use super::spec::Role;
use super::tree::{Entry, Node, Value};
use super::yaml;
pub use file::{Edited, edit, preview};
use text::{Style, end_of, in_flow, indentation, is_quoted, line_end, newline, rest_is_idle};

/// What stands in the file for a host that is added by flags.
#[derive(Debug, Clone)]
pub struct HostEntry {
    /// Its name.
    pub name: String,
    /// What SSH connects to.
    pub address: String,
    /// What it is for.
    pub roles: Vec<Role>,
    /// Who SSH logs in as, if that is said.
    pub user: Option<String>,
    /// SSH's port, if that is said.
    pub port: Option<u16>,
}

/// An edit that would not leave the file as its owner has laid it out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct EditError {
    /// Why it can't be made.
    pub why: String,
    /// What to write by hand.
    pub by_hand: String,
}

/// Appends a host to `spec.hosts`, in the style of the last one.
///
/// # Errors
/// [`EditError`] if the list is written in a way that can't be carried on.
pub fn add_host(text: &str, host: &HostEntry) -> Result<String, EditError> {
    let by_hand = format!("below `hosts:`: - {}", host.flow(Style::PLAIN));
    change(text, by_hand, |document, wanted| {
        let list = wanted.pointer_mut("/spec/hosts")?.as_array_mut()?;
        list.push(host.json());
        list::append(document, &document.spec()?.get("hosts")?.value, host)
    })
}

/// Makes `spec.removedHosts` name exactly these hosts. Those that it names
/// already keep their order; an empty list is taken out.
///
/// # Errors
/// [`EditError`] if the file is written in a way that has no place for it.
pub fn set_removed(text: &str, names: &[String]) -> Result<String, EditError> {
    let by_hand = match names {
        [] => "take `removedHosts` out of `spec`".to_owned(),
        names => format!(
            "directly below `spec:`: removedHosts: {}",
            text::flow_list(names, Style::PLAIN)
        ),
    };
    change(text, by_hand, |document, wanted| {
        let spec = document.spec()?;
        let entry = spec.get("removedHosts");
        let there: Vec<&str> = match entry.map(|entry| &entry.value.value) {
            Some(Value::Sequence(items)) => items.iter().filter_map(Node::text).collect(),
            Some(_) => return None,
            None => Vec::new(),
        };
        let kept = there.iter().filter(|name| names.iter().any(|n| n == *name));
        let new = names.iter().filter(|name| !there.contains(&name.as_str()));
        let names: Vec<String> = kept
            .map(|name| (*name).to_owned())
            .chain(new.cloned())
            .collect();
        let fields = wanted.pointer_mut("/spec")?.as_object_mut()?;
        match names.is_empty() {
            true => fields.remove("removedHosts"),
            false => fields.insert("removedHosts".into(), json!(names)),
        };
        match entry {
            Some(entry) if names.is_empty() => take_out(document, &spec, entry),
            Some(entry) => list::replace(document, &entry.value, &names),
            None if names.is_empty() => Some(Vec::new()),
            None => put_first(document, &spec, &names),
        }
    })
}

/// One insertion, deletion or both.
type Patch = (Range<usize>, String);

/// Makes an edit and reads its result: `make` changes a copy of the file's
/// meaning to what is wanted, and comes back with the patches that are to lead
/// there.
fn change(
    text: &str,
    by_hand: String,
    make: impl FnOnce(&Document<'_>, &mut Json) -> Option<Vec<Patch>>,
) -> Result<String, EditError> {
    let refused = |why: &str| EditError {
        why: why.to_owned(),
        by_hand: by_hand.clone(),
    };
    let root = read(text).ok_or_else(|| refused("the file is no valid YAML"))?;
    let mut wanted = root.to_json();
    let document = Document { text, root: &root };
    let mut patches = make(&document, &mut wanted)
        .ok_or_else(|| refused("its layout leaves no safe place for the change"))?;
    patches.sort_by_key(|(range, _)| std::cmp::Reverse((range.start, range.end)));
    let mut new = text.to_owned();
    for (range, with) in patches {
        if new.get(range.clone()).is_none() {
            return Err(refused("its layout leaves no safe place for the change"));
        }
        new.replace_range(range, &with);
    }
    match read(&new).map(|root| root.to_json()) {
        Some(meaning) if meaning == wanted => Ok(new),
        _ => Err(refused("the change would have changed more than it should")),
    }
}

fn read(text: &str) -> Option<Node> {
    let mut findings = Vec::new();
    let root = yaml::read(&Arc::new(Source::new("", text)), &mut findings);
    root.filter(|_| findings.is_empty())
}

/// A text with its tree.
struct Document<'a> {
    text: &'a str,
    root: &'a Node,
}

/// `spec`, with the place of its key.
struct Spec<'a> {
    key: &'a Span,
    node: &'a Node,
    entries: &'a [Entry],
}

impl<'a> Document<'a> {
    fn spec(&self) -> Option<Spec<'a>> {
        let Value::Mapping(entries) = &self.root.value else {
            return None;
        };
        let entry = entries.iter().find(|entry| entry.key == "spec")?;
        let Value::Mapping(entries) = &entry.value.value else {
            return None;
        };
        Some(Spec {
            key: &entry.key_span,
            node: &entry.value,
            entries,
        })
    }
}

impl<'a> Spec<'a> {
    fn get(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Its first field in the text: what `<<` brings stands elsewhere.
    fn first(&self) -> Option<&'a Entry> {
        self.entries
            .iter()
            .filter(|entry| entry.key_span.start > self.key.start)
            .min_by_key(|entry| entry.key_span.start)
    }
}

/// `removedHosts` as the first field of `spec`.
fn put_first(document: &Document<'_>, spec: &Spec<'_>, names: &[String]) -> Option<Vec<Patch>> {
    let text = document.text;
    let first = spec.first()?;
    let style = Style {
        quoted: is_quoted(text, &first.key_span),
    };
    let field = format!(
        "{}: {}",
        style.key("removedHosts"),
        text::flow_list(names, style)
    );
    let start = first.key_span.start;
    if in_flow(text, spec.node) {
        return Some(vec![match indentation(text, start) {
            Some(indent) => (
                start..start,
                format!("{field},{}{indent}", newline(text, spec.key.end)),
            ),
            None => (start..start, format!("{field}, ")),
        }]);
    }
    let indent = indentation(text, start)?;
    let rest = text.get(spec.key.end..)?.strip_prefix(':')?;
    let after_colon = text.len() - rest.len();
    rest_is_idle(text, after_colon).then_some(())?;
    let at = line_end(text, after_colon);
    let line = format!("{indent}{field}{}", newline(text, after_colon));
    Some(vec![(at..at, line)])
}

/// A field goes, and with it the lines that it has for itself.
fn take_out(document: &Document<'_>, spec: &Spec<'_>, entry: &Entry) -> Option<Vec<Patch>> {
    let text = document.text;
    let (start, end) = (entry.key_span.start, end_of(text, &entry.value));
    if !in_flow(text, spec.node) {
        let indent = indentation(text, start)?;
        rest_is_idle(text, end).then_some(())?;
        return Some(vec![(
            start - indent.len()..line_end(text, end),
            String::new(),
        )]);
    }
    let position = spec.entries.iter().position(|one| one.key == entry.key)?;
    let range = match spec.entries.get(position + 1) {
        Some(next) => start..next.key_span.start,
        None => {
            let before = spec.entries.get(position.checked_sub(1)?)?;
            end_of(text, &before.value)..end
        }
    };
    Some(vec![(range, String::new())])
}

impl Node {
    /// The text of a string.
    fn text(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }
}
