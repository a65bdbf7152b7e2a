//! How messages name types and values.

use super::tree::Value;

pub(crate) fn expected_kind(kind: &str) -> &str {
    match kind {
        "object" => "a mapping",
        "array" => "a list",
        "string" => "a string",
        "integer" => "an integer",
        "boolean" => "`true` or `false`",
        other => other,
    }
}

pub(crate) fn describe_value(value: &Value) -> &'static str {
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
pub(crate) fn unquoted_word(text: &str, expected: &str) -> Option<String> {
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

pub(crate) fn one_of(words: &[&str]) -> String {
    match words {
        [word] => format!("`{word}`"),
        _ => {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            format!("one of {}", words.join(", "))
        }
    }
}

pub(crate) fn any_of(kinds: &[&str]) -> String {
    let words = kinds.iter().map(|kind| match *kind {
        "boolean" => "a boolean",
        kind => expected_kind(kind),
    });
    let words: Vec<&str> = words.collect();
    match words.split_last() {
        Some((last, others)) if !others.is_empty() => {
            format!("{} or {last}", others.join(", "))
        }
        _ => words.concat(),
    }
}

/// A doc comment's first paragraph on one line.
pub(crate) fn first_paragraph(about: &str) -> String {
    let lines = about.lines().take_while(|line| !line.trim().is_empty());
    lines.collect::<Vec<_>>().join(" ")
}
