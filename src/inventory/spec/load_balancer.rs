//! How nodes reach the API servers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::Change;
use crate::layout::components;

/// How nodes reach the API servers (`spec.loadBalancer`).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadBalancerSpec {
    /// `external`, `local` or `kube-vip`. Default: `external` if `controlPlaneEndpoint`
    /// is set, `local` if there are several control planes, none otherwise.
    #[serde(rename = "type")]
    #[schemars(extend("x-change" = Change::Rolls))]
    pub kind: LoadBalancerType,
    /// Image of haproxy or kube-vip, with its tag. Default: the one in the artifacts,
    /// else a built-in version.
    #[schemars(extend("x-change" = Change::Restarts("the balancer")))]
    pub image: Option<String>,
    /// With `type: kube-vip`: the network interface for the address. Default: the
    /// interface of the host's own address.
    #[schemars(extend("x-change" = Change::Restarts(components::KUBE_VIP)))]
    pub interface: Option<String>,
}

/// Kinds of way to the API servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LoadBalancerType {
    /// Your own load balancer at `controlPlaneEndpoint`. `apply` checks that it reaches
    /// every control plane.
    External,
    /// haproxy as a static pod on every worker, listening on 127.0.0.1.
    Local,
    /// kube-vip as a static pod on every control plane: one of them holds the address of
    /// `controlPlaneEndpoint` and announces it by ARP.
    KubeVip,
}
