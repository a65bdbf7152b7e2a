//! The three kinds of patch that are not server-side apply.

use serde_json::{Map, Value};

use crate::api::{Error, Result};
use crate::schema::{ListKind, Type};

/// JSON merge patch (RFC 7386).
pub fn merge(target: &mut Value, patch: &Value) {
    json_patch::merge(target, patch);
}

/// JSON patch (RFC 6902).
pub fn json(target: &mut Value, patch: &Value) -> Result<()> {
    let operations: json_patch::Patch = serde_json::from_value(patch.clone())
        .map_err(|e| Error::new(400, format!("error decoding patch: {e}")))?;
    json_patch::patch(target, &operations).map_err(|e| Error {
        reason: "Invalid",
        ..Error::new(
            422,
            format!("the server rejected our request due to an error in our request: {e}"),
        )
    })
}

/// Strategic merge patch: like a merge patch, but lists whose items have a key are
/// merged item by item.
pub fn strategic(t: Option<Type>, target: &mut Value, patch: &Value) -> Result<()> {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return Ok(());
    };
    match patch.get("$patch").and_then(Value::as_str) {
        Some("replace") => {
            let mut whole = patch.clone();
            whole.remove("$patch");
            *target = Value::Object(whole);
            return Ok(());
        }
        Some("delete") => {
            *target = Value::Object(Map::new());
            return Ok(());
        }
        _ => {}
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(object) = target.as_object_mut() else {
        return Ok(());
    };
    for (name, value) in patch {
        if name.starts_with("$setElementOrder/")
            || matches!(name.as_str(), "$patch" | "$retainKeys")
        {
            continue;
        }
        if let Some(list) = name.strip_prefix("$deleteFromPrimitiveList/") {
            if let (Some(items), Some(gone)) = (
                object.get_mut(list).and_then(Value::as_array_mut),
                value.as_array(),
            ) {
                items.retain(|i| !gone.contains(i));
            }
            continue;
        }
        let inner = t.and_then(|t| t.field(name));
        match value {
            Value::Null => {
                object.remove(name);
            }
            Value::Object(_) => strategic(
                inner,
                object.entry(name.clone()).or_insert(Value::Null),
                value,
            )?,
            Value::Array(items) => {
                let slot = object.entry(name.clone()).or_insert(Value::Array(vec![]));
                list(inner, slot, items, name)?;
            }
            _ => {
                object.insert(name.clone(), value.clone());
            }
        }
    }
    Ok(())
}

fn list(t: Option<Type>, target: &mut Value, patch: &[Value], name: &str) -> Result<()> {
    let kind = t.map_or(ListKind::Atomic, Type::patch_kind);
    let mut items = target.as_array().cloned().unwrap_or_default();
    match kind {
        ListKind::Atomic => items = patch.to_vec(),
        ListKind::Set => {
            for value in patch {
                if !items.contains(value) {
                    items.push(value.clone());
                }
            }
        }
        ListKind::Map(keys) => {
            if patch.iter().any(|p| p["$patch"] == "replace") {
                items = patch
                    .iter()
                    .filter(|p| p.get("$patch").is_none())
                    .cloned()
                    .collect();
            } else {
                for value in patch {
                    let key = &keys[0];
                    if value.get(key).is_none() {
                        return Err(Error::new(
                            400,
                            format!(
                                "map: {value} does not contain declared merge key: {key} in {name}"
                            ),
                        ));
                    }
                    let at = items.iter().position(|i| i.get(key) == value.get(key));
                    match (at, value["$patch"] == "delete") {
                        (Some(at), true) => {
                            items.remove(at);
                        }
                        (Some(at), false) => {
                            strategic(t.and_then(Type::item), &mut items[at], value)?
                        }
                        (None, true) => {}
                        (None, false) => items.push(value.clone()),
                    }
                }
            }
        }
    }
    *target = Value::Array(items);
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn strategic_merges_conditions_by_type_and_replaces_taints() {
        let mut node = json!({"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]},
                              "status": {"conditions": [{"type": "Ready", "status": "False"}, {"type": "X", "status": "True"}]}});
        let patch = json!({"metadata": {"labels": {"l": ""}}, "spec": {"taints": [{"key": "b", "effect": "NoSchedule"}]},
                           "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "X", "$patch": "delete"}]}});
        strategic(crate::schema::kind("v1", "Node"), &mut node, &patch).unwrap();
        assert_eq!(
            node["status"]["conditions"],
            json!([{"type": "Ready", "status": "True"}])
        );
        assert_eq!(
            node["spec"]["taints"],
            json!([{"key": "b", "effect": "NoSchedule"}])
        );
        assert_eq!(node["metadata"]["labels"]["l"], "");
    }
}
