//! Our settings over those that a host has: only what is ours changes.

use serde_json::{Map, Value};
use toml_edit::{Array, InlineTable, Item, Table, TableLike, value};

pub(super) use super::existing::Unusable;
use super::existing::{Existing, parse};
use super::{CRI, RUNTIME, in_version};

/// Lists that ours adds to. All others replace the host's.
const ADDED_TO: [&str; 4] = [
    "imports",
    "disabled_plugins",
    "required_plugins",
    "bin_dirs",
];

/// Names under which the CRI may be switched off.
const CRI_NAMES: [&str; 4] = ["cri", CRI, RUNTIME, super::IMAGES];

/// A host's configuration with ours over it.
pub(super) struct Kept {
    pub(super) text: String,
    /// Whether anything in it changes.
    pub(super) has_changed: bool,
    /// Whether all of what the host has was ours.
    pub(super) is_ours: bool,
    /// Our settings, and earlier ones that are still in the host's file.
    pub(super) ours: Value,
}

/// Merges our settings, in version 3, over a host's.
///
/// # Errors
/// A setting of the host's that has another shape than ours.
pub(super) fn merge(
    existing: Existing<'_>,
    ours: &Value,
    containerd: Option<(u32, u32)>,
) -> Result<Kept, Unusable> {
    let shape = |why: String| Unusable {
        why,
        lost: Vec::new(),
    };
    let ours = in_version(ours, existing.version, containerd).map_err(shape)?;
    let Existing {
        mut document,
        version,
        files,
    } = existing;
    let before = to_json(document.as_item());
    let earlier = match files.is_ours() {
        true => Some(before.clone()),
        false => files
            .ours()
            .and_then(|text| serde_json::from_str(text).ok()),
    };
    let is_ours = earlier
        .as_ref()
        .is_some_and(|earlier| is_nothing(&without(&before, earlier)));
    let original = files.original.as_deref().and_then(|text| {
        let original = parse(text).ok()?;
        let same = original.get("version").and_then(Item::as_integer) == Some(version);
        same.then(|| to_json(original.as_item()))
    });
    let table = document.as_table_mut();
    if let Some(Value::Object(earlier)) = &earlier {
        take_away(table, earlier, &ours, original.as_ref());
    }
    let mut lost = Vec::new();
    if let Value::Object(settings) = &ours {
        lay_over(table, settings, "", &mut lost);
    }
    serve_cri(table);
    one_list_of_directories(table);
    if !lost.is_empty() {
        let why = "settings in it have another shape than containerd's".into();
        return Err(Unusable { why, lost });
    }
    let after = to_json(document.as_item());
    // A document in version 1 was put into another before.
    let first = files.config.as_deref().and_then(|text| parse(text).ok());
    let has_changed = first.is_none_or(|first| to_json(first.as_item()) != after);
    let text = match (has_changed, &files.config) {
        (false, Some(text)) => text.clone(),
        _ => document.to_string(),
    };
    let mut remembered = earlier.map_or(Value::Null, |earlier| common(&earlier, &before));
    json_patch::merge(&mut remembered, &ours);
    Ok(Kept {
        text,
        has_changed,
        is_ours,
        ours: remembered,
    })
}

/// Sets what is ours; a list that is added to keeps what is in it.
fn lay_over(
    table: &mut dyn TableLike,
    ours: &Map<String, Value>,
    at: &str,
    lost: &mut Vec<String>,
) {
    for (key, wanted) in ours {
        let path = join(at, key);
        match wanted {
            // Every version that is read is kept.
            _ if path == "version" => {}
            Value::Null => {}
            Value::Object(wanted) => {
                if table.get(key).is_none_or(Item::is_none) {
                    if wanted.is_empty() && !at.is_empty() {
                        continue;
                    }
                    let mut inner = Table::new();
                    inner.set_implicit(!wanted.values().any(|value| !value.is_object()));
                    table.insert(key, Item::Table(inner));
                }
                match table.get_mut(key).and_then(Item::as_table_like_mut) {
                    Some(inner) => lay_over(inner, wanted, &path, lost),
                    None => lost.push(path),
                }
            }
            Value::Array(wanted) if ADDED_TO.contains(&key.as_str()) => match table.get_mut(key) {
                Some(item) if item.is_array() => {
                    if let Some(list) = item.as_array_mut() {
                        add_missing(list, wanted);
                    }
                }
                Some(item) if !item.is_none() => lost.push(path),
                _ => set(table, key, &Value::Array(wanted.clone())),
            },
            wanted => match table.get(key) {
                Some(item) if item.as_table_like().is_some() => lost.push(path),
                Some(item) if to_json(item) == *wanted => {}
                _ => set(table, key, wanted),
            },
        }
    }
}

fn add_missing(list: &mut Array, wanted: &[Value]) {
    for one in wanted {
        let known = list.iter().any(|item| value_json(item) == *one);
        if let (false, Some(new)) = (known, to_toml(one)) {
            list.push(new);
        }
    }
}

fn set(table: &mut dyn TableLike, key: &str, wanted: &Value) {
    let Some(mut new) = to_toml(wanted) else {
        return;
    };
    match table.get_mut(key) {
        // In its place, with the comment behind it, which is about the setting.
        Some(item) => {
            if let Some(old) = item.as_value() {
                *new.decor_mut() = old.decor().clone();
            }
            *item = value(new);
        }
        None => {
            table.insert(key, value(new));
        }
    }
}

/// Takes settings away that were ours and no longer are, if they are as we left them: what
/// the host had before we came is set again.
fn take_away(
    table: &mut dyn TableLike,
    earlier: &Map<String, Value>,
    ours: &Value,
    original: Option<&Value>,
) {
    for (key, was) in earlier {
        let (now, theirs) = (ours.get(key), original.and_then(|all| all.get(key)));
        if key == "version" || ADDED_TO.contains(&key.as_str()) {
            continue;
        }
        match (was, now.unwrap_or(&Value::Null)) {
            (Value::Object(was), now @ (Value::Object(_) | Value::Null)) => {
                let Some(inner) = table.get_mut(key).and_then(Item::as_table_like_mut) else {
                    continue;
                };
                take_away(inner, was, now, theirs);
                if inner.is_empty() && now.is_null() && theirs.is_none() {
                    table.remove(key);
                }
            }
            (was, Value::Null) if table.get(key).is_some_and(|item| to_json(item) == *was) => {
                match theirs {
                    Some(theirs) if !theirs.is_object() => set(table, key, theirs),
                    _ => {
                        table.remove(key);
                    }
                }
            }
            _ => {}
        }
    }
}

/// What serves the kubelet is not switched off.
fn serve_cri(table: &mut dyn TableLike) {
    if let Some(list) = table
        .get_mut("disabled_plugins")
        .and_then(Item::as_array_mut)
    {
        list.retain(|name| !name.as_str().is_some_and(|name| CRI_NAMES.contains(&name)));
    }
}

/// containerd 2.1 and later refuse `bin_dir` beside `bin_dirs`.
fn one_list_of_directories(table: &mut dyn TableLike) {
    let mut at: &mut dyn TableLike = table;
    for key in ["plugins", RUNTIME, "cni"] {
        match at.get_mut(key).and_then(Item::as_table_like_mut) {
            Some(inner) => at = inner,
            None => return,
        }
    }
    if at.get("bin_dirs").is_none() {
        return;
    }
    let Some(single) = at.remove("bin_dir") else {
        return;
    };
    if let Some(list) = at.get_mut("bin_dirs").and_then(Item::as_array_mut) {
        let single = to_json(&single);
        if single.as_str().is_some_and(|single| !single.is_empty()) {
            add_missing(list, &[single]);
        }
    }
}

/// What of `all` is not in `part` with the same value, tables without anything left out.
fn without(all: &Value, part: &Value) -> Value {
    match (all, part) {
        (Value::Object(all), Value::Object(part)) => {
            let rest = all.iter().filter_map(|(key, value)| {
                let rest = match part.get(key) {
                    Some(part) => without(value, part),
                    None => value.clone(),
                };
                (!is_nothing(&rest)).then(|| (key.clone(), rest))
            });
            Value::Object(rest.collect())
        }
        (all, part) if all == part => Value::Null,
        (all, _) => all.clone(),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(all) => all
            .iter()
            .all(|(key, value)| key == "version" || is_nothing(value)),
        _ => false,
    }
}

/// What both have with the same value.
fn common(one: &Value, other: &Value) -> Value {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let both = one.iter().filter_map(|(key, value)| {
                let both = common(value, other.get(key)?);
                (!both.is_null()).then(|| (key.clone(), both))
            });
            Value::Object(both.collect())
        }
        (one, other) if one == other => one.clone(),
        _ => Value::Null,
    }
}

/// Whether a configuration holds what others must not read: the credentials of a registry,
/// or those in the URL of a proxy.
pub(super) fn has_secrets(text: &str) -> bool {
    parse(text).is_ok_and(|document| holds_secret(&to_json(document.as_item())))
}

fn holds_secret(config: &Value) -> bool {
    let names = ["auth", "password", "identitytoken", "identity_token"];
    match config {
        Value::Object(all) => all.iter().any(|(key, value)| {
            let key = key.to_lowercase();
            let named = names.contains(&key.as_str()) || key == "authorization";
            let given = !matches!(value, Value::Null) && value.as_str() != Some("");
            named && given && !value.is_object() || holds_secret(value)
        }),
        Value::Array(all) => all.iter().any(holds_secret),
        Value::String(value) => text::password::has_password(value),
        _ => false,
    }
}

/// A part of a configuration as JSON; dates as text.
pub(super) fn to_json(item: &Item) -> Value {
    match item {
        Item::None => Value::Null,
        Item::Value(value) => value_json(value),
        Item::Table(table) => table_json(table),
        Item::ArrayOfTables(tables) => tables.iter().map(|table| table_json(table)).collect(),
    }
}

fn table_json(table: &dyn TableLike) -> Value {
    let entries = table
        .iter()
        .map(|(key, item)| (key.to_owned(), to_json(item)));
    Value::Object(entries.collect())
}

fn value_json(value: &toml_edit::Value) -> Value {
    use toml_edit::Value as Toml;
    match value {
        Toml::String(text) => text.value().as_str().into(),
        Toml::Integer(number) => (*number.value()).into(),
        Toml::Float(number) => (*number.value()).into(),
        Toml::Boolean(flag) => (*flag.value()).into(),
        Toml::Datetime(time) => time.value().to_string().into(),
        Toml::Array(items) => items.iter().map(value_json).collect(),
        Toml::InlineTable(table) => table_json(table),
    }
}

fn to_toml(wanted: &Value) -> Option<toml_edit::Value> {
    Some(match wanted {
        Value::Null => return None,
        Value::Bool(flag) => (*flag).into(),
        Value::Number(number) => match number.as_i64() {
            Some(number) => number.into(),
            None => number.as_f64()?.into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => Array::from_iter(items.iter().filter_map(to_toml)).into(),
        Value::Object(all) => {
            let mut table = InlineTable::new();
            for (key, value) in all {
                if let Some(value) = to_toml(value) {
                    table.insert(key, value);
                }
            }
            table.into()
        }
    })
}

fn join(at: &str, key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let key = match key.chars().all(plain) {
        true => key.to_owned(),
        false => format!("\"{key}\""),
    };
    match at {
        "" => key,
        at => format!("{at}.{key}"),
    }
}
