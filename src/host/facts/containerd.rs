//! containerd's configuration, as a host has it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::host::hash::sha256_hex;
use crate::host::wire::{Sections, clean};
use crate::layout::paths;

/// Longest file that is read, in bytes.
const MAX_FILE: usize = 256 << 10;

/// containerd's configuration on a host, whoever wrote it, and what it imports. It may hold
/// passwords of registries: `Debug` shows none of it.
#[derive(Clone, Default, PartialEq)]
pub struct ContainerdFiles {
    /// The text of config.toml, if it exists and can be read.
    pub config: Option<String>,
    /// Why config.toml can't be read, if it exists and can't.
    pub unreadable: Option<String>,
    /// Its permission bits.
    pub mode: Option<u32>,
    /// The file that the host had before ours, if it was kept.
    pub original: Option<String>,
    /// Files that config.toml imports, and drop-ins, with their text if it can be read.
    pub imported: Vec<(String, Option<String>)>,
    /// Containers that run in containerd's own place, as `namespace/id`.
    pub running: Vec<String>,
    /// What the receipt says about config.toml.
    pub receipt: Option<WrittenConfig>,
}

/// What the receipt says about config.toml.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct WrittenConfig {
    /// SHA-256 of what we wrote.
    pub sha256: String,
    /// The settings in it that were ours, as JSON; `None` if all of them were.
    pub ours: Option<String>,
}

impl fmt::Debug for ContainerdFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContainerdFiles")
            .field("unreadable", &self.unreadable)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

impl ContainerdFiles {
    /// Whether config.toml is what we wrote, and nothing in it was the host's own.
    pub fn is_ours(&self) -> bool {
        let written = self.receipt.as_ref();
        written.is_some_and(|written| {
            written.ours.is_none() && self.sha256().as_ref() == Some(&written.sha256)
        })
    }

    /// The settings that were ours, if the host's own are in the file, too.
    pub fn ours(&self) -> Option<&str> {
        self.receipt.as_ref()?.ours.as_deref()
    }

    /// SHA-256 of config.toml.
    pub fn sha256(&self) -> Option<String> {
        let text = self.config.as_ref()?;
        Some(sha256_hex(text.as_bytes()))
    }
}

/// Reads what the probe said.
pub(super) fn read_containerd(sections: &Sections<'_>) -> ContainerdFiles {
    let mut files = ContainerdFiles {
        running: sections.text("containers"),
        ..ContainerdFiles::default()
    };
    files.running.retain(|line| !line.is_empty());
    let receipt = sections.raw("containerd-receipt").concat();
    let receipt = String::from_utf8_lossy(&receipt);
    // An entry of the receipt: `"PATH": {…}`, perhaps with a comma.
    if let Some((_, entry)) = receipt.split_once(": ") {
        files.receipt = serde_json::from_str(entry.trim().trim_end_matches(',')).ok();
    }
    for (name, lines) in sections.starting("containerd ") {
        let Some((mode, path)) = name.split_once(' ') else {
            continue;
        };
        let path = clean(path.strip_prefix('.').unwrap_or(path).as_bytes());
        let text = STANDARD.decode(lines.concat());
        let text = match text.map(String::from_utf8) {
            _ if mode == "loose" => Err("others than root can redirect it"),
            Ok(Ok(text)) if text.len() <= MAX_FILE => Ok(text),
            Ok(Ok(_)) => Err("it is larger than 256 KiB"),
            _ => Err("it is not text"),
        };
        if path == paths::CONTAINERD_CONFIG {
            files.mode = u32::from_str_radix(mode, 8).ok();
            match text {
                Ok(text) => files.config = Some(text),
                Err(why) => files.unreadable = Some(why.to_owned()),
            }
        } else if path.starts_with(paths::STATE_DIR) {
            files.original = text.ok();
        } else {
            files.imported.push((path, text.ok()));
        }
    }
    files
}
