//! Mode and owner of files and directories.

use text::terminal::escape;

use super::step::{Bundle, Step, Work};
use crate::host::error::HostError;
use crate::host::observed::PathState;
use crate::host::wire::{quote, relative};

/// Sets mode and owner of a file or directory.
#[derive(Debug)]
pub(super) struct Attributes {
    pub(super) path: String,
    pub(super) mode: u32,
    pub(super) owner: String,
    /// Whether it is the host's own, and has to be kept for `reset`.
    pub(super) keep: bool,
    /// Whether it is a directory.
    pub(super) is_directory: bool,
}

impl Step for Attributes {
    fn place(&self) -> Result<Option<String>, HostError> {
        self.to_relative().map(Some)
    }
}

impl Attributes {
    /// The path as the script has it. The `/.` is for the directory behind a symbolic link.
    fn to_relative(&self) -> Result<String, HostError> {
        let path = relative(&self.path)?;
        Ok(match self.is_directory {
            true => format!("{path}/."),
            false => path,
        })
    }
}

/// What is wrong with mode or owner, in words.
pub(super) fn attributes_differ(state: &PathState, mode: u32, owner: &str) -> Option<String> {
    let mut wrong = Vec::new();
    if state.mode != mode {
        wrong.push(format!("mode {:04o} -> {mode:04o}", state.mode));
    }
    if state.owner != owner && state.owner_ids != owner {
        wrong.push(format!("owner {} -> {owner}", escape(&state.owner)));
    }
    (!wrong.is_empty()).then(|| wrong.join(", "))
}

/// Sets all of a plan.
pub(super) fn set_attributes(work: &Work, bundle: &mut Bundle) -> Result<(), HostError> {
    for (number, step) in work.all::<Attributes>() {
        let path = quote(&step.to_relative()?);
        let whose = if step.keep { "keep" } else { "ours" };
        let owner = quote(&step.owner);
        let mode = step.mode;
        bundle.line(&format!(
            "attributes {number} {whose} {owner} {mode:04o} {path}"
        ));
    }
    Ok(())
}
