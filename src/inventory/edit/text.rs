//! Where things start and end in a YAML text.

use crate::inventory::yaml::{Node, Span, Value};

/// Whether a collection is written in brackets or braces.
pub(super) fn in_flow(text: &str, node: &Node) -> bool {
    // The span of a list in block style may start at its first item, which may
    // be in braces.
    let opening = match node.value {
        Value::Sequence(_) => '[',
        _ => '{',
    };
    text[node.span.start..].starts_with(opening)
}

/// Whether a key or a value is written in double quotes.
pub(super) fn is_quoted(text: &str, span: &Span) -> bool {
    text[span.start..].starts_with('"')
}

/// Where the text of a node ends. The span of a block collection may reach over
/// the comments after it, which are not part of it.
pub(super) fn end_of(text: &str, node: &Node) -> usize {
    let last = match &node.value {
        _ if in_flow(text, node) => None,
        Value::Sequence(items) => items.iter().map(|item| end_of(text, item)).max(),
        Value::Mapping(entries) => entries
            .iter()
            .map(|entry| end_of(text, &entry.value).max(entry.key_span.end))
            .max(),
        // The span of an empty value is that of the next token.
        Value::Null if text[node.span.clone()].trim().is_empty() => Some(0),
        _ => None,
    };
    last.unwrap_or(node.span.end)
}

/// The indentation before `at`, if there is nothing else before it on its line.
pub(super) fn indentation(text: &str, at: usize) -> Option<&str> {
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let indent = &text[start..at];
    indent.bytes().all(|b| b == b' ').then_some(indent)
}

/// Where the line that holds `at` ends, its line break included.
pub(super) fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |to| at + to + 1)
}

/// The line break that the line at `at` ends with.
pub(super) fn newline(text: &str, at: usize) -> &'static str {
    let line = &text[..line_end(text, at)];
    match line.ends_with("\r\n") {
        true => "\r\n",
        false => "\n",
    }
}

/// Whether the rest of the line after `at` is only space and a comment.
pub(super) fn rest_is_idle(text: &str, at: usize) -> bool {
    let rest = &text[at..line_end(text, at)];
    let idle = rest.trim_start();
    idle.is_empty() || (idle.starts_with('#') && idle.len() < rest.len())
}
