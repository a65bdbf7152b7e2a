//! Addresses and networks.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::Change;
use super::defaults;

/// The API server's own address and port (kubeadm's `localAPIEndpoint`).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalApiEndpoint {
    /// Address that the API server and etcd advertise. Default: the host's `address` if
    /// that is an IP address, else the address of its default route. Can only be set for
    /// a single host.
    #[schemars(extend("x-change" = Change::Replace))]
    pub advertise_address: Option<IpAddr>,
    /// Port that the API server listens on.
    #[schemars(extend("default" = defaults::BIND_PORT))]
    #[schemars(extend("x-change" = Change::Never))]
    pub bind_port: Option<u16>,
}

/// Pod and service networks, DNS domain and CNI.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkingSpec {
    /// CIDR of the pod network, or two, separated by a comma, for dual-stack. On a running
    /// cluster, it may grow to one that contains the present one.
    #[schemars(extend("default" = defaults::POD_SUBNET))]
    #[schemars(extend("x-change" = Change::Never))]
    pub pod_subnet: Option<String>,
    /// CIDR of the service network, or two, separated by a comma, for dual-stack.
    #[schemars(extend("default" = defaults::SERVICE_SUBNET))]
    #[schemars(extend("x-change" = Change::Never))]
    pub service_subnet: Option<String>,
    /// DNS domain of the cluster.
    #[schemars(extend("default" = defaults::DNS_DOMAIN))]
    #[schemars(extend("x-change" = Change::Never))]
    pub dns_domain: Option<String>,
    /// The CNI plugin, which provides the pod network.
    #[serde(default)]
    pub cni: Cni,
}

/// The CNI plugin, which provides the pod network.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cni {
    /// `bridge` (built in, for nodes on one L2 network), `none`, or `manifest`.
    #[serde(rename = "type", default)]
    #[schemars(extend("x-change" = Change::Never))]
    pub kind: CniType,
    /// With `type: manifest`: a YAML file of API objects, relative to the inventory.
    #[schemars(extend("x-change" = Change::Live))]
    pub path: Option<String>,
}

/// Kinds of pod network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CniType {
    /// The built-in bridge network. IPv4 only; nodes must be on one L2 network.
    #[default]
    Bridge,
    /// None: nodes stay NotReady until you install a network.
    None,
    /// The API objects in the file that `path` names.
    Manifest,
}

/// What is needed to know of a pod network before anything is rendered; the rest
/// is in [`crate::kubernetes::network`].
impl CniType {
    /// Commands that each node needs for it.
    pub(crate) fn commands(self) -> &'static [&'static str] {
        match self {
            CniType::Bridge => &["ip"],
            CniType::None | CniType::Manifest => &[],
        }
    }

    /// Whether pods can have IPv6 addresses with it, as far as we know.
    pub(crate) fn supports_ipv6(self) -> bool {
        match self {
            CniType::Bridge => false,
            CniType::None | CniType::Manifest => true,
        }
    }
}
