//! Paths that others than root could redirect by a symbolic link: what is found of them by
//! `scripts/safe.sh`.

use std::collections::BTreeMap;

use super::error::HostError;
use super::wire::{Sections, clean};

/// Why a path is not safe: the outermost directory on its way that others could change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loose {
    /// Its path.
    pub dir: String,
    /// Its permission bits, octal; `?`, if it is a link that leads in circles.
    pub mode: String,
    /// The name of its owner.
    pub owner: String,
}

impl std::fmt::Display for Loose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Loose { dir, mode, owner } = self;
        match (mode.as_str(), owner.as_str()) {
            ("?", _) => write!(f, "{dir} leads in circles"),
            (_, "root") => write!(f, "{dir} is writable by others (mode {mode:0>4})"),
            _ => write!(f, "{dir} belongs to {owner} (mode {mode:0>4})"),
        }
    }
}

/// One line of the script: path, directory, mode and owner, with tabs.
fn parse_line(line: &[u8]) -> Option<(String, Loose)> {
    let mut fields = line.split(|&byte| byte == b'\t');
    let mut next = || fields.next().map(clean);
    let path = next()?.strip_prefix('.')?.to_owned();
    let dir = next()?;
    let (mode, owner) = (next()?, next()?);
    let dir = match dir.strip_prefix('.') {
        Some("") => "/".to_owned(),
        Some(rest) if rest.starts_with('/') => rest.to_owned(),
        _ => dir,
    };
    Some((path, Loose { dir, mode, owner }))
}

/// What the observe script found.
pub(super) fn read_loose(sections: &Sections<'_>) -> BTreeMap<String, Loose> {
    let lines = sections.raw("loose").iter();
    lines.filter_map(|line| parse_line(line)).collect()
}

/// Whether a script was refused because of such paths.
pub(super) fn refused_loose(stdout: &[u8]) -> Option<HostError> {
    let lines = stdout.split(|&byte| byte == b'\n');
    let lines = lines.filter_map(|line| line.strip_prefix(b"@@loose "));
    error_for(lines.filter_map(parse_line))
}

/// The error for paths, each with who could redirect it; nothing if the list is empty.
pub(super) fn error_for(found: impl Iterator<Item = (String, Loose)>) -> Option<HostError> {
    let mut by_dir: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, loose) in found {
        let path = path.trim_end_matches("/.").to_owned();
        let paths = by_dir.entry(loose.to_string()).or_default();
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    let line = |(why, paths): (String, Vec<String>)| match paths.as_slice() {
        [path] => format!("{path}: {why}"),
        paths => format!("{} and {} more: {why}", paths[0], paths.len() - 1),
    };
    let ways: Vec<String> = by_dir.into_iter().map(line).collect();
    (!ways.is_empty()).then_some(HostError::Loose { ways })
}
