//! Where an inventory is. A link to it is followed: its state directory and the relative paths
//! in it belong to the file, wherever it is named from.

use std::fs;
use std::path::{Path, PathBuf};

use super::cluster::Cluster;
use super::error::InventoryError;

/// Links that are followed; the kernel follows no more.
const MAX_LINKS: usize = 40;

/// The absolute path of the file that `path` names, through all links. As given, if it can't be
/// resolved: reading it then fails with a better message.
pub fn real_path(path: &Path) -> PathBuf {
    let absolute = || {
        // What a pipe of the shell's is named by leads nowhere.
        let name = path.file_name()?;
        Some(resolve_parent(path).join(name))
    };
    fs::canonicalize(path)
        .ok()
        .or_else(absolute)
        .unwrap_or_else(|| path.to_owned())
}

/// Where relative paths in an inventory start from, and where its state directory is.
pub(super) fn directory_of(path: &Path) -> PathBuf {
    let real = real_path(path);
    match real.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Refuses a cluster whose state directory is beside a link to its inventory, and not beside
/// the inventory: it would be taken for a cluster without one.
///
/// # Errors
/// [`InventoryError::StateAtLink`], with both places.
pub fn check_state_dir(path: &Path, cluster: &Cluster) -> Result<(), InventoryError> {
    let state = cluster.state_dir();
    for directory in directories_of_links(path) {
        let other = directory.join(".clusterctl").join(&cluster.name);
        if other == state || !other.is_dir() {
            continue;
        }
        let has_keys = |state: &Path| state.join("pki").is_dir();
        if !state.is_dir() || has_keys(&other) && !has_keys(&state) {
            return Err(InventoryError::StateAtLink {
                inventory: real_path(path),
                state,
                found: other,
            });
        }
    }
    Ok(())
}

/// Directories of the links on the way from `path` to the file, resolved.
fn directories_of_links(path: &Path) -> Vec<PathBuf> {
    let mut directories = Vec::new();
    let mut at = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(target) = fs::read_link(&at) else {
            break;
        };
        let directory = resolve_parent(&at);
        at = directory.join(target);
        directories.push(directory);
    }
    directories
}

/// The directory that a path is in, resolved if possible.
fn resolve_parent(path: &Path) -> PathBuf {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::canonicalize(parent).unwrap_or_else(|_| parent.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::inventory::load;

    const TEXT: &str = "apiVersion: clusterctl.rs/v1alpha1\nkind: Cluster\nmetadata: {name: demo}\n\
        spec:\n  kubernetesVersion: v1.36.2\n  hosts:\n  - {name: cp1, address: 192.0.2.11, \
        roles: [control-plane]}\n";

    /// `real/prod.yaml`, `middle/link.yaml` to it, and `far/inventory.yaml` to that.
    fn places() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        for name in ["real", "middle", "far"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        fs::write(root.join("real/prod.yaml"), TEXT).unwrap();
        symlink("../real/prod.yaml", root.join("middle/link.yaml")).unwrap();
        symlink(
            root.join("middle/link.yaml"),
            root.join("far/inventory.yaml"),
        )
        .unwrap();
        (dir, root)
    }

    #[test]
    fn the_state_directory_is_the_files_own_from_wherever_it_is_named() {
        let (_dir, root) = places();
        for name in ["real/prod.yaml", "middle/link.yaml", "far/inventory.yaml"] {
            let (cluster, _) = load(&root.join(name)).unwrap();
            assert_eq!(
                cluster.state_dir(),
                root.join("real/.clusterctl/demo"),
                "{name}"
            );
            assert_eq!(real_path(&root.join(name)), root.join("real/prod.yaml"));
        }
    }

    #[test]
    fn a_state_directory_at_a_links_place_is_not_overlooked() {
        let (_dir, root) = places();
        let link = root.join("far/inventory.yaml");
        let (cluster, _) = load(&link).unwrap();
        check_state_dir(&link, &cluster).unwrap();
        let found = root.join("middle/.clusterctl/demo");
        fs::create_dir_all(found.join("pki")).unwrap();
        // Known hosts alone are no keys.
        for state in [false, true] {
            if state {
                fs::create_dir_all(cluster.state_dir()).unwrap();
            }
            let error = check_state_dir(&link, &cluster).unwrap_err();
            let text = format!("{error}\n{}", error.hint().unwrap());
            for path in [&found, &cluster.state_dir()] {
                assert!(text.contains(&path.display().to_string()), "{text}");
            }
        }
        check_state_dir(&root.join("real/prod.yaml"), &cluster).unwrap();
        fs::create_dir_all(cluster.state_dir().join("pki")).unwrap();
        check_state_dir(&link, &cluster).unwrap();
    }
}
