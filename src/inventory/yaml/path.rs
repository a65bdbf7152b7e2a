//! The path from the root of a file to one of its nodes.

use std::fmt;

/// The way from the root of a file to one of its nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct FieldPath(pub(super) Vec<PathStep>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum PathStep {
    Key(String),
    Index(usize),
}

impl FieldPath {
    /// The root.
    pub(crate) fn root() -> Self {
        FieldPath::default()
    }

    /// One step down, to a key of a mapping.
    pub(crate) fn key(&self, key: &str) -> Self {
        let mut path = self.clone();
        path.0.push(PathStep::Key(key.to_owned()));
        path
    }

    /// One step down, to an item of a list.
    pub(crate) fn index(&self, index: usize) -> Self {
        let mut path = self.clone();
        path.0.push(PathStep::Index(index));
        path
    }

    /// This path and all above it, up to the root.
    pub(crate) fn ancestors(&self) -> impl Iterator<Item = FieldPath> {
        (0..=self.0.len())
            .rev()
            .map(|length| FieldPath(self.0[..length].to_vec()))
    }
}

impl fmt::Display for FieldPath {
    /// Writes `spec.hosts[3].name`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                PathStep::Key(key) if position == 0 => f.write_str(key)?,
                PathStep::Key(key) => write!(f, ".{key}")?,
                PathStep::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}
