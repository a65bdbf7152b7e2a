//! TCP ports. All but [`API_SERVER`] are defaults that the operator's arguments
//! move; [`crate::kubernetes::health`] says where a component really listens.

/// The API server's, unless `localAPIEndpoint.bindPort` says otherwise.
pub const API_SERVER: u16 = 6443;
/// etcd's, for clients.
pub const ETCD_CLIENT: u16 = 2379;
/// etcd's, for its peers.
pub const ETCD_PEER: u16 = 2380;
/// etcd's, for metrics and health.
pub const ETCD_METRICS: u16 = 2381;
/// The kubelet's API: logs, exec, metrics.
pub const KUBELET: u16 = 10250;
/// The kubelet's health endpoint, on loopback.
pub const KUBELET_HEALTHZ: u16 = 10248;
/// The controller manager's secure port.
pub const CONTROLLER_MANAGER: u16 = 10257;
/// The scheduler's secure port.
pub const SCHEDULER: u16 = 10259;
/// Where a node's own haproxy answers the kubelet's probe, on loopback. Ours:
/// next to the health ports of Kubernetes, and none of them.
pub const HAPROXY_HEALTH: u16 = 10247;
