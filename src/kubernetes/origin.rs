//! Where a template comes from, for messages.

use std::fmt;
use std::path::{Path, PathBuf};

/// Whose template it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Ours, by name.
    BuiltIn(String),
    /// The operator's, in the place of ours.
    File(PathBuf),
    /// The operator's own, for a host.
    Own {
        /// Where it is.
        path: PathBuf,
        /// The values that it may use.
        values: String,
    },
}

impl Origin {
    /// The operator's file, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Origin::BuiltIn(_) => None,
            Origin::File(path) | Origin::Own { path, .. } => Some(path),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::BuiltIn(name) => write!(f, "the built-in template {name}"),
            Origin::File(path) | Origin::Own { path, .. } => {
                write!(f, "your template `{}`", path.display())
            }
        }
    }
}
