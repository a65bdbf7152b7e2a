//! The top level of the file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::Change;
use super::cluster::ClusterSpec;

/// The whole file.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Inventory {
    /// The version of this format: `clusterctl.rs/v1alpha1`.
    #[schemars(extend("x-change" = Change::Live))]
    pub api_version: ApiVersion,
    /// What the file describes: `Cluster`.
    #[schemars(extend("x-change" = Change::Live))]
    pub kind: Kind,
    /// The cluster's name.
    pub metadata: Metadata,
    /// The cluster itself.
    pub spec: ClusterSpec,
}

/// The only version of this file that exists so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// `clusterctl.rs/v1alpha1`
    #[serde(rename = "clusterctl.rs/v1alpha1")]
    V1Alpha1,
}

/// The only kind of inventory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Kind {
    /// A Kubernetes cluster.
    Cluster,
}

/// Names the cluster.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// A DNS label. Names the state directory and, unless `spec.clusterName` is set, the
    /// cluster in kubeconfigs.
    #[schemars(extend("x-change" = Change::Never))]
    pub name: String,
}
