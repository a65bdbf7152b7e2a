//! What differs between the minors of Kubernetes that we know (1.33 to 1.37),
//! as kubeadm of that minor has it.

use crate::artifacts::Release;
use crate::inventory::{Cluster, Version};

/// Gates of kubeadm's own that v1.37 no longer knows: it refuses a
/// `ClusterConfiguration` that still names them.
const GATES_GONE_IN_37: [&str; 2] = ["NodeLocalCRISocket", "PublicKeysECDSA"];

/// Switches by Kubernetes minor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features {
    /// The CRI socket is in the kubelet's instance-config.yaml, not in its
    /// flags. Default from 1.34; the gate `NodeLocalCRISocket` decides before
    /// it is locked in 1.36.
    pub instance_config: bool,
    /// Where it doesn't, kubeadm keeps the socket in the Node's annotation
    /// `kubeadm.alpha.kubernetes.io/cri-socket` instead.
    pub cri_socket_annotation: bool,
    /// Static pods probe a named port, `probe-port`, and CoreDNS two of its own
    /// (from 1.34).
    pub probe_port: bool,
    /// The controller manager mounts the flex-volume directory (until 1.35).
    pub flex_volumes: bool,
    /// `KubeProxyConfiguration.mode` is spelt out (from 1.37).
    pub explicit_proxy_mode: bool,
}

impl Features {
    /// The switches that hold for a cluster.
    pub fn for_cluster(cluster: &Cluster) -> Self {
        let minor = cluster.version.minor;
        let instance_config = match cluster.feature_gates.get("NodeLocalCRISocket") {
            Some(gate) if minor < 36 => *gate,
            _ => minor >= 34,
        };
        Features {
            instance_config,
            cri_socket_annotation: !instance_config,
            probe_port: minor >= 34,
            flex_volumes: minor <= 35,
            explicit_proxy_mode: minor >= 37,
        }
    }
}

/// Whether an etcd image takes the flags of etcd 3.6 and later. A tag that says
/// nothing (`latest`, a digest) counts as what kubeadm would run.
pub(crate) fn etcd_is_3_6(tag: &str, kubernetes: Version) -> bool {
    major_minor(tag)
        .or_else(|| major_minor(Release::of(kubernetes).etcd))
        .is_none_or(|version| version >= (3, 6))
}

/// `(3, 6)` of `v3.6.8-0`.
pub(crate) fn major_minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.strip_prefix('v').unwrap_or(version).split('.');
    let major = parts.next()?.parse().ok()?;
    let minor = parts
        .next()?
        .split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()?;
    Some((major, minor))
}

/// The gates that kubeadm of this minor accepts in a `ClusterConfiguration`.
pub(crate) fn feature_gates(cluster: &Cluster) -> impl Iterator<Item = (&String, bool)> {
    let gone = cluster.version.minor >= 37;
    cluster
        .feature_gates
        .iter()
        .filter(move |(name, _)| !(gone && GATES_GONE_IN_37.contains(&name.as_str())))
        .map(|(name, on)| (name, *on))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn version(minor: u32) -> Version {
        Version {
            major: 1,
            minor,
            patch: 0,
        }
    }

    #[test]
    fn etcd_flags_follow_the_image() {
        assert!(etcd_is_3_6("3.6.8-0", version(33)));
        assert!(!etcd_is_3_6("v3.5.24-0", version(36)));
        assert!(etcd_is_3_6("3.7.0-0", version(37)));
        assert!(etcd_is_3_6("latest", version(36)));
        assert!(!etcd_is_3_6("latest", version(33)));
        assert!(!etcd_is_3_6("sha-3f2", version(33)));
    }

    #[test]
    fn versions_are_read_leniently() {
        assert_eq!(major_minor("2.1.9"), Some((2, 1)));
        assert_eq!(major_minor("1.7.27~ds1"), Some((1, 7)));
        assert_eq!(major_minor("2.2-rc.1"), Some((2, 2)));
        assert_eq!(major_minor(""), None);
        assert_eq!(major_minor("3"), None);
    }
}
