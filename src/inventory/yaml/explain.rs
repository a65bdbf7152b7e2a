//! The parser's errors in words that help whoever wrote the file.

use super::source::shorten;

/// What the parser says, in words that help somebody who wrote the file.
pub(crate) fn explain_parse_error(info: &str) -> (String, &'static str) {
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
