//! Free-form trees: looking into them, merging them.

use serde_json::{Map, Value};

/// Merges the operator's tree over ours: objects merge, everything else
/// replaces, and `null` takes a field of ours away (RFC 7396).
pub(crate) fn merge_over(ours: &mut Value, theirs: &Map<String, Value>) {
    json_patch::merge(ours, &Value::Object(theirs.clone()));
}

/// Sets a field of an object; whatever else the value was, it becomes one.
pub(crate) fn set_field(value: &mut Value, key: &str, field: impl Into<Value>) {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    if let Some(object) = value.as_object_mut() {
        object.insert(key.to_owned(), field.into());
    }
}

/// The same with every object's keys in alphabetical order, as Kubernetes' own
/// tools write them: then a change shows as a small diff.
pub(crate) fn sort_keys(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<_> = object.into_iter().collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(
                entries
                    .into_iter()
                    .map(|(key, value)| (key, sort_keys(value)))
                    .collect(),
            )
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sort_keys).collect()),
        scalar => scalar,
    }
}
