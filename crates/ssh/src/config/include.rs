//! Which files an `Include` names, and whether a file may be trusted.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The files that a pattern names, sorted; relative ones are in `base`.
pub(super) fn find_files(pattern: &str, base: &Path) -> Result<Vec<PathBuf>, String> {
    let base = glob::Pattern::escape(&base.to_string_lossy());
    let pattern = match pattern.starts_with('/') {
        true => pattern.to_string(),
        false => format!("{base}/{pattern}"),
    };
    let options = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let found = glob::glob_with(&pattern, options)
        .map_err(|error| format!("cannot include {pattern}: {error}"))?;
    found
        .filter(|path| !path.as_ref().is_ok_and(|path| path.is_dir()))
        .collect::<Result<_, _>>()
        .map_err(|error| format!("cannot include {pattern}: {error}"))
}

/// Whether only root and the user, to whom `home` belongs, can write a file. `ssh` reads no other.
pub(super) fn check_owner(file: &Metadata, home: &Path) -> Result<(), String> {
    let process = std::fs::metadata("/proc/self").ok();
    let owner_of_home = std::fs::metadata(home).map(|home| home.uid()).ok();
    let trusted = [Some(0), process.as_ref().map(Metadata::uid), owner_of_home];
    if !trusted.contains(&Some(file.uid())) {
        return Err(format!("it belongs to another user (uid {})", file.uid()));
    }
    // Some distributions give each user a group of the same name and let it write what is the
    // user's; their `ssh` accepts that.
    let own_group = process.is_some_and(|process| process.gid() == file.gid());
    let others = if own_group { 0o002 } else { 0o022 };
    if file.mode() & others != 0 {
        return Err("others can write it".into());
    }
    Ok(())
}
