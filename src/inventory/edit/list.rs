//! Lists: adds an item, or replaces the items.

use super::document::{Document, TextPatch};
use super::host_entry::HostEntry;
use super::style::{Style, flow_list};
use super::text::{end_of, in_flow, indentation, is_quoted, line_end, newline, rest_is_idle};
use crate::inventory::yaml::{Node, Value};

/// Appends a host to the list of hosts.
pub(super) fn append_host(
    document: &Document<'_>,
    list: &Node,
    host: &HostEntry,
) -> Option<Vec<TextPatch>> {
    let text = document.text;
    let Value::Sequence(items) = &list.value else {
        return None;
    };
    let last = items.last()?;
    let Value::Mapping(fields) = &last.value else {
        return None;
    };
    let style = Style {
        quoted: is_quoted(text, &fields.first()?.key_span),
    };
    let end = end_of(text, last);
    if in_flow(text, list) {
        return append_in_brackets(text, last, end, host.flow(style));
    }
    let dash = Dash::before(text, last)?;
    let break_ = newline(text, end);
    let item = match in_flow(text, last) {
        true => host.flow(style),
        false => {
            let indent = " ".repeat(dash.indent.len() + 1 + dash.gap.len());
            host.block(style, &indent, break_)
        }
    };
    let line = format!("{}-{}{item}", dash.indent, dash.gap);
    Some(vec![insert_below(text, end, &line)?])
}

/// Inserts a line below the one that holds `end`.
fn insert_below(text: &str, end: usize, line: &str) -> Option<TextPatch> {
    rest_is_idle(text, end).then_some(())?;
    let (at, newline) = (line_end(text, end), newline(text, end));
    let with = match text[..at].ends_with('\n') {
        true => format!("{line}{newline}"),
        // The file ends without a line break, and goes on doing so.
        false => format!("\n{line}"),
    };
    Some((at..at, with))
}

/// An item more in `[…]`, on a line of its own if the last one has that.
fn append_in_brackets(text: &str, last: &Node, end: usize, item: String) -> Option<Vec<TextPatch>> {
    let rest = &text[end..];
    let comma = rest.trim_start_matches([' ', '\t']).starts_with(',');
    let after = match comma {
        true => end + rest.find(',')? + 1,
        false => end,
    };
    let Some(indent) = indentation(text, last.span.start).filter(|_| rest_is_idle(text, after))
    else {
        let item = match comma {
            true => format!(" {item},"),
            false => format!(", {item}"),
        };
        return Some(vec![(after..after, item)]);
    };
    let mut patches = Vec::new();
    if !comma {
        patches.push((end..end, ",".to_owned()));
    }
    let comma = if comma { "," } else { "" };
    patches.push(insert_below(
        text,
        after,
        &format!("{indent}{item}{comma}"),
    )?);
    Some(patches)
}

/// Makes a list of names another one: lines that stay, stay.
pub(super) fn replace_names(
    document: &Document<'_>,
    list: &Node,
    names: &[String],
) -> Option<Vec<TextPatch>> {
    let text = document.text;
    let Value::Sequence(items) = &list.value else {
        return None;
    };
    let style = Style {
        quoted: items
            .first()
            .is_some_and(|item| is_quoted(text, &item.span)),
    };
    if in_flow(text, list) {
        // Comments within would be lost.
        let own = text.get(list.span.clone())?;
        if own.contains('#') {
            return None;
        }
        return Some(vec![(list.span.clone(), flow_list(names, style))]);
    }
    let stays = |item: &&Node| {
        item.as_text()
            .is_some_and(|name| names.iter().any(|n| n == name))
    };
    let mut patches = Vec::new();
    for item in items.iter().filter(|item| !stays(item)) {
        let dash = Dash::before(text, item)?;
        rest_is_idle(text, item.span.end).then_some(())?;
        patches.push((
            dash.at - dash.indent.len()..line_end(text, item.span.end),
            String::new(),
        ));
    }
    let there: Vec<&str> = items.iter().filter_map(Node::as_text).collect();
    let last = items.last()?;
    let dash = Dash::before(text, last)?;
    let lines: Vec<String> = names
        .iter()
        .filter(|name| !there.contains(&name.as_str()))
        .map(|name| format!("{}-{}{}", dash.indent, dash.gap, style.string(name)))
        .collect();
    if !lines.is_empty() {
        let lines = lines.join(newline(text, last.span.end));
        patches.push(insert_below(text, last.span.end, &lines)?);
    }
    Some(patches)
}

/// The `-` of an item in block style.
struct Dash<'a> {
    at: usize,
    /// The space before it.
    indent: &'a str,
    /// The space between it and its item.
    gap: &'a str,
}

impl<'a> Dash<'a> {
    fn before(text: &'a str, item: &Node) -> Option<Self> {
        let before = text[..item.span.start].trim_end();
        let at = before.len().checked_sub(1)?;
        before.ends_with('-').then_some(())?;
        let gap = &text[at + 1..item.span.start];
        Some(Dash {
            at,
            indent: indentation(text, at)?,
            gap: if gap.contains('\n') { " " } else { gap },
        })
    }
}
