//! What to do next: the last line of each verb on the way to a first cluster. A cluster that
//! is there has no next step, so nothing is said about it.

use std::path::{Path, PathBuf};

use super::{Global, OutputFormat};
use crate::report::EventFormat;
use crate::run::state::State;

/// Whether there has been no cluster of this state directory yet.
pub(super) fn is_new(state: &State) -> bool {
    !state.kubeconfig().exists()
}

impl Global {
    /// Says what to do next, unless programs read the output.
    pub(super) fn say_next(&self, next: &str) {
        if self.output == OutputFormat::Text && self.events != EventFormat::Jsonl {
            self.printer().err(&format!("next: {next}"));
        }
    }

    /// A command over the same inventory, ready to be pasted.
    pub(super) fn command(&self, verb: &str, inventory: Option<&PathBuf>) -> String {
        let path = self.inventory(inventory);
        let from_environment = std::env::var_os("CLUSTERCTL_INVENTORY");
        let is_default = path.as_os_str() == "inventory.yaml" && from_environment.is_none();
        if is_default || from_environment.is_some_and(|named| named == path.as_os_str()) {
            return format!("`clusterctl-rs {verb}`");
        }
        format!("`clusterctl-rs {verb} -i {}`", quote(&path))
    }
}

/// A path as a shell reads it.
pub(super) fn quote(path: &Path) -> String {
    let word = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+=:@%,".contains(c);
    match word.chars().all(is_plain) {
        true => word,
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}
