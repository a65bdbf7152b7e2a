//! Which values of a tree aren't the file's own any more.

use std::collections::HashSet;

use super::tree::Path;

/// A set of paths that answers by ancestry, fast enough for a file that has the
/// same fault ten thousand times.
#[derive(Debug, Default)]
pub(super) struct Mended {
    paths: HashSet<Path>,
    ancestors: HashSet<Path>,
}

impl Mended {
    /// Adds a path.
    pub(super) fn insert(&mut self, path: Path) {
        self.ancestors.extend(path.ancestors());
        self.paths.insert(path);
    }

    /// Whether this value was mended, or is part of one that was.
    pub(super) fn covers(&self, path: &Path) -> bool {
        path.ancestors().any(|path| self.paths.contains(&path))
    }

    /// Whether this value or any part of it was mended.
    pub(super) fn touches(&self, path: &Path) -> bool {
        self.covers(path) || self.ancestors.contains(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ancestry_decides() {
        let spec = Path::root().key("spec");
        let host = spec.key("hosts").index(1);
        let mut mended = Mended::default();
        mended.insert(host.key("roles"));
        assert!(mended.covers(&host.key("roles").index(0)));
        assert!(!mended.covers(&host));
        assert!(mended.touches(&host) && mended.touches(&spec));
        assert!(!mended.touches(&spec.key("hosts").index(0)));
        mended.insert(Path::root());
        assert!(mended.covers(&spec.key("ssh")));
    }
}
