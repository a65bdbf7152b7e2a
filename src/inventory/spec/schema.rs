//! The JSON Schema of the file, generated from the types.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::inventory::Inventory;

/// Names the schema for editors; nothing fetches it.
const ID: &str = "https://clusterctl.rs/schemas/v1alpha1/inventory.schema.json";

/// The JSON Schema (2020-12) of the inventory file, with a description of each
/// field. [`crate::inventory::parse`] checks files against this very value.
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
    classify_fields(&mut schema);
    schema
}

/// Gives the class of a type to those of its fields that have none of their own, so that
/// each field says by itself how it may change.
fn classify_fields(schema: &mut Value) {
    let Some(types) = schema["$defs"].as_object_mut() else {
        return;
    };
    for described in types.values_mut() {
        let Some(class) = described
            .as_object_mut()
            .and_then(|described| described.shift_remove("x-change"))
        else {
            continue;
        };
        let fields = described["properties"].as_object_mut();
        for field in fields.into_iter().flat_map(|fields| fields.values_mut()) {
            if let Some(field) = field.as_object_mut() {
                field.entry("x-change").or_insert_with(|| class.clone());
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::yaml::{FieldPath, KnownFields};

    #[test]
    fn a_misplaced_field_is_sent_home() {
        let fields = KnownFields::from_schema(&schema());
        let spec = FieldPath::root().key("spec");
        let parents = fields.find_parents("podSubnet", &spec);
        assert_eq!(parents.as_deref(), Some("`spec.networking`"));
        let parents = fields.find_parents("advertiseAddress", &spec.key("hosts").index(0));
        assert_eq!(
            parents.as_deref(),
            Some("`spec.hosts[].localAPIEndpoint` or `spec.localAPIEndpoint`")
        );
        assert_eq!(fields.find_parents("nonsense", &spec), None);
    }
}
