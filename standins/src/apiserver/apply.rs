//! Server-side apply: who owns which field, what conflicts, what vanishes.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::api::{Result, err, items, now, text};
use crate::schema::{ListKind, Type};

/// A field: `f:name`, `k:{"name":"x"}` and `v:"x"` one inside the other, as in `fieldsV1`.
type Path = Vec<String>;
/// A set of fields.
type Fields = BTreeSet<Path>;

/// Metadata that nobody owns.
const UNOWNED: [&str; 8] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "generation",
    "managedFields",
    "deletionTimestamp",
];

/// How a field is written in a conflict: `.spec.containers[name="c"].image`.
fn dotted(path: &[String]) -> String {
    path.iter()
        .map(|part| match part.split_at(2) {
            ("f:", name) => format!(".{name}"),
            (_, key) => {
                let key: Value = serde_json::from_str(key).unwrap_or_default();
                let fields = key.as_object().map(|k| {
                    let pairs: Vec<String> = k.iter().map(|(k, v)| format!("{k}={v}")).collect();
                    pairs.join(",")
                });
                format!("[{}]", fields.unwrap_or_else(|| format!("={key}")))
            }
        })
        .collect()
}

fn key_of(item: &Value, keys: &[String], t: Option<Type>) -> String {
    let mut key = Map::new();
    for name in keys {
        let default = t.filter(|_| name == "protocol").map(|_| json!("TCP"));
        if let Some(value) = item.get(name).cloned().or(default) {
            key.insert(name.clone(), value);
        }
    }
    format!("k:{}", Value::Object(key))
}

/// The fields that an object sets.
fn fields_of(value: &Value, t: Option<Type>, at: &mut Path, out: &mut Fields) {
    match value {
        Value::Object(object) if !t.is_some_and(Type::is_atomic) && !object.is_empty() => {
            for (name, inner) in object {
                if at.is_empty() && matches!(name.as_str(), "apiVersion" | "kind") {
                    continue;
                }
                if at.len() == 1 && at[0] == "f:metadata" && UNOWNED.contains(&name.as_str()) {
                    continue;
                }
                at.push(format!("f:{name}"));
                fields_of(inner, t.and_then(|t| t.field(name)), at, out);
                at.pop();
            }
        }
        Value::Array(list) => match t.map(Type::list_kind) {
            Some(ListKind::Set) => {
                for item in list {
                    at.push(format!("v:{item}"));
                    out.insert(at.clone());
                    at.pop();
                }
            }
            Some(ListKind::Map(keys)) => {
                let inner = t.and_then(Type::item);
                for item in list {
                    at.push(key_of(item, &keys, inner));
                    out.insert(at.clone());
                    fields_of(item, inner, at, out);
                    at.pop();
                }
            }
            _ => {
                out.insert(at.clone());
            }
        },
        _ => {
            if !at.is_empty() {
                out.insert(at.clone());
            }
        }
    }
}

fn fields(value: &Value, t: Option<Type>) -> Fields {
    let mut out = Fields::new();
    fields_of(value, t, &mut vec![], &mut out);
    out
}

fn find<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter()
        .try_fold(value, |value, part| match part.split_at(2) {
            ("f:", name) => value.get(name),
            ("k:", key) => {
                let key: Map<String, Value> = serde_json::from_str(key).ok()?;
                value
                    .as_array()?
                    .iter()
                    .find(|item| matches_key(item, &key))
            }
            (_, scalar) => {
                let scalar: Value = serde_json::from_str(scalar).ok()?;
                value.as_array()?.iter().find(|item| **item == scalar)
            }
        })
}

fn matches_key(item: &Value, key: &Map<String, Value>) -> bool {
    key.iter().all(|(k, v)| {
        item.get(k)
            .map_or(k == "protocol" && v == "TCP", |have| have == v)
    })
}

fn remove(value: &mut Value, path: &[String]) {
    let Some((part, rest)) = path.split_first() else {
        return;
    };
    let (kind, name) = part.split_at(2);
    match (kind, rest.is_empty()) {
        ("f:", true) => {
            if let Some(object) = value.as_object_mut() {
                object.remove(name);
            }
        }
        ("f:", false) => {
            if let Some(inner) = value.get_mut(name) {
                remove(inner, rest);
                // Go drops what has become empty when it encodes.
                if inner.as_object().is_some_and(Map::is_empty)
                    || inner.as_array().is_some_and(Vec::is_empty)
                {
                    remove(value, &path[..1]);
                }
            }
        }
        ("k:", last) => {
            let key: Map<String, Value> = serde_json::from_str(name).unwrap_or_default();
            if let Some(list) = value.as_array_mut()
                && let Some(at) = list.iter().position(|item| matches_key(item, &key))
            {
                if last {
                    list.remove(at);
                } else {
                    remove(&mut list[at], rest);
                }
            }
        }
        _ => {
            let scalar: Value = serde_json::from_str(name).unwrap_or_default();
            if let Some(list) = value.as_array_mut() {
                list.retain(|item| *item != scalar);
            }
        }
    }
}

fn merge(live: &mut Value, applied: &Value, t: Option<Type>) {
    match (applied, t.map(Type::list_kind)) {
        (Value::Object(object), _) if !t.is_some_and(Type::is_atomic) => {
            if !live.is_object() {
                *live = json!({});
            }
            for (name, inner) in object {
                if inner.is_null() {
                    continue;
                }
                merge(
                    &mut live[name.as_str()],
                    inner,
                    t.and_then(|t| t.field(name)),
                );
            }
        }
        (Value::Array(list), Some(ListKind::Set)) if live.is_array() => {
            if let Some(have) = live.as_array_mut() {
                have.extend(
                    list.iter()
                        .filter(|i| !have.contains(i))
                        .cloned()
                        .collect::<Vec<_>>(),
                );
            }
        }
        (Value::Array(list), Some(ListKind::Map(keys))) if live.is_array() => {
            let inner = t.and_then(Type::item);
            if let Some(have) = live.as_array_mut() {
                for item in list {
                    let key = key_of(item, &keys, inner);
                    match have.iter_mut().find(|h| key_of(h, &keys, inner) == key) {
                        Some(slot) => merge(slot, item, inner),
                        None => have.push(item.clone()),
                    }
                }
            }
        }
        _ => *live = applied.clone(),
    }
}

fn to_json(fields: &Fields) -> Value {
    let mut root = json!({});
    for path in fields {
        let mut at = &mut root;
        for part in path {
            at = &mut at[part.as_str()];
            if at.is_null() {
                *at = json!({});
            }
        }
        at["."] = json!({});
    }
    fn tidy(value: &mut Value) {
        if let Some(object) = value.as_object_mut() {
            if object.len() == 1 && object.contains_key(".") {
                object.clear();
            }
            object.values_mut().for_each(tidy);
        }
    }
    tidy(&mut root);
    root
}

fn from_json(value: &Value) -> Fields {
    fn walk(value: &Value, at: &mut Path, out: &mut Fields) {
        let Some(object) = value.as_object() else {
            return;
        };
        if object.is_empty() || object.contains_key(".") {
            out.insert(at.clone());
        }
        for (name, inner) in object.iter().filter(|(n, _)| *n != ".") {
            at.push(name.clone());
            walk(inner, at, out);
            at.pop();
        }
    }
    let mut out = Fields::new();
    walk(value, &mut vec![], &mut out);
    out.remove(&Path::new());
    out
}

struct Manager {
    name: String,
    operation: String,
    subresource: String,
    api_version: String,
    time: String,
    fields: Fields,
}

fn managers(object: &Value) -> Vec<Manager> {
    let text = |entry: &Value, field: &str| text(entry, field).to_owned();
    items(object, "/metadata/managedFields")
        .map(|m| Manager {
            name: text(m, "manager"),
            operation: text(m, "operation"),
            subresource: text(m, "subresource"),
            api_version: text(m, "apiVersion"),
            time: text(m, "time"),
            fields: from_json(&m["fieldsV1"]),
        })
        .collect()
}

fn write(object: &mut Value, managers: Vec<Manager>) {
    let list: Vec<Value> = managers
        .into_iter()
        .filter(|m| !m.fields.is_empty())
        .map(|m| {
            let mut entry = json!({"manager": m.name, "operation": m.operation, "apiVersion": m.api_version, "time": m.time,
                                   "fieldsType": "FieldsV1", "fieldsV1": to_json(&m.fields)});
            if !m.subresource.is_empty() {
                entry["subresource"] = m.subresource.into();
            }
            entry
        })
        .collect();
    object["metadata"]["managedFields"] = Value::Array(list);
}

/// Takes fields from managers that want something else of them, if by force.
fn take_over(
    live: &Value,
    applied: &Value,
    wanted: &Fields,
    others: &mut [Manager],
    force: bool,
) -> Result<()> {
    let mut conflicts = vec![];
    for other in others {
        let shared: Vec<Path> = other.fields.intersection(wanted).cloned().collect();
        for path in shared {
            // An item of a keyed list is no conflict by being there.
            let is_item = path.last().is_some_and(|p| p.starts_with("k:"));
            if is_item || find(live, &path) == find(applied, &path) {
                continue;
            }
            if force {
                other.fields.remove(&path);
            } else {
                let (name, version) = (&other.name, &other.api_version);
                let path = dotted(&path);
                conflicts.push(format!("conflict with {name:?} using {version}: {path}"));
            }
        }
    }
    let s = if conflicts.len() == 1 { "" } else { "s" };
    match conflicts.len() {
        0 => Ok(()),
        n => Err(err!(
            409,
            "Apply failed with {n} conflict{s}: {}",
            conflicts.join(", ")
        )),
    }
}

/// Applies an object onto what is there (Null: nothing) for a manager.
pub fn apply(
    live: &Value,
    applied: &Value,
    t: Option<Type>,
    manager: &str,
    subresource: &str,
    force: bool,
) -> Result<Value> {
    if items(applied, "/metadata/managedFields").next().is_some() {
        return Err(err!(400, "metadata.managedFields must be nil"));
    }
    let wanted = fields(applied, t);
    let mut all = managers(live);
    let at = all
        .iter()
        .position(|m| m.name == manager && m.operation == "Apply" && m.subresource == subresource);
    let own = at.map(|at| all.remove(at));

    take_over(live, applied, &wanted, &mut all, force)?;

    let mut result = live.clone();
    let mut gone: Vec<Path> = own
        .iter()
        .flat_map(|o| &o.fields)
        .filter(|p| !wanted.contains(*p))
        .cloned()
        .collect();
    // Deepest first, so that a list's item goes after its fields.
    gone.sort_by_key(|p| std::cmp::Reverse(p.len()));
    for path in gone {
        let kept = all
            .iter()
            .flat_map(|m| &m.fields)
            .any(|p| p.starts_with(&path))
            || wanted.iter().any(|p| p.starts_with(&path));
        if !kept {
            remove(&mut result, &path);
        }
    }
    merge(&mut result, applied, t);
    let time = own
        .filter(|o| o.fields == wanted)
        .map_or_else(now, |o| o.time);
    all.push(Manager {
        name: manager.to_owned(),
        operation: "Apply".to_owned(),
        subresource: subresource.to_owned(),
        api_version: applied["apiVersion"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        time,
        fields: wanted,
    });
    write(&mut result, all);
    Ok(result)
}

/// Notes who changed what by a plain write.
pub fn track(old: &Value, new: &mut Value, t: Option<Type>, manager: &str, subresource: &str) {
    // What the client sent as managedFields is not to be believed.
    new["metadata"]["managedFields"] = old["metadata"]["managedFields"].clone();
    let (before, after) = (fields(old, t), fields(new, t));
    let changed: Fields = after
        .iter()
        .filter(|p| {
            !before.contains(*p)
                || !p.last().is_some_and(|l| l.starts_with("k:")) && find(old, p) != find(new, p)
        })
        .cloned()
        .collect();
    let mut all = managers(new);
    for m in &mut all {
        let is_self = m.name == manager && m.operation == "Update" && m.subresource == subresource;
        m.fields
            .retain(|p| after.contains(p) && (is_self || !changed.contains(p)));
    }
    if !changed.is_empty() {
        let at = all.iter().position(|m| {
            m.name == manager && m.operation == "Update" && m.subresource == subresource
        });
        let mut entry = at.map_or_else(
            || Manager {
                name: manager.to_owned(),
                operation: "Update".to_owned(),
                subresource: subresource.to_owned(),
                api_version: String::new(),
                time: String::new(),
                fields: Fields::new(),
            },
            |at| all.remove(at),
        );
        entry.fields.extend(changed);
        entry.api_version = new["apiVersion"].as_str().unwrap_or_default().to_owned();
        entry.time = now();
        all.push(entry);
    }
    write(new, all);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn map(data: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data})
    }

    fn config() -> Option<Type> {
        crate::schema::kind("v1", "ConfigMap")
    }

    #[test]
    fn a_field_that_is_no_longer_applied_vanishes() {
        let first = apply(
            &Value::Null,
            &map(json!({"x": "1", "y": "2"})),
            config(),
            "me",
            "",
            false,
        )
        .unwrap();
        let second = apply(&first, &map(json!({"x": "1"})), config(), "me", "", false).unwrap();
        assert_eq!(second["data"], json!({"x": "1"}));
        assert_eq!(
            second["metadata"]["managedFields"][0]["fieldsV1"],
            json!({"f:data": {"f:x": {}}})
        );
    }

    #[test]
    fn other_owners_conflict_unless_forced() {
        let first = apply(
            &Value::Null,
            &map(json!({"x": "1"})),
            config(),
            "me",
            "",
            false,
        )
        .unwrap();
        let error = apply(&first, &map(json!({"x": "2"})), config(), "you", "", false).unwrap_err();
        assert_eq!(
            error.message,
            "Apply failed with 1 conflict: conflict with \"me\" using v1: .data.x"
        );
        let forced = apply(&first, &map(json!({"x": "2"})), config(), "you", "", true).unwrap();
        assert_eq!(forced["data"]["x"], "2");
        // Not mine any more: to stop applying it leaves it alone.
        let left = apply(&forced, &map(json!({})), config(), "me", "", false).unwrap();
        assert_eq!(left["data"]["x"], "2");
    }

    #[test]
    fn keyed_lists_merge_and_a_plain_write_takes_over() {
        let deployment = crate::schema::kind("apps/v1", "Deployment");
        let object = |image: &str| {
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
                   "spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}})
        };
        let first = apply(&Value::Null, &object("a"), deployment, "me", "", false).unwrap();
        let mut changed = first.clone();
        changed["spec"]["template"]["spec"]["containers"][0]["image"] = "b".into();
        changed["spec"]["template"]["spec"]["containers"]
            .as_array_mut()
            .unwrap()
            .push(json!({"name": "side"}));
        track(&first, &mut changed, deployment, "kubectl", "");
        let error = apply(&changed, &object("a"), deployment, "me", "", false).unwrap_err();
        assert_eq!(
            error.message,
            "Apply failed with 1 conflict: conflict with \"kubectl\" using apps/v1: .spec.template.spec.containers[name=\"c\"].image"
        );
        let again = apply(&changed, &object("a"), deployment, "me", "", true).unwrap();
        assert_eq!(
            again["spec"]["template"]["spec"]["containers"]
                .as_array()
                .unwrap()
                .len(),
            2
        );
    }
}
