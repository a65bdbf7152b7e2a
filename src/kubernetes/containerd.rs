//! containerd: all that rendering knows of it. Another container runtime would
//! be a file like this one, with its own `resources`.
//!
//! Its configuration, ours and the operator's, is in version 3, the one of
//! containerd 2; for containerd 1 the result is translated.

use serde_json::{Map, Value};

use super::context::NodeContext;
use super::error::KubernetesError;
use super::{tree, versions};
use crate::host::{FileResource, Resource};
use crate::layout::{names, paths};

const TEMPLATE: &str = "containerd/config.toml.j2";
const IMAGES: &str = "io.containerd.cri.v1.images";
const RUNTIME: &str = "io.containerd.cri.v1.runtime";
/// The one CRI plugin of containerd 1. In version 3 its name lives on for the
/// streaming server's settings.
const CRI: &str = "io.containerd.grpc.v1.cri";

/// Its files on a node; none where the operator configures it.
pub(crate) fn runtime_resources(ctx: &NodeContext<'_>) -> Result<Vec<Resource>, KubernetesError> {
    if !ctx.cluster.containerd.managed {
        return Ok(Vec::new());
    }
    let file = FileResource::text(paths::CONTAINERD_CONFIG, render_config(ctx)?);
    Ok(vec![Resource::File(file.notify(names::CONTAINERD_UNIT))])
}

/// The text of config.toml for the containerd that the host has. Where its version
/// is unknown, that is version 2, which every containerd from 1.6 on reads.
fn render_config(ctx: &NodeContext<'_>) -> Result<String, KubernetesError> {
    let failed = |reason: String| KubernetesError::Containerd {
        host: ctx.host.name.clone(),
        reason,
    };
    let mut view = ctx.view()?;
    tree::set_field(&mut view, "cniBinDir", ctx.cni_bin_dir);
    let driver = ctx
        .host
        .kubelet_config
        .get("cgroupDriver")
        .and_then(Value::as_str);
    tree::set_field(&mut view, "systemdCgroup", driver != Some("cgroupfs"));
    let text = ctx.templates.render(TEMPLATE, &view)?;
    let mut config: Value = toml::from_str(&text).map_err(|error| {
        ctx.templates
            .unexpected(TEMPLATE, "valid TOML", error.message())
    })?;
    tree::merge_over(&mut config, &ctx.cluster.containerd.config);

    let version = ctx
        .facts
        .containerd_version
        .as_deref()
        .and_then(versions::major_minor);
    match version {
        Some(version) if version >= (2, 0) => cni_directories(&mut config, version >= (2, 1)),
        _ => config = version_2(config).ok_or_else(|| failed("`plugins` is not a table".into()))?,
    }
    toml::to_string(&config).map_err(|error| failed(error.to_string()))
}

/// containerd 2.1 has a list where 2.0 has one directory, and refuses both at
/// once.
fn cni_directories(config: &mut Value, list: bool) {
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
fn version_2(mut config: Value) -> Option<Value> {
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
