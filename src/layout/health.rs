//! Paths of health endpoints (Kubernetes' "API health endpoints" and etcd's
//! "Monitoring etcd").

/// The kubelet's, on its own port.
pub const KUBELET: &str = "/healthz";
/// The API server's, once it has started. It includes etcd.
pub const API_SERVER: &str = "/livez";
/// The API server's, once it is ready to serve.
pub const API_SERVER_READY: &str = "/readyz";
/// The controller manager's; it has no `/livez`.
pub const CONTROLLER_MANAGER: &str = "/healthz";
/// The scheduler's.
pub const SCHEDULER: &str = "/livez";
/// etcd's, on its metrics port: every etcd has it, whereas `/livez` and
/// `/readyz` came with 3.5.11.
pub const ETCD: &str = "/health";
