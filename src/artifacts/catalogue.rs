//! Which versions belong to a Kubernetes release, as kubeadm has them.

use crate::inventory::Version;

/// What goes with a release of Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// Tag of etcd's image.
    pub etcd: &'static str,
    /// Tag of CoreDNS' image.
    pub coredns: &'static str,
    /// Tag of the pod sandbox's image.
    pub pause: &'static str,
    /// Release of the reference CNI plugins.
    pub cni_plugins: &'static str,
    /// Release of cri-tools.
    pub crictl: &'static str,
}

/// The newest release; it serves every minor.
const CNI_PLUGINS: &str = "v1.9.1";

/// Oldest release to which each row applies, newest first.
const RELEASES: &[((u32, u32), Release)] = &[
    ((37, 0), release("3.7.0-0", "v1.14.6", "3.10.2", "v1.37.0")),
    ((36, 0), release("3.6.8-0", "v1.14.2", "3.10.2", "v1.36.0")),
    ((35, 0), release("3.6.6-0", "v1.13.1", "3.10.1", "v1.35.0")),
    // Two minors changed etcd in a patch release (November 2025).
    ((34, 2), release("3.6.5-0", "v1.12.1", "3.10.1", "v1.34.0")),
    ((34, 0), release("3.6.4-0", "v1.12.1", "3.10.1", "v1.34.0")),
    ((33, 6), release("3.5.24-0", "v1.12.0", "3.10", "v1.33.0")),
    ((33, 0), release("3.5.21-0", "v1.12.0", "3.10", "v1.33.0")),
];

const fn release(
    etcd: &'static str,
    coredns: &'static str,
    pause: &'static str,
    crictl: &'static str,
) -> Release {
    Release {
        etcd,
        coredns,
        pause,
        cni_plugins: CNI_PLUGINS,
        crictl,
    }
}

impl Release {
    /// What goes with `version`; with one that we don't know, what goes with
    /// the nearest that we do.
    pub fn of(version: Version) -> Release {
        let wanted = (version.minor, version.patch);
        let (_, oldest) = RELEASES[RELEASES.len() - 1];
        RELEASES
            .iter()
            .find(|(since, _)| *since <= wanted)
            .map_or(oldest, |(_, release)| *release)
    }
}

/// Whether this patch release's kubeadm puts the API server's kubelet client
/// into the group `kubeadm:cluster-admins`. The patches of May 2026 were the
/// first that don't.
pub fn has_legacy_kubelet_client(version: Version) -> bool {
    match version.minor {
        ..=32 => true,
        33 => version.patch < 12,
        34 => version.patch < 8,
        35 => version.patch < 5,
        36 => version.patch < 1,
        37.. => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn etcd_follows_the_patch_release() {
        let etcd = |version: &str| Release::of(version.parse().unwrap()).etcd;
        for (version, tag) in [
            ("v1.33.0", "3.5.21-0"),
            ("v1.33.5", "3.5.21-0"),
            ("v1.33.6", "3.5.24-0"),
            ("v1.34.1", "3.6.4-0"),
            ("v1.34.2", "3.6.5-0"),
            ("v1.35.0", "3.6.6-0"),
            ("v1.36.9", "3.6.8-0"),
            ("v1.37.0", "3.7.0-0"),
            // Unknown: the nearest.
            ("v1.32.9", "3.5.21-0"),
            ("v1.38.0", "3.7.0-0"),
        ] {
            assert_eq!(etcd(version), tag, "{version}");
        }
    }
}
