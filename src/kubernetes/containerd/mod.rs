//! containerd: all that rendering knows of it. Another container runtime would
//! be a file like this one, with its own `resources`.
//!
//! Our configuration, and the operator's in the inventory, is in version 3, the one of
//! containerd 2; for containerd 1 the result is translated. What a host has already is
//! changed in place (`merge`): comments, and every setting that is not ours, stay.

mod effective;
mod existing;
mod judge;
mod merge;
#[cfg(test)]
mod tests;
mod translate;

use serde_json::Value;

use super::context::NodeContext;
use super::error::KubernetesError;
use super::{tree, versions};
use crate::host::{FileResource, Merged, Resource};
use crate::layout::{names, paths};
use existing::Existing;
use merge::merge;

pub(crate) use judge::judge;

const TEMPLATE: &str = "containerd/config.toml.j2";
const IMAGES: &str = "io.containerd.cri.v1.images";
const RUNTIME: &str = "io.containerd.cri.v1.runtime";
/// The one CRI plugin of containerd 1. In version 3 its name lives on for the
/// streaming server's settings.
const CRI: &str = "io.containerd.grpc.v1.cri";

/// The check of what a host has already. Where the operator wants it ignored, ours replaces
/// what can't be kept.
pub(crate) const CHECK: &str = "ContainerdConfig";

/// Its files on a node; none where the operator configures it, or it is another runtime.
pub(crate) fn runtime_resources(ctx: &NodeContext<'_>) -> Result<Vec<Resource>, KubernetesError> {
    if !ctx.cluster.manages_containerd(ctx.host) {
        return Ok(Vec::new());
    }
    let (text, merged) = render_config(ctx)?;
    let mut file = FileResource::text(paths::CONTAINERD_CONFIG, text.text);
    if let Some(mode) = ctx.facts.containerd.mode.filter(|_| text.keeps_mode) {
        file = file.mode(mode & 0o777);
    }
    if text.has_secrets {
        file = file.secret();
    }
    file.merged = Some(merged);
    Ok(vec![Resource::File(file.notify(names::CONTAINERD_UNIT))])
}

/// The text of config.toml.
struct Rendered {
    text: String,
    /// Whether it is the host's own file, changed.
    keeps_mode: bool,
    /// Whether it holds passwords.
    has_secrets: bool,
}

/// What config.toml should be, and what of it is ours.
fn render_config(ctx: &NodeContext<'_>) -> Result<(Rendered, Merged), KubernetesError> {
    let failed = |reason: String| KubernetesError::Containerd {
        host: ctx.host.name.clone(),
        reason,
    };
    let ours = our_settings(ctx)?;
    let version = ctx.facts.containerd_version.as_deref();
    let version = version.and_then(versions::major_minor);
    let files = &ctx.facts.containerd;
    let outcome = Existing::read(files, version).map(|existing| {
        existing
            .map(|existing| merge(existing, &ours, version))
            .transpose()
    });
    let kept = match outcome.and_then(|outcome| outcome) {
        Ok(kept) => kept,
        // A file of ours that this containerd can't read is written again.
        Err(_) if files.is_ours() => None,
        Err(unusable) if is_ignored(ctx) => {
            tracing::debug!(%unusable, "replaced, as the operator wants it");
            None
        }
        Err(unusable) => return Err(failed(unusable.to_string())),
    };
    let keeps_mode = kept.as_ref().is_some_and(|kept| !kept.is_ours);
    let (text, ours) = match kept {
        Some(kept) if !kept.is_ours || !kept.has_changed => (kept.text, kept.ours),
        _ => {
            let fresh = in_words_of(&ours, version).map_err(failed)?;
            let text = toml::to_string(&fresh).map_err(|error| failed(error.to_string()))?;
            (text, fresh)
        }
    };
    let has_secrets = merge::has_secrets(&text);
    let merged = Merged {
        ours: ours.to_string(),
        based_on: files.sha256(),
    };
    let rendered = Rendered {
        text,
        keeps_mode,
        has_secrets,
    };
    Ok((rendered, merged))
}

/// Whether the operator accepts that what a host has is replaced.
fn is_ignored(ctx: &NodeContext<'_>) -> bool {
    let check = CHECK.to_lowercase();
    let mut ignored = ctx.host.preflight_ignore.iter();
    ignored.any(|name| *name == check || name == "all")
}

/// Our settings and the inventory's over them, in version 3.
fn our_settings(ctx: &NodeContext<'_>) -> Result<Value, KubernetesError> {
    let mut view = ctx.view()?;
    tree::set_field(&mut view, "cniBinDir", ctx.cni_bin_dir);
    tree::set_field(&mut view, "systemdCgroup", uses_systemd(ctx.host));
    let text = ctx.templates.render(TEMPLATE, &view)?;
    let mut config: Value = toml::from_str(&text).map_err(|error| {
        ctx.templates
            .unexpected(TEMPLATE, "valid TOML", error.message())
    })?;
    tree::merge_over(&mut config, &ctx.cluster.containerd.config);
    Ok(config)
}

/// Whether pods' cgroups are systemd's: the kubelet and containerd have to agree.
fn uses_systemd(host: &crate::inventory::Host) -> bool {
    let driver = host.kubelet_config.get("cgroupDriver");
    driver.and_then(Value::as_str) != Some("cgroupfs")
}

/// Settings of version 3 in the version that suits a containerd best. Where its version is
/// unknown, that is version 2, which every containerd from 1.6 on reads.
fn in_words_of(ours: &Value, version: Option<(u32, u32)>) -> Result<Value, String> {
    let number = if version >= Some((2, 0)) { 3 } else { 2 };
    in_version(ours, number, version)
}

/// Settings of version 3 in another version.
fn in_version(ours: &Value, number: i64, version: Option<(u32, u32)>) -> Result<Value, String> {
    let mut config = ours.clone();
    if number >= 3 {
        translate::cni_directories(&mut config, version >= Some((2, 1)));
        return Ok(config);
    }
    translate::version_2(config).ok_or_else(|| "`plugins` is not a table".into())
}
