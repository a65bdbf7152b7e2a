//! A host, and the entry of the file that it comes from.

use crate::inventory::cluster::Host;

/// A host and the entry of the file that it comes from.
pub(super) struct ExpandedHost {
    pub(super) host: Host,
    pub(super) entry: usize,
}
