//! Refuses to replace what has changed since the plan was made.

use std::fmt::Write as _;

use super::step::Bundle;
use crate::host::error::HostError;
use crate::host::wire::relative;

/// Ends the list in the script. No line of it is this.
const END: &str = "END-OF-LIST";

/// What was at a path when the plan was made.
#[derive(Debug)]
pub(super) enum Before {
    /// Nothing.
    Nothing,
    /// A file with this hash.
    Hash(String),
    /// Something that was not looked into.
    Unknown,
}

/// A file that will be replaced.
pub(super) struct SeenFile<'a> {
    pub(super) path: &'a str,
    pub(super) before: &'a Before,
    /// Its new hash.
    pub(super) after: String,
}

/// Adds the check to a script, before anything else in it that changes something.
///
/// # Errors
///
/// A path that can't be carried.
pub(super) fn refuse_changed<'a>(
    files: impl Iterator<Item = SeenFile<'a>>,
    bundle: &mut Bundle,
) -> Result<(), HostError> {
    let mut lines = String::new();
    for file in files {
        let before = match file.before {
            Before::Nothing => &"0".repeat(64),
            Before::Hash(hash) => hash,
            Before::Unknown => continue,
        };
        let (after, path) = (file.after, relative(file.path)?);
        let _ = writeln!(lines, "{before} {after} {path}");
    }
    if !lines.is_empty() {
        bundle.line(&format!("unchanged 3<<'{END}'\n{lines}{END}"));
    }
    Ok(())
}
