//! Keeps `spec.removedHosts`.

use serde_json::json;

use super::document::{Document, EditError, SpecSection, TextPatch, change};
use super::list;
use super::style::{Style, flow_list};
use super::text::{end_of, in_flow, indentation, is_quoted, line_end, newline, rest_is_idle};
use crate::inventory::yaml::{Entry, Node, Value};

/// Makes `spec.removedHosts` name exactly these hosts. Those that it names
/// already keep their order; an empty list is taken out.
///
/// # Errors
/// [`EditError`] if the file is written in a way that has no place for it.
pub fn set_removed_hosts(text: &str, names: &[String]) -> Result<String, EditError> {
    let by_hand = match names {
        [] => "remove `removedHosts` from `spec`".to_owned(),
        names => format!(
            "add to `spec`: removedHosts: {}",
            flow_list(names, Style::PLAIN)
        ),
    };
    change(text, by_hand, |document, wanted| {
        let spec = document.spec()?;
        let entry = spec.find_entry("removedHosts");
        let there: Vec<&str> = match entry.map(|entry| &entry.value.value) {
            Some(Value::Sequence(items)) => items.iter().filter_map(Node::as_text).collect(),
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
            Some(entry) if names.is_empty() => remove_field(document, &spec, entry),
            Some(entry) => list::replace_names(document, &entry.value, &names),
            None if names.is_empty() => Some(Vec::new()),
            None => insert_first(document, &spec, &names),
        }
    })
}

/// `removedHosts` as the first field of `spec`.
fn insert_first(
    document: &Document<'_>,
    spec: &SpecSection<'_>,
    names: &[String],
) -> Option<Vec<TextPatch>> {
    let text = document.text;
    let first = spec.first_entry()?;
    let style = Style {
        quoted: is_quoted(text, &first.key_span),
    };
    let field = format!("{}: {}", style.key("removedHosts"), flow_list(names, style));
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
fn remove_field(
    document: &Document<'_>,
    spec: &SpecSection<'_>,
    entry: &Entry,
) -> Option<Vec<TextPatch>> {
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
