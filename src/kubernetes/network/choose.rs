//! Which pod network a cluster has.

use super::bridge::{self, Bridge};
use super::manifest::Manifest;
use super::pod_network::PodNetwork;
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

/// The operator installs one later; nodes stay NotReady until then.
struct NoNetwork;

impl PodNetwork for NoNetwork {
    fn makes_nodes_ready(&self) -> bool {
        false
    }
}
