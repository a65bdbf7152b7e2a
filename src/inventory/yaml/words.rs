//! How messages name types and values.

use serde_json::Value as Json;

use super::tree::Value;

/// A JSON Schema type, as messages call it.
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

/// What the file has.
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

/// What to write instead of a quoted string that should have been an integer or a boolean.
pub(crate) fn unquote_help(text: &str, expected: &str) -> Option<String> {
    if expected.starts_with("an integer") && text.parse::<i64>().is_ok() {
        return Some(format!("remove the quotes: {text}"));
    }
    if expected.starts_with("`true`") {
        return match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => Some("write `true`".to_owned()),
            "false" | "no" | "off" | "n" => Some("write `false`".to_owned()),
            _ => None,
        };
    }
    None
}

/// `` one of `a`, `b` ``.
pub(crate) fn one_of(words: &[&str]) -> String {
    match words {
        [word] => format!("`{word}`"),
        _ => {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            format!("one of {}", words.join(", "))
        }
    }
}

/// `a boolean or a string`.
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

/// A field's description (its first paragraph, on one line) and its default.
pub(crate) fn describe_field(schema: &Json) -> Option<String> {
    let lines = schema["description"].as_str()?.lines();
    let lines = lines.take_while(|line| !line.trim().is_empty());
    let about = lines.collect::<Vec<_>>().join(" ");
    let default = match &schema["default"] {
        Json::String(text) => text.clone(),
        default @ (Json::Bool(_) | Json::Number(_)) => default.to_string(),
        _ => return Some(about),
    };
    Some(format!("{about} Default: `{default}`."))
}
