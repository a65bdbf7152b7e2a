//! A plan as a document: what `plan` shows as text and prints as JSON, what
//! `plan --out` writes and `apply FILE` reads. Its JSON Schema is made from
//! these types and stands in `docs/plan.schema.json`.
//!
//! A document is the same each time that it is drawn from the same inventory,
//! hosts and API: that is how `apply FILE` knows that nothing has moved. So no
//! time stands in it and nothing random: what is made only when the plan is
//! carried out (keys, certificates, the run's bootstrap token) is rendered from
//! placeholders, and marked as undecided.

use pki::Decision;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::model::EtcdStep;
use crate::host::{Action, Detail, Kind};
use crate::inventory::spec::ApiVersion;

/// Names the schema for editors; nothing fetches it.
const ID: &str = "https://clusterctl.rs/schemas/v1alpha1/plan.schema.json";

/// Everything that `apply` would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanDocument {
    /// Always `clusterctl.rs/v1alpha1`.
    pub api_version: ApiVersion,
    /// Always `Plan`.
    pub kind: PlanKind,
    /// The version of clusterctl-rs that made it.
    pub version: String,
    /// The cluster's name.
    pub cluster: String,
    /// The inventory, as an absolute path.
    pub inventory: String,
    /// Files of the operator's that the plan comes from: the inventory, then
    /// templates, patches and the pod network's manifest, where there are any.
    pub inputs: Vec<InputFile>,
    /// Which part of a run it is for.
    pub options: PlanOptions,
    /// How many changes it holds, as far as that is known.
    pub changes: usize,
    /// Certificates and keys that would be made or reissued.
    pub certificates: Vec<Decision>,
    /// Every host that takes part.
    pub hosts: Vec<PlannedHost>,
    /// Whether the API answers. If not, every object is to be applied, and
    /// nobody can know yet which of them would change.
    pub api_answers: bool,
    /// API objects.
    pub objects: Vec<PlannedObject>,
    /// Whether a bootstrap token would be made for this run, and be deleted at
    /// its end.
    pub join_token: bool,
    /// Whether the admin kubeconfig would be written on this machine.
    pub kubeconfig: bool,
    /// The order in which things would happen.
    pub order: Vec<Stage>,
    /// Hosts that are left out, because they can't be looked at.
    pub set_aside: Vec<SetAside>,
}

/// The only kind of plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PlanKind {
    /// What `apply` would do.
    Plan,
}

/// A file on the operator's machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InputFile {
    /// Relative to the inventory's directory, or absolute if it lies elsewhere.
    pub path: String,
    /// SHA-256 of its content, lower hex.
    pub sha256: String,
}

/// Which part of a run a plan is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanOptions {
    /// The phases that take part, in order.
    pub phases: Vec<String>,
    /// Patterns of the names of hosts that take part; empty for all.
    pub hosts: Vec<String>,
    /// Whether the shared certificates are stored, encrypted, in the cluster.
    pub upload_certs: bool,
}

/// What would happen to one host and its Node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedHost {
    /// The host's name in the inventory.
    pub name: String,
    /// What is done at once, in this order.
    pub changes: Vec<PlannedChange>,
    /// What makes a worker join, in this order, once the API answers; missing
    /// for hosts that have joined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join: Option<Vec<PlannedChange>>,
    /// What becomes of the etcd member of a control plane whose cluster lives;
    /// missing if it stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etcd: Option<EtcdStep>,
    /// Whether the API has lost its Node: then its kubelet is restarted.
    pub registers_again: bool,
    /// Whether its pod network, labels and taints follow once its Node has
    /// registered.
    pub after_registration: bool,
    /// Its Node, if labels or annotations would change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<PlannedObject>,
    /// Taints that would be added, as `key=value:Effect`.
    pub taints: Vec<String>,
    /// Taints that would be taken away, as they no longer stand in the inventory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed_taints: Vec<String>,
}

/// One thing that would change on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedChange {
    /// What happens.
    pub action: Action,
    /// To what kind of thing.
    pub kind: Kind,
    /// Which one.
    pub name: String,
    /// What exactly.
    #[serde(default, skip_serializing_if = "Detail::is_none")]
    pub detail: Detail,
    /// SHA-256 of a file's content as it stands; of a secret, the first digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The same of what would be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Whether the content is made only when the plan is carried out: then
    /// `after` and the detail are about placeholders.
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
    /// SHA-256 of the object as it is, without what the server fills in; of a
    /// Secret, the first digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The same of what it would be.
    pub after: String,
    /// Whether its content is made only when the plan is carried out.
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
    /// It isn't there.
    Create,
    /// It is there and differs.
    Update,
    /// The API doesn't answer yet: it will be created, or updated if it is
    /// there and differs.
    Apply,
}

impl ObjectAction {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            ObjectAction::Create => "create",
            ObjectAction::Update => "update",
            ObjectAction::Apply => "apply",
        }
    }
}

/// A step of the whole run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stage {
    /// The phase.
    pub phase: String,
    /// Hosts that take part; empty if it is about the API or this machine.
    pub hosts: Vec<String>,
    /// What it waits for and how hosts follow each other, as a clause.
    pub how: String,
}

/// A host that is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetAside {
    /// The host's name.
    pub host: String,
    /// Why.
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
    /// Units and static pods that run and would be restarted.
    pub fn restarts(&self) -> impl Iterator<Item = String> {
        let all = self.changes.iter().chain(self.join.iter().flatten());
        let restarts = all
            .filter(|change| change.action == Action::Restart)
            .map(|change| format!("{} {}", change.kind, change.name));
        let again = self.registers_again;
        restarts.chain(again.then(|| "unit kubelet.service".to_owned()))
    }
}

/// The JSON Schema (2020-12) of plans, as JSON and as files.
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
