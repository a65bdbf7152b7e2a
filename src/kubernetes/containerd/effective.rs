//! What containerd makes of its configuration and of the files that it imports.

use serde_json::{Map, Value};

use super::existing::{parse, version_2_name};
use super::merge::to_json;
use super::translate::version_2;

/// Tables of which a later file replaces entries whole, in every containerd.
const WHOLE_ENTRIES: [&str; 3] = ["stream_processors", "proxy_plugins", "timeouts"];

/// An imported file.
pub(super) struct Import<'a> {
    pub(super) path: &'a str,
    pub(super) config: Value,
}

impl<'a> Import<'a> {
    /// Reads one; `None` if it isn't TOML.
    pub(super) fn read(path: &'a str, text: &str) -> Option<Self> {
        let config = to_json(parse(text).ok()?.as_item());
        Some(Import { path, config })
    }

    pub(super) fn version(&self) -> i64 {
        self.config
            .get("version")
            .and_then(Value::as_i64)
            .unwrap_or(1)
    }
}

/// The configuration with its imports over it, in their order. `deep` is how containerd 2.1
/// and later merge plugins: key by key; earlier ones take a plugin's table whole from the last
/// file that has one.
pub(super) fn with_imports(main: &Value, imports: &[Import<'_>], deep: bool) -> Value {
    let version = |config: &Value| config.get("version").and_then(Value::as_i64);
    let mixed = imports
        .iter()
        .any(|one| version(&one.config).is_some_and(|own| Some(own) != version(main)));
    let same = |config: &Value| match mixed {
        true => in_version_2(config),
        false => config.clone(),
    };
    let mut result = same(main);
    for import in imports {
        let config = same(&import.config);
        let Value::Object(from) = config else {
            continue;
        };
        if let Value::Object(to) = &mut result {
            merge_file(to, from, deep);
        }
    }
    result
}

/// Whatever version it is in, in version 2.
pub(super) fn in_version_2(config: &Value) -> Value {
    if config.get("version").and_then(Value::as_i64) >= Some(3) {
        return version_2(config.clone()).unwrap_or_else(|| config.clone());
    }
    let mut config = config.clone();
    if let Some(plugins) = config.get_mut("plugins").and_then(Value::as_object_mut) {
        let renamed = std::mem::take(plugins).into_iter();
        *plugins = renamed
            .map(|(name, settings)| (version_2_name(&name).unwrap_or(name), settings))
            .collect();
    }
    config
}

fn merge_file(to: &mut Map<String, Value>, from: Map<String, Value>, deep: bool) {
    for (key, value) in from {
        let whole = WHOLE_ENTRIES.contains(&key.as_str()) || key == "plugins" && !deep;
        match (to.get_mut(&key), value) {
            (Some(Value::Object(to)), Value::Object(from)) if whole => to.extend(from),
            (Some(old), value) => merge_value(old, value),
            (None, value) => {
                to.insert(key, value);
            }
        }
    }
}

fn merge_value(old: &mut Value, new: Value) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in new {
                match old.get_mut(&key) {
                    Some(old) => merge_value(old, value),
                    None => {
                        old.insert(key, value);
                    }
                }
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for one in new {
                if !old.contains(&one) {
                    old.push(one);
                }
            }
        }
        // What a file leaves empty, it does not change.
        (_, Value::Null) => {}
        (_, Value::String(text)) if text.is_empty() => {}
        (old, new) => *old = new,
    }
}
