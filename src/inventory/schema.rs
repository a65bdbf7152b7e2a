//! The file's JSON Schema, made from the types in [`super::spec`].

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::spec::Inventory;

/// Names the schema for editors; nothing fetches it.
const ID: &str = "https://clusterctl.rs/schemas/v1alpha1/inventory.schema.json";

/// The JSON Schema (2020-12) of the inventory file, with a description of each
/// field. [`super::parse`] checks files against this very value.
pub fn schema() -> Value {
    let mut schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<Inventory>()
        .to_value();
    if let Some(root) = schema.as_object_mut() {
        root.insert("$id".into(), json!(ID));
        root.insert("title".into(), json!("clusterctl-rs inventory"));
    }
    drop_empty_defaults(&mut schema);
    schema
}

/// Drops defaults that are objects: `Default` of a struct says that each field
/// is null, which tells a reader nothing.
fn drop_empty_defaults(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if object.get("default").is_some_and(Value::is_object) {
                object.shift_remove("default");
            }
            object.values_mut().for_each(drop_empty_defaults);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_empty_defaults),
        _ => {}
    }
}

/// The choices of `oneOf` or `anyOf`.
pub(super) fn alternatives(schema: &Value) -> Option<&Vec<Value>> {
    schema["oneOf"]
        .as_array()
        .or_else(|| schema["anyOf"].as_array())
}

/// The one type that isn't null.
pub(super) fn kind(schema: &Value) -> Option<&str> {
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
pub(super) fn required(schema: &Value) -> Vec<&str> {
    let names = schema["required"].as_array().into_iter().flatten();
    names.filter_map(Value::as_str).collect()
}

/// Least and greatest value of an integer.
pub(super) fn bounds(schema: &Value) -> (i64, i64) {
    let by_format = match schema["format"].as_str() {
        Some("uint16") => (0, i64::from(u16::MAX)),
        _ => (i64::MIN, i64::MAX),
    };
    (
        schema["minimum"].as_i64().unwrap_or(by_format.0),
        schema["maximum"].as_i64().unwrap_or(by_format.1),
    )
}
