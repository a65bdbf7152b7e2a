//! Files in which others have a part, too.

use std::fmt;

/// What of a file is ours, where others have a part in it, too.
#[derive(Clone)]
pub struct Merged {
    /// Our settings, in a form of their own: the receipt remembers them.
    pub ours: String,
    /// SHA-256 of the file that they were merged into; `None` where there was none.
    pub based_on: Option<String>,
}

/// Never shows the settings: there may be a password among them.
impl fmt::Debug for Merged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Merged({} bytes)", self.ours.len())
    }
}
