//! Configurations of version 3 for each containerd: in its words, or in version 2.

use serde_json::{Map, Value};

use super::{CRI, IMAGES, RUNTIME};
use crate::kubernetes::tree;

/// containerd 2.1 has a list where 2.0 has one directory, and refuses both at
/// once.
pub(super) fn cni_directories(config: &mut Value, list: bool) {
    let Some(cni) = config
        .pointer_mut(&format!("/plugins/{RUNTIME}/cni"))
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    if list {
        if let Some(directory) = cni.remove("bin_dir") {
            cni.entry("bin_dirs")
                .or_insert_with(|| Value::Array(vec![directory]));
        }
    } else {
        first_directory(cni);
    }
}

/// The first of `bin_dirs` as `bin_dir`.
fn first_directory(cni: &mut Map<String, Value>) {
    if let Some(Value::Array(directories)) = cni.remove("bin_dirs") {
        cni.extend(
            directories
                .into_iter()
                .next()
                .map(|directory| ("bin_dir".to_owned(), directory)),
        );
    }
}

/// Puts a configuration of version 3 into version 2: the CRI plugin's three
/// parts become one again.
pub(super) fn version_2(mut config: Value) -> Option<Value> {
    tree::set_field(&mut config, "version", 2);
    let plugins = config.get_mut("plugins")?.as_object_mut()?;
    let mut part = |name| match plugins.remove(name) {
        Some(Value::Object(part)) => part,
        _ => Map::new(),
    };
    let (images, runtime, streaming) = (part(IMAGES), part(RUNTIME), part(CRI));

    let mut cri = Value::Object(streaming);
    tree::merge_over(&mut cri, &runtime);
    for (key, value) in images {
        let (path, value) = match (key.as_str(), value) {
            ("pinned_images", mut pinned) => (vec!["sandbox_image"], pinned["sandbox"].take()),
            ("snapshotter" | "disable_snapshot_annotations" | "discard_unpacked_layers", value) => {
                (vec!["containerd", key.as_str()], value)
            }
            // containerd 1 always unpacks images by itself.
            ("use_local_image_pull", _) => continue,
            (_, value) => (vec![key.as_str()], value),
        };
        // What is null was taken away by the operator.
        if !value.is_null() {
            let nested = path.into_iter().rev().fold(value, |inner, key| {
                Value::Object(Map::from_iter([(key.to_owned(), inner)]))
            });
            json_patch::merge(&mut cri, &nested);
        }
    }
    if let Some(cni) = cri.get_mut("cni").and_then(Value::as_object_mut) {
        first_directory(cni);
    }
    if let Some(Value::Object(runtimes)) = cri.pointer_mut("/containerd/runtimes") {
        for runtime in runtimes.values_mut().filter_map(Value::as_object_mut) {
            if let Some(sandboxer) = runtime.remove("sandboxer") {
                runtime.insert("sandbox_mode".into(), sandboxer);
            }
        }
    }
    plugins.insert(CRI.into(), cri);
    Some(config)
}
