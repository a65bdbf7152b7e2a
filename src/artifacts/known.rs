//! Checksums of the releases that were known when this program was built.

use std::sync::LazyLock;

use super::sums::{Sums, parse};

/// The table, as `sha256sum` writes it, below comments.
const TABLE: &str = include_str!("known.sha256");

static KNOWN: LazyLock<Sums> = LazyLock::new(|| {
    let is_line = |line: &&str| !line.starts_with('#');
    let text: Vec<&str> = TABLE.lines().filter(is_line).collect();
    // A test makes sure that it can be read.
    parse(&text.join("\n")).unwrap_or_default()
});

/// The SHA-256 that the publisher's file at this path below its base URL has.
pub(super) fn known(path: &str) -> Option<&'static str> {
    KNOWN.get(path).map(String::as_str)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::artifacts::items::items;
    use crate::inventory::Version;
    use crate::inventory::spec::Mirrors;

    #[test]
    fn every_line_counts() {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(KNOWN.len(), lines);
    }

    /// A release with a hole in it would be fetched from a mirror unchecked.
    #[test]
    fn known_releases_are_known_completely() {
        let newest = [(33, 13), (34, 11), (35, 8), (36, 4)];
        for (minor, last) in newest {
            for patch in 0..=last {
                let version: Version = format!("v1.{minor}.{patch}").parse().unwrap();
                for arch in ["amd64", "arm64"] {
                    for item in items(version, &Mirrors::default(), arch) {
                        assert!(known(&item.path).is_some(), "{}", item.path);
                    }
                }
            }
        }
        assert_eq!(known("v1.38.0/bin/linux/amd64/kubelet"), None);
    }
}
