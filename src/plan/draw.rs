//! Converts a plan to its document.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pki::{Action, PLACEHOLDER};
use serde_json::Value;
use sha2::{Digest, Sha256};
use text::diff::unified;
use text::terminal::sanitize;

use super::document::{
    InputFile, ObjectAction, PlanDocument, PlanKind, PlanOptions, PlannedChange, PlannedHost,
    PlannedObject, SetAside,
};
use super::model::{Plan, Work};
use super::removals::Removal;
use super::stages::list_stages;
use crate::cluster::survey::Aside;
use crate::desired::context::Context;
use crate::host::HostPlan;
use crate::inventory::Cluster;
use crate::inventory::spec::ApiVersion;
use crate::kubernetes::api::{ApiError, ObjectChange, ObjectId, fingerprint};
use crate::run::Run;
use crate::run::error::Error;
use crate::run::phase::{PHASES, Phase};

/// Placeholder for the token of a run.
const TOKEN: &str = "placeh.oldermadebyapply";

impl Context {
    /// Replaces everything random by placeholders: what is generated only when a plan is
    /// applied. Nothing rendered from the result may reach a host.
    pub(crate) fn with_placeholders(&self) -> Result<Context, Error> {
        Ok(Context {
            pki: self.pki.with_placeholders().into(),
            token: TOKEN.parse()?,
            ..self.clone()
        })
    }
}

/// The document of a plan that was built from placeholders.
pub(crate) fn document(run: &Run, plan: &Plan, aside: &[Aside]) -> Result<PlanDocument, Error> {
    Ok(PlanDocument {
        api_version: ApiVersion::V1Alpha1,
        kind: PlanKind::Plan,
        version: env!("CARGO_PKG_VERSION").into(),
        cluster: run.cluster.name.clone(),
        inventory: run.inventory.display().to_string(),
        inputs: inputs(&run.inventory, &run.cluster)?,
        options: options(run),
        changes: plan.count(),
        certificates: plan
            .certs
            .iter()
            .filter(|decision| decision.action != Action::Kept)
            .cloned()
            .collect(),
        hosts: plan.work.iter().map(host).collect(),
        api_answers: plan.object_changes.is_some(),
        objects: objects(plan)?,
        join_token: plan.needs_join_token(),
        kubeconfig: plan.kubeconfig,
        order: list_stages(plan),
        set_aside: aside
            .iter()
            .map(|one| SetAside {
                host: one.host.clone(),
                why: sanitize(&one.error.to_string()).into_owned(),
            })
            .collect(),
    })
}

fn options(run: &Run) -> PlanOptions {
    let upload_certs = run.options.upload_certs && run.has(Phase::UploadCerts);
    PlanOptions {
        phases: PHASES
            .iter()
            .filter(|info| run.has(info.phase))
            // Naming this phase requests it.
            .filter(|info| info.phase != Phase::UploadCerts || upload_certs)
            .map(|info| info.name.to_owned())
            .collect(),
        hosts: run.options.hosts.clone(),
        upload_certs,
    }
}

fn host(work: &Work) -> PlannedHost {
    PlannedHost {
        name: work.name().to_owned(),
        changes: changes(&work.prepare),
        join: work.join.as_ref().map(changes),
        etcd: work.etcd,
        registers_again: work.registers_again,
        after_registration: work.waits_for_node,
        labels: work
            .labels
            .as_ref()
            .map(|change| compared(Phase::Nodes, change)),
        taints: work.taints.clone(),
        removed_taints: work.removed_taints.clone(),
    }
}

fn changes(plan: &HostPlan) -> Vec<PlannedChange> {
    let planned = plan
        .changes
        .iter()
        .enumerate()
        .map(|(at, change)| PlannedChange {
            action: change.action,
            kind: change.kind,
            name: change.name.clone(),
            detail: change.detail.clone(),
            before: change.before.clone(),
            after: change.after.clone(),
            undecided: plan.content(at).is_some_and(undecided),
        });
    planned.collect()
}

/// Whether content contains a placeholder, plain or in base64.
fn undecided(content: &[u8]) -> bool {
    let encoded = STANDARD.encode(PLACEHOLDER);
    [PLACEHOLDER, &encoded, TOKEN]
        .iter()
        .any(|needle| contains(content, needle.as_bytes()))
}

fn contains(content: &[u8], needle: &[u8]) -> bool {
    content.windows(needle.len()).any(|window| window == needle)
}

fn objects(plan: &Plan) -> Result<Vec<PlannedObject>, Error> {
    if let Some(changes) = &plan.object_changes {
        let changed = changes
            .iter()
            .map(|(phase, change)| compared(*phase, change));
        return Ok(changed.chain(plan.removals.iter().map(deleted)).collect());
    }
    plan.objects
        .iter()
        .map(|(phase, object)| Ok(unknown(*phase, object)?))
        .collect()
}

/// An object whose changes are known.
fn compared(phase: Phase, change: &ObjectChange) -> PlannedObject {
    let action = match change.created {
        true => ObjectAction::Create,
        false => ObjectAction::Update,
    };
    let diff = unified(&change.before, &change.after);
    PlannedObject {
        before: change.before_hash.clone(),
        after: change.after_hash.clone(),
        undecided: undecided(change.after.as_bytes()),
        // Objects from the API are as untrusted as output from hosts.
        diff: (!change.created && !diff.is_empty()).then(|| sanitize(&diff).into_owned()),
        ..planned(phase, action, &change.id)
    }
}

/// An object that left the inventory.
fn deleted(removal: &Removal) -> PlannedObject {
    PlannedObject {
        before: Some(removal.hash.clone()),
        ..planned(removal.phase, ObjectAction::Delete, &removal.id)
    }
}

/// An object of which it is unknown whether it exists.
fn unknown(phase: Phase, object: &Value) -> Result<PlannedObject, ApiError> {
    let id = ObjectId::of(object, "an object of this cluster")?;
    Ok(PlannedObject {
        after: fingerprint(object),
        undecided: undecided(object.to_string().as_bytes()),
        ..planned(phase, ObjectAction::Apply, &id)
    })
}

fn planned(phase: Phase, action: ObjectAction, id: &ObjectId) -> PlannedObject {
    PlannedObject {
        action,
        api_version: id.api_version.clone(),
        kind: id.kind.clone(),
        namespace: id.namespace.clone(),
        name: id.name.clone(),
        phase: phase.name().to_owned(),
        before: None,
        after: String::new(),
        undecided: false,
        diff: None,
    }
}

/// The user's files that the desired state is built from, except those that are copied to
/// hosts (they are visible as changes).
fn inputs(inventory: &Path, cluster: &Cluster) -> Result<Vec<InputFile>, Error> {
    let mut paths = vec![inventory.to_owned()];
    let dirs = [&cluster.templates_dir, &cluster.patches_dir];
    for dir in dirs.into_iter().flatten() {
        paths.extend(files(dir)?);
    }
    paths.extend(cluster.networking.cni_manifest.clone());
    paths.iter().map(|path| input(path, cluster)).collect()
}

fn input(path: &Path, cluster: &Cluster) -> Result<InputFile, Error> {
    let content = fs::read(path).map_err(|error| unreadable(path, error))?;
    let shown = path.strip_prefix(&cluster.base_dir).unwrap_or(path);
    let digest = Sha256::digest(&content);
    Ok(InputFile {
        path: shown.display().to_string(),
        sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
    })
}

/// All files below a directory, except editors' backups, sorted.
fn files(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(|error| unreadable(dir, error))? {
        let path = entry.map_err(|error| unreadable(dir, error))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        match path.is_dir() {
            true => files.extend(self::files(&path)?),
            false => files.push(path),
        }
    }
    files.sort();
    Ok(files)
}

fn unreadable(path: &Path, source: std::io::Error) -> Error {
    Error::File {
        what: "read",
        path: path.to_owned(),
        source,
    }
}
