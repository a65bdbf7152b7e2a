//! How nodes reach the API servers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How nodes reach the API servers (`spec.loadBalancer`).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadBalancerSpec {
    /// `external`, `local` or `kube-vip`. Default: `external` if there is a
    /// `controlPlaneEndpoint`, else `local` if there is more than one control
    /// plane, else none.
    #[serde(rename = "type")]
    pub kind: LoadBalancerType,
    /// The image of haproxy or kube-vip, with its tag. Default: what the
    /// artifacts hold, else a version that we know.
    pub image: Option<String>,
    /// With `kube-vip`: the interface that carries the address. Default: the
    /// one that carries the host's own.
    pub interface: Option<String>,
}

/// Kinds of way to the API servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LoadBalancerType {
    /// `controlPlaneEndpoint` is yours; a run checks that it reaches every
    /// control plane.
    External,
    /// haproxy as a static pod on every host that is no control plane,
    /// listening on 127.0.0.1.
    Local,
    /// kube-vip as a static pod on every control plane: one of them holds the
    /// address of `controlPlaneEndpoint` and announces it by ARP.
    KubeVip,
}
