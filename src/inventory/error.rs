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
    /// The file was read; these are its mistakes.
    #[error("{0}")]
    Invalid(Diagnostics),
}

impl InventoryError {
    /// The whole text, with every mistake in the file.
    pub fn render(&self, color: bool) -> String {
        match self {
            InventoryError::Unreadable { .. } => self.to_string(),
            InventoryError::Invalid(report) => report.render(color),
        }
    }

    /// What to do next, where the message itself doesn't say so.
    pub fn hint(&self) -> Option<String> {
        match self {
            InventoryError::Unreadable { hint, .. } => hint.clone(),
            InventoryError::Invalid(_) => None,
        }
    }
}
