//! Why an inventory can't be used.

use std::path::PathBuf;

use super::yaml::Diagnostics;

/// Why there is no cluster.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// The file can't be read at all.
    #[error("cannot read the inventory {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// The state directory is beside a link to the inventory, not beside the inventory itself.
    #[error(
        "the state directory of {} is beside a link to it: {} exists, but {} does not hold the \
         cluster's keys",
        inventory.display(), found.display(), state.display()
    )]
    StateAtLink {
        /// The inventory, through all links.
        inventory: PathBuf,
        /// Where its state directory belongs.
        state: PathBuf,
        /// Where one was found.
        found: PathBuf,
    },
    /// The file was read; these are its mistakes.
    #[error("{0}")]
    Invalid(Diagnostics),
    /// The file is valid, but asks of a running cluster what cannot be done. Nothing was
    /// changed.
    #[error("{}", .0.messages().join("; "))]
    Refused(Diagnostics),
}

impl InventoryError {
    /// The whole text, with every mistake in the file.
    pub fn render(&self, color: bool) -> String {
        match self {
            InventoryError::Unreadable { .. } | InventoryError::StateAtLink { .. } => {
                self.to_string()
            }
            InventoryError::Invalid(report) => report.render(color),
            InventoryError::Refused(report) => report.render(color),
        }
    }

    /// What to do next, where the message itself doesn't say so.
    pub fn hint(&self) -> Option<String> {
        match self {
            InventoryError::Unreadable { hint, .. } => hint.clone(),
            InventoryError::StateAtLink { state, found, .. } => Some(format!(
                "if it is this cluster's, move it: `{}mkdir -p {parent} && mv {found} {parent}/`; \
                 else remove it",
                match state.is_dir() {
                    // With known hosts only, or empty: `mv` would put the other one into it.
                    true => format!("mv {state} {state}.old && ", state = state.display()),
                    false => String::new(),
                },
                parent = state.parent().unwrap_or(state).display(),
                found = found.display(),
            )),
            InventoryError::Invalid(_) => None,
            InventoryError::Refused(_) => None,
        }
    }
}
