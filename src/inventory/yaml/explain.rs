//! The parser's errors in words that help whoever wrote the file.

use super::source::shorten;

const INDENT: &str = "check the indentation: the fields of a mapping \
                      start in the same column, list items start with `- `";

/// A piece of the parser's message, our message, and the help. The parser's words are not
/// part of its interface: what is not found here is shown as it is.
const KNOWN: &[(&str, &str, &str)] = &[
    (
        "in quoted scalar",
        "unclosed quote",
        "close it with the same kind of quote",
    ),
    ("tab", "tab used for indentation", "indent with spaces only"),
    (
        "mapping values are not allowed",
        "unexpected `:`",
        "put a value that contains `: ` in quotes, and give all fields of a mapping the same \
     indentation",
    ),
    (
        "did not find expected key",
        "unexpected indentation",
        INDENT,
    ),
    ("did not find expected '-'", "expected `- `", INDENT),
    ("invalid indentation", "invalid indentation", INDENT),
    (
        "simple key expect",
        "expected `:` after the field name",
        "write `name: value`, with a space after the colon",
    ),
    (
        "unknown anchor",
        "unknown anchor",
        "`*name` refers to a value marked `&name` above; put a string that starts with `*` \
     in quotes",
    ),
    (
        "unexpected end of stream",
        "unclosed quote",
        "close it with the same kind of quote",
    ),
    (
        "expected ',' or '}'",
        "expected `,` or `}`",
        "write a mapping in braces as `{name: value, name: value}`",
    ),
    (
        "expected ',' or ']'",
        "expected `,` or `]`",
        "write a list in brackets as `[value, value]`; put a value that contains brackets in \
     quotes",
    ),
    (
        "unexpected character",
        "a value can't start with this character",
        "put the value in quotes",
    ),
    (
        "unknown escape character",
        "unknown escape sequence",
        "use single quotes to keep `\\` as it is",
    ),
    (
        "unprintable character",
        "control character",
        "remove it, or write it as an escape sequence in double quotes",
    ),
    ("recursion limit", "nested too deeply", ""),
];

/// Translates a parser error into a message and a help.
pub(crate) fn explain_parse_error(info: &str) -> (String, &'static str) {
    match KNOWN.iter().find(|(pattern, ..)| info.contains(pattern)) {
        Some((_, message, help)) => (format!("invalid YAML: {message}"), help),
        None => (format!("invalid YAML: {}", shorten(info)), ""),
    }
}
