//! Addresses and networks.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The API server's own address and port (kubeadm's `localAPIEndpoint`).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalApiEndpoint {
    /// Address that the API server and etcd advertise. Default: the host's
    /// `address` if that is an IP, else the address of its default route.
    /// Only makes sense per host.
    pub advertise_address: Option<IpAddr>,
    /// Port that the API server listens on. Default 6443.
    pub bind_port: Option<u16>,
}

/// Pod and service networks, DNS domain and CNI.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkingSpec {
    /// CIDR, or two joined by a comma for dual-stack. Default `10.244.0.0/16`.
    pub pod_subnet: Option<String>,
    /// CIDR, or two joined by a comma for dual-stack. Default `10.96.0.0/12`.
    pub service_subnet: Option<String>,
    /// Default `cluster.local`.
    pub dns_domain: Option<String>,
    /// What gives pods their network. Default `bridge`.
    #[serde(default)]
    pub cni: Cni,
}

/// What gives pods their network.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cni {
    /// `bridge` (built in, for nodes on one L2 network), `none`, or `manifest`.
    #[serde(rename = "type", default)]
    pub kind: CniType,
    /// With `manifest`: a YAML file of API objects, relative to the inventory.
    pub path: Option<String>,
}

/// Kinds of pod network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CniType {
    /// The reference plugins bridge and host-local, and a route to the pod
    /// network. IPv4, nodes on one L2 network.
    #[default]
    Bridge,
    /// Nothing: nodes stay NotReady until somebody installs a network.
    None,
    /// API objects from the file that `path` names.
    Manifest,
}
