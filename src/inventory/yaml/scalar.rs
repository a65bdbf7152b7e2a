//! What a plain scalar means.

use serde_json::Number;

use super::tree::Value;

/// A plain scalar by the core schema of YAML 1.2.
pub(crate) fn resolve_plain_scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    match parse_number(text) {
        Some(number) => Value::Number(number),
        None => Value::String(text.to_owned()),
    }
}

/// Whether a plain scalar is a string.
pub(crate) fn is_plain_string(text: &str) -> bool {
    matches!(resolve_plain_scalar(text), Value::String(_))
}

fn parse_number(text: &str) -> Option<Number> {
    let radix = |digits: &str, radix| u64::from_str_radix(digits, radix).ok().map(Number::from);
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let starts_as_number = |s: &str| s.bytes().next().is_some_and(|b| b.is_ascii_digit());
    if !starts_as_number(unsigned) && !unsigned.strip_prefix('.').is_some_and(starts_as_number) {
        return None;
    }
    let text = text.strip_prefix('+').unwrap_or(text);
    if let Ok(integer) = text.parse::<i64>() {
        return Some(integer.into());
    }
    if let Ok(integer) = text.parse::<u64>() {
        return Some(integer.into());
    }
    text.parse::<f64>().ok().and_then(Number::from_f64)
}
