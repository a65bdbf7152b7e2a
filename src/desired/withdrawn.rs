//! Files of ours that left the inventory, by the receipt on their host.

use std::collections::BTreeSet;

use crate::host::{Receipt, Resource, Withdrawn};
use crate::inventory::Cluster;
use crate::kubernetes::network;
use crate::layout::paths;
use crate::layout::places::PROGRAMS;
use crate::layout::programs::Programs;
use crate::run::phase::Phase;

/// Directories whose files come and go with what a host is and how far it got, not with the
/// inventory: they are left alone.
const LASTING_DIRECTORIES: [&str; 5] = [
    paths::CERTIFICATES_DIR,
    paths::MANIFESTS_DIR,
    paths::HAPROXY_DIR,
    paths::KUBELET_PKI,
    paths::CNI_BIN_DIR,
];

/// The same, one by one.
const LASTING_FILES: [&str; 12] = [
    paths::ADMIN_CONF,
    paths::SUPER_ADMIN_CONF,
    paths::KUBELET_CONF,
    paths::BOOTSTRAP_KUBELET_CONF,
    paths::CONTROLLER_MANAGER_CONF,
    paths::SCHEDULER_CONF,
    paths::KUBELET_CONFIG,
    paths::KUBELET_INSTANCE_CONFIG,
    paths::KUBELET_FLAGS,
    paths::CONTAINERD_CONFIG,
    "/etc/modules-load.d/k8s.conf",
    "/etc/sysctl.d/k8s.conf",
];

/// The files of `files`, and of a pod network of ours, that a host holds and that `wanted`,
/// all that the host should hold, no longer lists. Each with the phase that wrote it.
pub(crate) fn withdrawn_files(
    cluster: &Cluster,
    wanted: &[(Phase, Resource)],
    receipt: &Receipt,
) -> Vec<(Phase, Resource)> {
    let wanted: BTreeSet<&str> = wanted
        .iter()
        .filter_map(|(_, resource)| match resource {
            Resource::File(file) => Some(file.path.as_str()),
            Resource::SeedLink(link) => Some(link.path.as_str()),
            Resource::Absent(absent) => Some(absent.path.as_str()),
            Resource::Withdrawn(withdrawn) => Some(withdrawn.path.as_str()),
            _ => None,
        })
        .collect();
    let network = network::withdrawn_files(cluster);
    let left = receipt
        .files
        .keys()
        .filter(|path| !wanted.contains(path.as_str()));
    left.filter_map(|path| {
        let phase = match network.contains(path) {
            true => Phase::Network,
            false if is_lasting(cluster, path) => return None,
            false => Phase::Hosts,
        };
        Some((phase, Resource::Withdrawn(Withdrawn { path: path.clone() })))
    })
    .collect()
}

fn is_lasting(cluster: &Cluster, path: &str) -> bool {
    let below = |directory: &str| {
        path.strip_prefix(directory)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    let places = &Programs::ALL;
    LASTING_FILES.contains(&path)
        || places.iter().any(|one| path == one.kubelet_unit || below(one.kubelet_drop_ins))
        || LASTING_DIRECTORIES.iter().any(|directory| below(directory))
        || below(&cluster.certificates_dir)
        // Other artifacts are no reason to take a kubelet away.
        || PROGRAMS
            .iter()
            .any(|name| places.iter().any(|one| path == format!("{}/{name}", one.directory)))
        || network::files(cluster).iter().any(|file| file == path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::host::{FileResource, ReceiptFile};
    use crate::inventory::CniType;
    use crate::status::samples;

    #[test]
    fn only_files_of_the_operator_and_of_the_network_leave() {
        let mut cluster = samples::cluster();
        cluster.networking.cni = CniType::Bridge;
        let mut receipt = Receipt::default();
        for path in [
            "/etc/motd",
            "/etc/kept",
            "/etc/kubernetes/audit.yaml",
            "/etc/kubernetes/admin.conf",
            "/etc/kubernetes/pki/ca.key",
            "/etc/kubernetes/manifests/kube-apiserver.yaml",
            "/etc/containerd/config.toml",
            "/etc/containerd/certs.d/x/hosts.toml",
            "/var/lib/kubelet/config.yaml",
            "/usr/bin/kubelet",
            "/opt/cni/bin/bridge",
            "/usr/lib/systemd/system/kubelet.service",
            "/etc/cni/net.d/10-clusterctl.conflist",
            "/etc/systemd/system/clusterctl-pod-network.service",
        ] {
            receipt.files.insert(path.into(), ReceiptFile::default());
        }
        let wanted = [(
            Phase::Hosts,
            Resource::File(FileResource::text("/etc/kept", "x")),
        )];
        let left = |cluster: &Cluster| -> Vec<String> {
            let left = withdrawn_files(cluster, &wanted, &receipt);
            let describe = |(phase, resource): &(Phase, Resource)| {
                format!("{} {}", phase.name(), resource.describe())
            };
            left.iter().map(describe).collect()
        };
        let files = [
            "hosts absent /etc/containerd/certs.d/x/hosts.toml (if it is ours)",
            "hosts absent /etc/kubernetes/audit.yaml (if it is ours)",
            "hosts absent /etc/motd (if it is ours)",
        ];
        assert_eq!(left(&cluster), files);
        cluster.networking.cni = CniType::None;
        let all = left(&cluster);
        assert!(all.contains(
            &"network absent /etc/cni/net.d/10-clusterctl.conflist (if it is ours)".to_owned()
        ));
        assert_eq!(all.len(), 5);
    }
}
