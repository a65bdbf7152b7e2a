//! Which values of a tree were repaired, and are no longer the file's own.

use std::collections::HashSet;

use super::path::FieldPath;

/// A set of paths that answers by ancestry, fast enough for a file that has the
/// same mistake ten thousand times.
#[derive(Debug, Default)]
pub(crate) struct Repaired {
    paths: HashSet<FieldPath>,
    ancestors: HashSet<FieldPath>,
}

impl Repaired {
    /// Adds a path.
    pub(crate) fn insert(&mut self, path: FieldPath) {
        self.ancestors.extend(path.ancestors());
        self.paths.insert(path);
    }

    /// Whether this value was repaired, or is part of one that was.
    pub(crate) fn covers(&self, path: &FieldPath) -> bool {
        path.ancestors().any(|path| self.paths.contains(&path))
    }

    /// Whether this value or any part of it was repaired.
    pub(crate) fn touches(&self, path: &FieldPath) -> bool {
        self.covers(path) || self.ancestors.contains(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ancestry_decides() {
        let spec = FieldPath::root().key("spec");
        let host = spec.key("hosts").index(1);
        let mut repaired = Repaired::default();
        repaired.insert(host.key("roles"));
        assert!(repaired.covers(&host.key("roles").index(0)));
        assert!(!repaired.covers(&host));
        assert!(repaired.touches(&host) && repaired.touches(&spec));
        assert!(!repaired.touches(&spec.key("hosts").index(0)));
        repaired.insert(FieldPath::root());
        assert!(repaired.covers(&spec.key("ssh")));
    }
}
