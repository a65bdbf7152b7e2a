//! What each kind of pod network has to answer.

use serde_json::Value;

use super::super::context::NodeContext;
use super::super::error::KubernetesError;
use crate::host::Resource;
use crate::inventory::Cluster;

/// A kind of pod network.
///
/// The sysctls that any of them needs (forwarding, bridged packets seen by
/// iptables) are kubeadm's own demands and set on every node by
/// [`crate::host::prepare_resources`].
pub trait PodNetwork: Sync {
    /// Files and units of a node.
    ///
    /// # Errors
    /// A template that doesn't render, or a cluster that the network can't
    /// serve.
    fn resources(&self, _ctx: &NodeContext<'_>) -> Result<Vec<Resource>, KubernetesError> {
        Ok(Vec::new())
    }

    /// Objects of the API.
    ///
    /// # Errors
    /// A file of the operator's that can't be read or holds no API objects.
    fn objects(&self, _cluster: &Cluster) -> Result<Vec<Value>, KubernetesError> {
        Ok(Vec::new())
    }

    /// Whether a node's files depend on its pod CIDR: then a new node gets them
    /// only once it has registered.
    fn needs_pod_cidr(&self) -> bool {
        false
    }

    /// Whether it makes nodes Ready, so that a run can wait for that.
    fn makes_nodes_ready(&self) -> bool {
        true
    }
}
