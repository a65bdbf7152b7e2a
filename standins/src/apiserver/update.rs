//! PUT and PATCH: from the object that is there to the one that shall be.

use serde_json::{Value, json};

use super::crud::{Call, tidy};
use super::{admission, apply, defaults, validation};
use crate::api::{Error, Result, err, name, text};
use crate::client::MERGE;

/// What only the server writes.
const KEPT: [&str; 8] = [
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "resourceVersion",
    "name",
    "namespace",
];

impl Call<'_> {
    /// PUT.
    pub async fn update(&self) -> Result<Value> {
        let object = self.body()?;
        if name(&object) != self.name {
            return Err(err!(
                400,
                "the name of the object ({}) does not match the name on the URL ({})",
                name(&object),
                self.name
            ));
        }
        self.write(self.get().await?, object, false).await
    }

    /// PATCH, of three kinds. Again if somebody was faster, unless the client named a version.
    pub async fn patch(&self) -> Result<Value> {
        let content_type = self.request.header("content-type").to_owned();
        if content_type == "application/apply-patch+yaml" {
            return self.apply().await;
        }
        let body: Value = serde_json::from_slice(&self.request.body)
            .map_err(|e| err!(400, "error decoding patch: {e}"))?;
        for _ in 0..5 {
            let live = self.get().await?;
            let mut object = live.clone();
            match content_type.as_str() {
                MERGE => json_patch::merge(&mut object, &body),
                "application/json-patch+json" => patch_json(&mut object, &body)?,
                other => {
                    return Err(err!(415, "the stand-in knows no patch of type {other}"));
                }
            }
            match self.write(live, self.decode(object, false)?, false).await {
                Err(e) if e.code == 409 && body["metadata"]["resourceVersion"].is_null() => {}
                done => return done,
            }
        }
        Err(err!(409, "too many writers"))
    }

    async fn apply(&self) -> Result<Value> {
        let manager = self.request.param("fieldManager");
        if manager.is_empty() {
            return Err(err!(
                422,
                "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch"
            ));
        }
        let mut applied = self.body()?;
        match name(&applied) {
            "" => applied["metadata"]["name"] = self.name.into(),
            own if own != self.name => {
                return Err(err!(
                    400,
                    "the name of the object ({own}) does not match the name on the URL ({})",
                    self.name
                ));
            }
            _ => {}
        }
        let force = self.request.param("force") == "true";
        let schema = self.resource.schema();
        for _ in 0..5 {
            let live = match self.get().await {
                Err(e) if e.code == 404 && self.subresource.is_empty() => Value::Null,
                live => live?,
            };
            let object = apply::apply(&live, &applied, schema, manager, self.subresource, force)?;
            let done = match live {
                Value::Null => self.insert(object).await,
                live => self.write(live, object, true).await,
            };
            match done {
                Err(e) if e.code == 409 && applied["metadata"]["resourceVersion"].is_null() => {}
                done => return done,
            }
        }
        Err(err!(409, "too many writers"))
    }

    fn conflict(&self) -> Error {
        err!(
            409,
            "Operation cannot be fulfilled on {} {:?}: the object has been modified; please apply your changes to the latest version and try again",
            self.resource.qualified(),
            self.name
        )
    }

    /// Replaces what is there.
    async fn write(&self, live: Value, mut object: Value, applied: bool) -> Result<Value> {
        for field in ["resourceVersion", "uid"] {
            let given = text(&object["metadata"], field);
            if !given.is_empty() && live["metadata"][field] != given {
                return Err(self.conflict());
            }
        }
        self.place(&mut object)?;
        let managed = object["metadata"]["managedFields"].clone();
        self.keep_other_parts(&live, &mut object)?;
        for field in KEPT {
            object["metadata"][field] = live["metadata"][field].clone();
        }
        defaults::fill_in(self.resource, &mut object);
        admission::admit(self, &mut object, &live)?;
        if self.subresource.is_empty() {
            validation::validate(self.resource, &object, &live)?;
        }
        if object["spec"] != live["spec"]
            && let Some(generation) = live["metadata"]["generation"].as_u64()
        {
            object["metadata"]["generation"] = (generation + 1).into();
        }
        if applied {
            object["metadata"]["managedFields"] = managed;
        } else {
            let schema = self.resource.schema();
            let manager = self.manager();
            apply::track(&live, &mut object, schema, manager, self.subresource);
        }
        tidy(&mut object);
        if object == live || self.is_dry_run() {
            return Ok(object);
        }
        let done = self.finish(&live, object).await?;
        done.ok_or_else(|| self.conflict())
    }

    /// Each path changes its own part only.
    fn keep_other_parts(&self, live: &Value, object: &mut Value) -> Result<()> {
        match self.subresource {
            "" => {
                if self.resource.subresources.contains(&"status") {
                    object["status"] = live["status"].clone();
                }
                if self.resource.kind == "CertificateSigningRequest" {
                    object["spec"] = live["spec"].clone();
                }
                if self.resource.kind == "Pod" && fixed(live) != fixed(object) {
                    let why = "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
                    return Err(validation::invalid(
                        self.resource,
                        self.name,
                        &[why.to_owned()],
                    ));
                }
            }
            "approval" => {
                let conditions = object["status"]["conditions"].clone();
                *object = live.clone();
                object["status"]["conditions"] = conditions;
            }
            _ => {
                let status = object["status"].take();
                *object = live.clone();
                object["status"] = status;
            }
        }
        Ok(())
    }
}

/// What of a pod nobody may change.
fn fixed(pod: &Value) -> Value {
    let mut spec = pod["spec"].clone();
    let containers = spec["containers"].as_array_mut();
    for container in containers.into_iter().flatten() {
        container["image"] = Value::Null;
    }
    json_patch::merge(
        &mut spec,
        &json!({"activeDeadlineSeconds": null, "tolerations": null, "terminationGracePeriodSeconds": null}),
    );
    spec
}

/// JSON patch (RFC 6902).
fn patch_json(target: &mut Value, patch: &Value) -> Result<()> {
    let operations: json_patch::Patch = serde_json::from_value(patch.clone())
        .map_err(|e| err!(400, "error decoding patch: {e}"))?;
    json_patch::patch(target, &operations).map_err(|e| {
        err!(
            422,
            "the server rejected our request due to an error in our request: {e}"
        )
    })
}
