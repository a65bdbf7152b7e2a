//! Which pod network a cluster has.

use super::bridge::{self, Bridge};
use super::manifest::Manifest;
use super::pod_network::PodNetwork;
use crate::host::Resource;
use crate::inventory::{Cluster, CniType};

/// The names that networks of ours have in CNI configurations, and so in the
/// firewall rules of CNI plugins. A reset removes the rules of all of them: the
/// inventory may have named another network when the host joined.
pub const CNI_NAMES: [&str; 1] = [bridge::CNI_NAME];

/// The cluster's pod network.
pub fn pod_network(cluster: &Cluster) -> &'static dyn PodNetwork {
    match cluster.networking.cni {
        CniType::Bridge => &Bridge,
        CniType::Manifest => &Manifest,
        CniType::None => &NoNetwork,
    }
}

/// The files of the built-in network that this cluster has.
pub fn files(cluster: &Cluster) -> Vec<String> {
    match cluster.networking.cni {
        CniType::Bridge => bridge::files(),
        CniType::Manifest | CniType::None => Vec::new(),
    }
}

/// The files of the built-in network that this cluster doesn't have any more, if it had them.
pub fn withdrawn_files(cluster: &Cluster) -> Vec<String> {
    let files = bridge::files().into_iter();
    let kept = self::files(cluster);
    files.filter(|path| !kept.contains(path)).collect()
}

/// What has to be stopped before they go.
pub fn withdrawn_units(cluster: &Cluster) -> Vec<Resource> {
    match cluster.networking.cni {
        CniType::Bridge => Vec::new(),
        CniType::Manifest | CniType::None => vec![bridge::withdrawn_unit()],
    }
}

/// The operator installs one later; nodes stay NotReady until then.
struct NoNetwork;

impl PodNetwork for NoNetwork {
    fn makes_nodes_ready(&self) -> bool {
        false
    }
}
