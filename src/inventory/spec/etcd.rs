//! etcd, the cluster's own or an external one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::{self, Change};
use super::control_plane::{Arg, EnvVar};
use super::defaults;
use crate::layout::components;

/// etcd: `local` or `external`, not both.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EtcdSpec {
    /// etcd as a static pod on every control plane. This is the default.
    #[schemars(extend("x-change" = Change::Never))]
    pub local: Option<LocalEtcdSpec>,
    /// An existing etcd that clusterctl-rs does not manage.
    #[schemars(extend("x-change" = Change::Never))]
    pub external: Option<ExternalEtcdSpec>,
}

/// etcd as a static pod on every control plane.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-change" = Change::Restarts(components::ETCD)))]
pub struct LocalEtcdSpec {
    /// Data directory on the hosts.
    #[schemars(extend("default" = defaults::ETCD_DATA_DIR))]
    #[schemars(extend("x-change" = Change::Never))]
    pub data_dir: Option<String>,
    /// Registry for the etcd image. Default: `spec.imageRepository`.
    pub image_repository: Option<String>,
    /// Tag of the etcd image. Default: as kubeadm, by Kubernetes version. A running etcd
    /// may go one minor version up, and none down.
    pub image_tag: Option<String>,
    /// Additional arguments; they replace defaults of the same name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-change" = Change::Restarts(components::ETCD), "x-change-members" = change::ETCD_ARGS))]
    pub extra_args: Vec<Arg>,
    /// Additional environment variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_envs: Vec<EnvVar>,
    /// Additional names and addresses for the serving certificate.
    #[serde(
        default,
        rename = "serverCertSANs",
        skip_serializing_if = "Vec::is_empty"
    )]
    #[schemars(extend("x-change" = Change::Live))]
    pub server_cert_sans: Vec<String>,
    /// Additional names and addresses for the peer certificate.
    #[serde(
        default,
        rename = "peerCertSANs",
        skip_serializing_if = "Vec::is_empty"
    )]
    #[schemars(extend("x-change" = Change::Live))]
    pub peer_cert_sans: Vec<String>,
}

/// An existing etcd that clusterctl-rs does not manage. The files are on this
/// machine, relative to the inventory.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-change" = Change::Restarts(components::API_SERVER)))]
pub struct ExternalEtcdSpec {
    /// One or more URLs, such as `https://etcd1.example.com:2379`.
    pub endpoints: Vec<String>,
    /// URLs of the HTTP API, if it has a listener of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-change" = Change::Live))]
    pub http_endpoints: Vec<String>,
    /// CA of etcd's serving certificate.
    pub ca_file: Option<String>,
    /// The API server's client certificate.
    pub cert_file: Option<String>,
    /// Private key of `certFile`.
    pub key_file: Option<String>,
}
