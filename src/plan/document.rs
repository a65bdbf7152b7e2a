//! A plan as a document: `plan` shows it as text or JSON, `plan --out` writes it, and
//! `apply FILE` reads it. Its JSON Schema is generated from these types to
//! `docs/plan.schema.json`.
//!
//! The same inventory, hosts and API always give the same document: this is how `apply
//! FILE` knows that nothing has changed. It therefore contains no times and nothing random.
//! What is generated only when the plan is applied (keys, certificates, the run's bootstrap
//! token) is rendered from placeholders and marked as undecided.

use pki::Decision;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::model::EtcdStep;
use crate::host::{Action, Detail, Kind};
use crate::inventory::spec::ApiVersion;

/// Identifies the schema to editors; it is never fetched.
const ID: &str = "https://clusterctl.rs/schemas/v1alpha1/plan.schema.json";

/// Everything that `apply` would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanDocument {
    /// Always `clusterctl.rs/v1alpha1`.
    pub api_version: ApiVersion,
    /// Always `Plan`.
    pub kind: PlanKind,
    /// The version of clusterctl-rs that created the plan.
    pub version: String,
    /// The cluster's name.
    pub cluster: String,
    /// The absolute path of the inventory.
    pub inventory: String,
    /// Files that the plan was created from: the inventory, then templates, patches and the
    /// pod network's manifest, if any.
    pub inputs: Vec<InputFile>,
    /// Which part of a run the plan covers.
    pub options: PlanOptions,
    /// The number of changes, as far as known.
    pub changes: usize,
    /// Certificates and keys that would be created or reissued.
    pub certificates: Vec<Decision>,
    /// All selected hosts.
    pub hosts: Vec<PlannedHost>,
    /// Whether the API server is reachable. If not, all objects will be applied, and it is
    /// unknown which of them will change.
    pub api_answers: bool,
    /// API objects; those that are deleted come last, in that order.
    pub objects: Vec<PlannedObject>,
    /// Whether a bootstrap token would be created for this run. It expires within ten
    /// minutes of the end of the run.
    pub join_token: bool,
    /// Whether the admin kubeconfig would be written on this machine.
    pub kubeconfig: bool,
    /// The order of execution.
    pub order: Vec<Stage>,
    /// Hosts that are left out because they cannot be inspected.
    pub set_aside: Vec<SetAside>,
}

/// The only kind of plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PlanKind {
    /// What `apply` would do.
    Plan,
}

/// A file on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InputFile {
    /// Path relative to the inventory's directory, or absolute if it is elsewhere.
    pub path: String,
    /// SHA-256 of its content, in lower-case hex.
    pub sha256: String,
}

/// Which part of a run a plan covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanOptions {
    /// The selected phases, in order.
    pub phases: Vec<String>,
    /// Patterns of the selected hosts' names; empty for all.
    pub hosts: Vec<String>,
    /// Whether the shared certificates are stored in the cluster, encrypted.
    pub upload_certs: bool,
}

/// What would happen to one host and its Node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedHost {
    /// The host's name in the inventory.
    pub name: String,
    /// Changes that are made first, in this order.
    pub changes: Vec<PlannedChange>,
    /// Changes that make a worker join, in this order, once the API server is up; absent
    /// for hosts that have joined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join: Option<Vec<PlannedChange>>,
    /// What happens to the etcd member of a control plane of a running cluster; absent if
    /// nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etcd: Option<EtcdStep>,
    /// Whether its Node is gone from the API, so that its kubelet is restarted.
    pub registers_again: bool,
    /// Whether its pod network, labels and taints follow after its Node has registered.
    pub after_registration: bool,
    /// Its Node, if labels or annotations would change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<PlannedObject>,
    /// Taints that would be added, as `key=value:Effect`.
    pub taints: Vec<String>,
    /// Taints that would be removed, because they are no longer in the inventory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed_taints: Vec<String>,
}

/// One thing that would change on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedChange {
    /// What happens.
    pub action: Action,
    /// The kind of thing.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Details.
    #[serde(default, skip_serializing_if = "Detail::is_none")]
    pub detail: Detail,
    /// SHA-256 of a file's current content; of a secret, its first digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// SHA-256 of the content that would be written; of a secret, its first digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Whether the content is generated only when the plan is applied. If so, `after` and
    /// `detail` refer to placeholders.
    #[serde(default, skip_serializing_if = "is_false")]
    pub undecided: bool,
}

/// What would happen to an API object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedObject {
    /// What happens.
    pub action: ObjectAction,
    /// Group and version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The phase that applies it.
    pub phase: String,
    /// SHA-256 of the current object, without the fields that the server sets; of a Secret,
    /// its first digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// SHA-256 of the object afterwards; of a Secret, its first digits. Absent if it is
    /// deleted.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub after: String,
    /// Whether the content is generated only when the plan is applied.
    #[serde(default, skip_serializing_if = "is_false")]
    pub undecided: bool,
    /// A unified diff of an update; never of a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
}

/// What happens to an API object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ObjectAction {
    /// It does not exist.
    Create,
    /// It exists and differs.
    Update,
    /// The API server is not up yet: the object will be created, or updated if it exists
    /// and differs.
    Apply,
    /// It is ours and no longer in the inventory.
    Delete,
}

impl ObjectAction {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            ObjectAction::Create => "create",
            ObjectAction::Update => "update",
            ObjectAction::Apply => "apply",
            ObjectAction::Delete => "delete",
        }
    }
}

/// A step of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stage {
    /// The phase.
    pub phase: String,
    /// The hosts; empty if it affects the API or this machine.
    pub hosts: Vec<String>,
    /// How hosts follow each other and what it waits for, as text.
    pub how: String,
}

/// A host that is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetAside {
    /// The host's name.
    pub host: String,
    /// The reason.
    pub why: String,
}

impl PlannedObject {
    /// `Kind namespace/name`, or `Kind name`.
    pub fn title(&self) -> String {
        match self.namespace.as_str() {
            "" => format!("{} {}", self.kind, self.name),
            namespace => format!("{} {namespace}/{}", self.kind, self.name),
        }
    }
}

impl PlannedHost {
    /// Running units and static pods that would be restarted.
    pub fn restarts(&self) -> impl Iterator<Item = String> {
        let all = self.changes.iter().chain(self.join.iter().flatten());
        let restarts = all
            .filter(|change| change.action == Action::Restart)
            .map(|change| format!("{} {}", change.kind, change.name));
        let again = self.registers_again;
        restarts.chain(again.then(|| "unit kubelet.service".to_owned()))
    }
}

/// The JSON Schema (2020-12) of plans.
pub fn plan_schema() -> Value {
    let mut schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<PlanDocument>()
        .to_value();
    if let Some(root) = schema.as_object_mut() {
        root.insert("$id".into(), json!(ID));
        root.insert("title".into(), json!("clusterctl-rs plan"));
    }
    schema
}

fn is_false(value: &bool) -> bool {
    !*value
}
