//! Reads the few parts of a JSON Schema that the check needs.

use serde_json::Value;

/// The choices of `oneOf` or `anyOf`.
pub(crate) fn alternatives(schema: &Value) -> Option<&Vec<Value>> {
    schema["oneOf"]
        .as_array()
        .or_else(|| schema["anyOf"].as_array())
}

/// The one type that isn't null.
pub(crate) fn kind(schema: &Value) -> Option<&str> {
    match &schema["type"] {
        Value::String(kind) => Some(kind),
        Value::Array(kinds) => kinds
            .iter()
            .filter_map(Value::as_str)
            .find(|k| *k != "null"),
        _ => None,
    }
}

/// Names of the fields that have to be there.
pub(crate) fn required(schema: &Value) -> Vec<&str> {
    let names = schema["required"].as_array().into_iter().flatten();
    names.filter_map(Value::as_str).collect()
}

/// Least and greatest value of an integer.
pub(crate) fn bounds(schema: &Value) -> (i64, i64) {
    let by_format = match schema["format"].as_str() {
        Some("uint16") => (0, i64::from(u16::MAX)),
        _ => (i64::MIN, i64::MAX),
    };
    (
        schema["minimum"].as_i64().unwrap_or(by_format.0),
        schema["maximum"].as_i64().unwrap_or(by_format.1),
    )
}
