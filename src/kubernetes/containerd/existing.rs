//! A configuration that a host has already, in a version that its containerd reads.

use std::fmt;

use toml_edit::{DocumentMut, Item, TableLike, value};

use crate::host::ContainerdFiles;
use crate::layout::paths;

/// What plugins were called in version 1, as containerd itself translates them.
const VERSION_1: [(&str, &str); 16] = [
    ("cri", "io.containerd.grpc.v1.cri"),
    ("cgroups", "io.containerd.monitor.v1.cgroups"),
    ("linux", "io.containerd.runtime.v1.linux"),
    ("scheduler", "io.containerd.gc.v1.scheduler"),
    ("bolt", "io.containerd.metadata.v1.bolt"),
    ("task", "io.containerd.runtime.v2.task"),
    ("opt", "io.containerd.internal.v1.opt"),
    ("restart", "io.containerd.internal.v1.restart"),
    ("tracing", "io.containerd.internal.v1.tracing"),
    ("otlp", "io.containerd.tracing.processor.v1.otlp"),
    ("aufs", "io.containerd.snapshotter.v1.aufs"),
    ("btrfs", "io.containerd.snapshotter.v1.btrfs"),
    ("devmapper", "io.containerd.snapshotter.v1.devmapper"),
    ("native", "io.containerd.snapshotter.v1.native"),
    ("overlayfs", "io.containerd.snapshotter.v1.overlayfs"),
    ("zfs", "io.containerd.snapshotter.v1.zfs"),
];

/// Lists of plugins' names.
const PLUGIN_LISTS: [&str; 2] = ["disabled_plugins", "required_plugins"];

/// Why a configuration can't be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unusable {
    /// What is wrong with it.
    pub(super) why: String,
    /// The settings that ours would take away; empty for all of them.
    pub(super) lost: Vec<String>,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", paths::CONTAINERD_CONFIG, self.why)?;
        match self.lost.is_empty() {
            true => f.write_str("; everything in it would be lost"),
            false => write!(f, "; this would be lost: {}", self.lost.join(", ")),
        }
    }
}

/// A configuration that a host has.
pub(super) struct Existing<'a> {
    pub(super) document: DocumentMut,
    /// Its version, as it is now or will be.
    pub(super) version: i64,
    pub(super) files: &'a ContainerdFiles,
}

impl<'a> Existing<'a> {
    /// Reads a host's configuration and puts version 1 into a later one; `None` where it has
    /// no settings.
    ///
    /// # Errors
    /// What can't be read, or what this containerd would not read.
    pub(super) fn read(
        files: &'a ContainerdFiles,
        containerd: Option<(u32, u32)>,
    ) -> Result<Option<Self>, Unusable> {
        if let Some(why) = &files.unreadable {
            return Err(whole(why.clone()));
        }
        let Some(text) = &files.config else {
            return Ok(None);
        };
        let mut document = parse(text)?;
        if document.is_empty() {
            return Ok(None);
        }
        let version = match document.get("version").map(Item::as_integer) {
            None => 1,
            Some(Some(version)) => version,
            Some(None) => return Err(whole("`version` is not a number".into())),
        };
        let newest = newest_version(containerd);
        if version > newest {
            return Err(whole(match containerd {
                Some((major, minor)) => {
                    format!("containerd {major}.{minor} does not read version {version}")
                }
                None => format!("not every containerd reads version {version}"),
            }));
        }
        let has_plugins = document
            .get("plugins")
            .and_then(Item::as_table_like)
            .is_some_and(|plugins| !plugins.is_empty());
        let version = match version {
            ..=1 => {
                rename_plugins(document.as_table_mut())?;
                let version = if has_plugins { 2 } else { newest.min(3) };
                document.insert("version", value(version));
                version
            }
            version => version,
        };
        Ok(Some(Existing {
            document,
            version,
            files,
        }))
    }
}

/// The newest version of configurations that a containerd reads.
pub(super) fn newest_version(containerd: Option<(u32, u32)>) -> i64 {
    match containerd {
        Some(version) if version >= (2, 3) => 4,
        Some(version) if version >= (2, 0) => 3,
        _ => 2,
    }
}

/// Parses a configuration.
///
/// # Errors
/// Text that isn't TOML.
pub(super) fn parse(text: &str) -> Result<DocumentMut, Unusable> {
    text.parse().map_err(|error: toml_edit::TomlError| {
        let line = error.span().map(|span| {
            let before = text.get(..span.start).unwrap_or_default();
            1 + before.matches('\n').count()
        });
        let line = line.map_or(String::new(), |line| format!("line {line}: "));
        whole(format!("{line}{}", error.message().trim()))
    })
}

fn whole(why: String) -> Unusable {
    Unusable {
        why,
        lost: Vec::new(),
    }
}

/// The name that a plugin of version 1 has in version 2.
pub(super) fn version_2_name(name: &str) -> Option<String> {
    if name.contains('.') {
        return Some(name.to_owned());
    }
    let known = VERSION_1.iter().find(|(short, _)| *short == name);
    match known {
        Some((_, full)) => Some((*full).to_owned()),
        None if name.ends_with("-service") => Some(format!("io.containerd.service.v1.{name}")),
        None => None,
    }
}

/// Gives plugins the names of version 2.
fn rename_plugins(table: &mut dyn TableLike) -> Result<(), Unusable> {
    let mut lost = Vec::new();
    for list in PLUGIN_LISTS {
        let Some(names) = table.get_mut(list).and_then(Item::as_array_mut) else {
            continue;
        };
        for index in 0..names.len() {
            let Some(name) = names.get(index).and_then(|name| name.as_str()) else {
                continue;
            };
            match version_2_name(name) {
                Some(full) if full != name => {
                    names.replace(index, full);
                }
                Some(_) => {}
                None => lost.push(format!("{list} {name}")),
            }
        }
    }
    if let Some(plugins) = table.get_mut("plugins").and_then(Item::as_table_like_mut) {
        let names: Vec<String> = plugins.iter().map(|(name, _)| name.to_owned()).collect();
        for name in names {
            match version_2_name(&name) {
                Some(full) if full != name => {
                    if let Some(settings) = plugins.remove(&name) {
                        plugins.insert(&full, settings);
                    }
                }
                Some(_) => {}
                None => lost.push(format!("plugins.{name}")),
            }
        }
    }
    match lost.is_empty() {
        true => Ok(()),
        false => Err(Unusable {
            why: "it is in version 1, in which containerd itself can't tell which plugin is meant"
                .into(),
            lost,
        }),
    }
}
