//! Strategic merge patches, as the API server and kubeadm apply them.
//!
//! Lists of objects that have a merge key merge by it; every other list is
//! replaced as a whole. The directives `$patch`, `$retainKeys`,
//! `$setElementOrder` and `$deleteFromPrimitiveList` are understood.

use serde_json::{Map, Value};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const SET_ORDER: &str = "$setElementOrder/";
const DELETE_SCALARS: &str = "$deleteFromPrimitiveList/";

/// What is patched decides which lists merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Schema {
    /// A Pod, or something with a pod template.
    Workload,
    /// A configuration file: its lists never merge.
    Config,
}

/// How a list merges.
#[derive(Clone, Copy)]
enum List {
    /// By this field of its items.
    ByKey(&'static str),
    /// As a set of scalars.
    Scalars,
    /// Not at all.
    Atomic,
}

impl Schema {
    /// The `patchStrategy` and `patchMergeKey` of Kubernetes' Go types. A field's
    /// name decides, since it means the same wherever it occurs in a workload.
    fn list(self, field: &str) -> List {
        if self == Schema::Config {
            return List::Atomic;
        }
        match field {
            "containers"
            | "initContainers"
            | "ephemeralContainers"
            | "env"
            | "volumes"
            | "imagePullSecrets"
            | "schedulingGates"
            | "resourceClaims" => List::ByKey("name"),
            "ports" => List::ByKey("containerPort"),
            "volumeMounts" => List::ByKey("mountPath"),
            "volumeDevices" => List::ByKey("devicePath"),
            "hostAliases" => List::ByKey("ip"),
            "topologySpreadConstraints" => List::ByKey("topologyKey"),
            "conditions" => List::ByKey("type"),
            "ownerReferences" => List::ByKey("uid"),
            "finalizers" => List::Scalars,
            _ => List::Atomic,
        }
    }
}

/// Applies a patch.
pub(crate) fn apply(target: &mut Value, patch: Value, schema: Schema) -> Result<(), String> {
    let (Value::Object(original), Value::Object(patch)) = (std::mem::take(target), patch) else {
        return Err("a strategic merge patch is an object, and so is what it patches".into());
    };
    *target = Value::Object(merge_map(original, patch, schema)?);
    Ok(())
}

fn merge_map(
    mut original: Map<String, Value>,
    mut patch: Map<String, Value>,
    schema: Schema,
) -> Result<Map<String, Value>, String> {
    match patch.get(DIRECTIVE).map(|directive| directive.as_str()) {
        None => {}
        Some(Some("replace")) => {
            patch.shift_remove(DIRECTIVE);
            return Ok(patch);
        }
        Some(Some("delete")) => return Ok(Map::new()),
        Some(_) => return Err("$patch is neither `replace` nor `delete`".into()),
    }
    if let Some(keys) = patch.shift_remove(RETAIN_KEYS) {
        retain_keys(&mut original, &patch, &keys)?;
    }
    let (orders, patch): (Map<_, _>, Map<_, _>) = patch
        .into_iter()
        .partition(|(key, _)| key.starts_with(SET_ORDER));

    for (key, value) in patch {
        if let Some(field) = key.strip_prefix(DELETE_SCALARS) {
            delete_scalars(&mut original, field, &value)?;
            continue;
        }
        if value.is_null() {
            original.shift_remove(&key);
            continue;
        }
        let before = original.get_mut(&key).map(std::mem::take);
        let after = match (before, value) {
            (Some(Value::Object(before)), Value::Object(value)) => {
                Some(Value::Object(merge_map(before, value, schema)?))
            }
            (Some(Value::Array(before)), Value::Array(value)) => {
                let order = orders.get(&format!("{SET_ORDER}{key}"));
                Some(Value::Array(merge_list(
                    &key, before, value, order, schema,
                )?))
            }
            (_, value) => without_directives(value),
        };
        match after {
            Some(after) => original.insert(key, after),
            None => original.shift_remove(&key),
        };
    }
    Ok(original)
}

/// Drops every field that is not in the list, so that alternatives (a volume's
/// source, a Deployment's strategy) don't add up.
fn retain_keys(
    original: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    keys: &Value,
) -> Result<(), String> {
    let keys = keys
        .as_array()
        .ok_or_else(|| format!("{RETAIN_KEYS} is not a list"))?;
    let listed = |key: &str| keys.iter().any(|listed| listed == key);
    for (key, value) in patch {
        if !value.is_null() && !key.starts_with('$') && !listed(key) {
            return Err(format!("{RETAIN_KEYS} lacks `{key}`, which the patch sets"));
        }
    }
    original.retain(|key, _| listed(key));
    Ok(())
}

fn delete_scalars(
    original: &mut Map<String, Value>,
    field: &str,
    unwanted: &Value,
) -> Result<(), String> {
    let unwanted = unwanted
        .as_array()
        .ok_or_else(|| format!("{DELETE_SCALARS}{field} is not a list"))?;
    if let Some(Value::Array(items)) = original.get_mut(field) {
        items.retain(|item| !unwanted.contains(item));
    }
    Ok(())
}

fn merge_list(
    field: &str,
    original: Vec<Value>,
    patch: Vec<Value>,
    order: Option<&Value>,
    schema: Schema,
) -> Result<Vec<Value>, String> {
    let same_scalar: &dyn Fn(&Value, &Value) -> bool = &|a, b| a == b;
    match schema.list(field) {
        List::Atomic => Ok(patch.into_iter().filter_map(without_directives).collect()),
        List::Scalars => {
            let mut merged = original.clone();
            merged.extend(
                patch
                    .iter()
                    .filter(|item| !original.contains(item))
                    .cloned(),
            );
            let order = ordered_by(order, &patch)?;
            Ok(arrange_items(merged, &original, order, same_scalar))
        }
        List::ByKey(key) => {
            let same = |a: &Value, b: &Value| a.get(key).is_some() && a.get(key) == b.get(key);
            let (original, patch) = special_items(field, key, original, patch)?;
            let mut merged = original.clone();
            for item in &patch {
                let Value::Object(item_map) = item else {
                    return Err(format!("an item of `{field}` is not an object"));
                };
                if item_map.get(key).is_none() {
                    return Err(format!("an item of `{field}` lacks its key, `{key}`"));
                }
                match merged.iter_mut().find(|present| same(present, item)) {
                    Some(present) => apply(present, item.clone(), schema)?,
                    None => merged.extend(without_directives(item.clone())),
                }
            }
            let order = ordered_by(order, &patch)?;
            Ok(arrange_items(merged, &original, order, &same))
        }
    }
}

fn ordered_by<'a>(order: Option<&'a Value>, patch: &'a [Value]) -> Result<&'a [Value], String> {
    match order {
        None => Ok(patch),
        Some(Value::Array(order)) => Ok(order),
        Some(_) => Err(format!("{SET_ORDER}… is not a list")),
    }
}

/// Acts on the items that are directives and returns what is left to merge.
fn special_items(
    field: &str,
    key: &str,
    mut original: Vec<Value>,
    patch: Vec<Value>,
) -> Result<(Vec<Value>, Vec<Value>), String> {
    let mut plain = Vec::new();
    let mut replace = false;
    for item in patch {
        match item.get(DIRECTIVE).map(|directive| directive.as_str()) {
            None => plain.push(item),
            Some(Some("delete")) => {
                let value = item
                    .get(key)
                    .ok_or_else(|| format!("`$patch: delete` in `{field}` lacks `{key}`"))?;
                original.retain(|present| present.get(key) != Some(value));
            }
            Some(Some("replace")) => replace = true,
            Some(_) => {
                return Err(format!(
                    "`{field}` has a $patch that is neither `replace` nor `delete`"
                ));
            }
        }
    }
    if replace {
        original.clear();
    }
    Ok((original, plain))
}

/// Orders a merged list: what the patch names in the patch's order, the rest in
/// its old order, each of those before the first of the former that it stood
/// before. So new items come first, as with the API server.
fn arrange_items(
    merged: Vec<Value>,
    before: &[Value],
    order: &[Value],
    same: &dyn Fn(&Value, &Value) -> bool,
) -> Vec<Value> {
    let place = |list: &[Value], item: &Value| list.iter().position(|other| same(other, item));
    let (mut named, rest): (Vec<_>, Vec<_>) = merged
        .into_iter()
        .partition(|item| place(order, item).is_some());
    named.sort_by_key(|item| place(order, item));

    let mut arranged = Vec::with_capacity(named.len() + rest.len());
    let mut named = named.into_iter().peekable();
    let mut rest = rest.into_iter().peekable();
    loop {
        let from_rest = match (rest.peek(), named.peek()) {
            (None, None) => return arranged,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(left), Some(right)) => match (place(before, left), place(before, right)) {
                (Some(left), Some(right)) => left < right,
                _ => false,
            },
        };
        arranged.extend(if from_rest { rest.next() } else { named.next() });
    }
}

/// A value of the patch that takes a place of its own: its directives and nulls
/// have nothing to act on. `None` if it was nothing but a directive.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(object) => {
            if object.contains_key(DIRECTIVE) && object.get(DIRECTIVE) == Some(&"delete".into()) {
                return None;
            }
            let only_directives =
                !object.is_empty() && object.keys().all(|key| key.starts_with('$'));
            if only_directives {
                return None;
            }
            let kept = object
                .into_iter()
                .filter(|(key, value)| !key.starts_with('$') && !value.is_null())
                .filter_map(|(key, value)| Some((key, without_directives(value)?)));
            Some(Value::Object(kept.collect()))
        }
        Value::Array(items) => Some(Value::Array(
            items.into_iter().filter_map(without_directives).collect(),
        )),
        scalar => Some(scalar),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(mut target: Value, patch: Value) -> Value {
        apply(&mut target, patch, Schema::Workload).unwrap();
        target
    }

    fn pod() -> Value {
        json!({"spec": {
            "containers": [{
                "name": "etcd",
                "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                "volumeMounts": [{"mountPath": "/a", "name": "a"}],
                "ports": [{"containerPort": 2381, "name": "probe-port"}],
                "resources": {"requests": {"cpu": "100m", "memory": "100Mi"}},
                "command": ["etcd", "--a=b"],
            }],
            "tolerations": [{"operator": "Exists"}],
            "volumes": [{"name": "a", "hostPath": {"path": "/a"}}],
        }})
    }

    #[test]
    fn containers_merge_by_name_and_maps_deeply() {
        let after = patched(
            pod(),
            json!({"spec": {"containers": [
                {"name": "etcd", "resources": {"requests": {"cpu": "1", "memory": null}, "limits": {"cpu": "2"}}},
            ]}}),
        );
        let container = &after["spec"]["containers"][0];
        assert_eq!(
            container["resources"],
            json!({"requests": {"cpu": "1"}, "limits": {"cpu": "2"}})
        );
        assert_eq!(container["command"], json!(["etcd", "--a=b"]));
    }

    #[test]
    fn new_items_come_first_and_known_ones_keep_their_place() {
        let after = patched(
            pod(),
            json!({"spec": {"containers": [{"name": "etcd", "env": [
                {"name": "C", "value": "3"}, {"name": "B", "value": "4"},
            ]}]}}),
        );
        // A stood before B, but C is new: C leads, then A before B.
        let env = &after["spec"]["containers"][0]["env"];
        assert_eq!(
            *env,
            json!([
                {"name": "C", "value": "3"}, {"name": "A", "value": "1"}, {"name": "B", "value": "4"},
            ])
        );
    }

    #[test]
    fn every_list_has_its_own_key() {
        let after = patched(
            pod(),
            json!({"spec": {
                "containers": [{
                    "name": "etcd",
                    "volumeMounts": [{"mountPath": "/a", "readOnly": true}],
                    "ports": [{"containerPort": 2381, "hostPort": 2381}],
                }],
                "volumes": [{"name": "b", "emptyDir": {}}],
                "hostAliases": [{"ip": "192.0.2.1", "hostnames": ["x"]}],
            }}),
        );
        let container = &after["spec"]["containers"][0];
        assert_eq!(
            container["volumeMounts"],
            json!([{"mountPath": "/a", "name": "a", "readOnly": true}])
        );
        assert_eq!(
            container["ports"],
            json!([{"containerPort": 2381, "name": "probe-port", "hostPort": 2381}])
        );
        assert_eq!(after["spec"]["volumes"].as_array().unwrap().len(), 2);
        assert_eq!(after["spec"]["hostAliases"][0]["hostnames"], json!(["x"]));
    }

    #[test]
    fn lists_without_a_key_are_replaced() {
        let after = patched(
            pod(),
            json!({"spec": {
                "tolerations": [{"key": "x", "operator": "Exists"}],
                "containers": [{"name": "etcd", "command": ["etcd"]}],
            }}),
        );
        assert_eq!(
            after["spec"]["tolerations"],
            json!([{"key": "x", "operator": "Exists"}])
        );
        assert_eq!(after["spec"]["containers"][0]["command"], json!(["etcd"]));
    }

    #[test]
    fn items_are_deleted_by_directive() {
        let after = patched(
            pod(),
            json!({"spec": {"containers": [{"name": "etcd", "env": [
                {"name": "A", "$patch": "delete"},
            ]}]}}),
        );
        assert_eq!(
            after["spec"]["containers"][0]["env"],
            json!([{"name": "B", "value": "2"}])
        );
    }

    #[test]
    fn lists_and_maps_are_replaced_by_directive() {
        let after = patched(
            pod(),
            json!({"spec": {
                "volumes": [{"$patch": "replace"}, {"name": "z", "emptyDir": {}}],
                "containers": [{"name": "etcd", "resources": {"$patch": "replace", "limits": {"cpu": "1"}}}],
            }}),
        );
        assert_eq!(
            after["spec"]["volumes"],
            json!([{"name": "z", "emptyDir": {}}])
        );
        assert_eq!(
            after["spec"]["containers"][0]["resources"],
            json!({"limits": {"cpu": "1"}})
        );
        let after = patched(
            pod(),
            json!({"spec": {"containers": [
                {"name": "etcd", "resources": {"$patch": "delete"}},
            ]}}),
        );
        assert_eq!(after["spec"]["containers"][0]["resources"], json!({}));
    }

    #[test]
    fn element_order_is_obeyed() {
        let after = patched(
            pod(),
            json!({"spec": {"containers": [{
                "name": "etcd",
                "$setElementOrder/env": [{"name": "B"}, {"name": "A"}],
                "env": [{"name": "A", "value": "9"}],
            }]}}),
        );
        assert_eq!(
            after["spec"]["containers"][0]["env"],
            json!([
                {"name": "B", "value": "2"}, {"name": "A", "value": "9"},
            ])
        );
    }

    #[test]
    fn retained_keys_drop_the_others() {
        let after = patched(
            pod(),
            json!({"spec": {"volumes": [
                {"name": "a", "$retainKeys": ["name", "emptyDir"], "emptyDir": {}},
            ]}}),
        );
        assert_eq!(
            after["spec"]["volumes"],
            json!([{"name": "a", "emptyDir": {}}])
        );
        let mut target = pod();
        let wrong =
            json!({"spec": {"volumes": [{"name": "a", "$retainKeys": ["name"], "emptyDir": {}}]}});
        assert!(apply(&mut target, wrong, Schema::Workload).is_err());
    }

    #[test]
    fn nulls_and_directives_leave_no_trace() {
        let after = patched(
            json!({}),
            json!({
                "a": {"b": null, "c": 1}, "d": null, "e": {"$patch": "delete"},
                "f": {"$retainKeys": ["x"], "x": 1},
            }),
        );
        assert_eq!(after, json!({"a": {"c": 1}, "f": {"x": 1}}));
    }

    #[test]
    fn finalizers_merge_as_a_set() {
        let after = patched(
            json!({"finalizers": ["a", "b"]}),
            json!({"finalizers": ["c"], "$deleteFromPrimitiveList/finalizers": ["a"]}),
        );
        assert_eq!(after, json!({"finalizers": ["c", "b"]}));
    }

    #[test]
    fn mistakes_are_told() {
        let wrong = |patch| apply(&mut pod(), patch, Schema::Workload).unwrap_err();
        insta::assert_snapshot!(wrong(json!({"spec": {"containers": [{"image": "x"}]}})), @"an item of `containers` lacks its key, `name`");
        insta::assert_snapshot!(wrong(json!({"spec": {"$patch": "merge"}})), @"$patch is neither `replace` nor `delete`");
        insta::assert_snapshot!(wrong(json!({"spec": {"volumes": [{"$patch": "delete"}]}})), @"`$patch: delete` in `volumes` lacks `name`");
        insta::assert_snapshot!(wrong(json!([])), @"a strategic merge patch is an object, and so is what it patches");
    }

    #[test]
    fn configuration_has_no_merge_keys() {
        let mut config = json!({"env": [{"name": "a"}], "deep": {"x": 1}});
        apply(
            &mut config,
            json!({"env": [{"name": "b"}], "deep": {"y": 2}}),
            Schema::Config,
        )
        .unwrap();
        assert_eq!(
            config,
            json!({"env": [{"name": "b"}], "deep": {"x": 1, "y": 2}})
        );
    }
}
