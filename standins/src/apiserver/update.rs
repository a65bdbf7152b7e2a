//! PUT and PATCH: from the object that is there to the one that shall be.

use serde_json::Value;

use super::crud::Call;
use super::{admission, apply, defaults, patch, validation};
use crate::api::{Error, Result, name};

impl Call<'_> {
    /// PUT.
    pub async fn update(&self) -> Result<Value> {
        let object = self.decode(self.body()?, self.resource.kind, false)?;
        if name(&object) != self.name {
            return Err(Error::new(
                400,
                format!(
                    "the name of the object ({}) does not match the name on the URL ({})",
                    name(&object),
                    self.name
                ),
            ));
        }
        match self.live(self.name).await {
            // Some resources may be created by PUT; a resourceVersion says it was there.
            Err(e)
                if e.code == 404
                    && matches!(
                        self.resource.kind,
                        "Lease"
                            | "Service"
                            | "ConfigMap"
                            | "Role"
                            | "RoleBinding"
                            | "ClusterRole"
                            | "ClusterRoleBinding"
                            | "Endpoints"
                    )
                    && object["metadata"]["resourceVersion"].is_null() =>
            {
                self.insert(object).await
            }
            Err(e) => Err(e),
            Ok(live) => {
                if self.resource.kind == "Service"
                    && object["metadata"]["resourceVersion"]
                        .as_str()
                        .is_none_or(str::is_empty)
                {
                    return Err(validation::invalid(self.resource, self.name, &["metadata.resourceVersion: Invalid value: 0x0: must be specified for an update".to_owned()]));
                }
                self.store(live, object).await
            }
        }
    }

    /// PATCH.
    pub async fn patch(&self) -> Result<Value> {
        let kind = self
            .request
            .header("content-type")
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned();
        let t = self.resource.schema();
        if kind == "application/apply-patch+yaml" {
            let manager = self.request.param("fieldManager");
            if manager.is_empty() {
                return Err(Error {
                    reason: "Invalid",
                    ..Error::new(
                        422,
                        "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
                    )
                });
            }
            let body = self.body()?;
            if body["apiVersion"].is_null() || body["kind"].is_null() {
                return Err(Error::new(
                    400,
                    "error decoding YAML: Object 'Kind' is missing",
                ));
            }
            let mut applied = self.decode(body, self.resource.kind, true)?;
            if name(&applied) != self.name && !name(&applied).is_empty() {
                return Err(Error::new(
                    400,
                    format!(
                        "the name of the object ({}) does not match the name on the URL ({})",
                        name(&applied),
                        self.name
                    ),
                ));
            }
            applied["metadata"]["name"] = self.name.into();
            self.place(&mut applied)?;
            let force = self.request.param("force") == "true";
            // A write in between means: compute again from what is there now.
            for _ in 0..5 {
                let live = match self.live(self.name).await {
                    Ok(live) => live,
                    Err(e) if e.code == 404 && self.subresource.is_empty() => Value::Null,
                    Err(e) => return Err(e),
                };
                if live.is_null() && !applied["metadata"]["resourceVersion"].is_null() {
                    return Err(Error::new(
                        409,
                        "resourceVersion of an object that does not exist",
                    ));
                }
                let object = apply::apply(&live, &applied, t, manager, self.subresource, force)?;
                let done = if live.is_null() {
                    self.insert(object).await
                } else {
                    self.write(live, object, true).await
                };
                match done {
                    Err(e)
                        if matches!(e.reason, "Conflict" | "AlreadyExists")
                            && applied["metadata"]["resourceVersion"].is_null() => {}
                    done => return done,
                }
            }
            return Err(Error::new(409, "too many writers"));
        }
        let body: Value = serde_json::from_slice(&self.request.body)
            .map_err(|e| Error::new(400, format!("error decoding patch: {e}")))?;
        for _ in 0..5 {
            let live = self.live(self.name).await?;
            let mut object = live.clone();
            match kind.as_str() {
                crate::client::MERGE => patch::merge(&mut object, &body),
                crate::client::STRATEGIC => patch::strategic(t, &mut object, &body)?,
                "application/json-patch+json" => patch::json(&mut object, &body)?,
                other => {
                    return Err(Error::new(
                        415,
                        format!(
                            "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml; got {other}"
                        ),
                    ));
                }
            }
            let object = self.decode(object, self.resource.kind, false)?;
            match self.store(live, object).await {
                Err(e)
                    if e.reason == "Conflict" && body["metadata"]["resourceVersion"].is_null() => {}
                done => return done,
            }
        }
        Err(Error::new(409, "too many writers"))
    }

    async fn store(&self, live: Value, object: Value) -> Result<Value> {
        self.write(live, object, false).await
    }

    /// Replaces what is there.
    async fn write(&self, live: Value, mut object: Value, applied: bool) -> Result<Value> {
        let conflict = || {
            Error::new(
                409,
                format!(
                    "Operation cannot be fulfilled on {} {:?}: the object has been modified; please apply your changes to the latest version and try again",
                    self.resource.qualified(),
                    self.name
                ),
            )
        };
        let version = object["metadata"]["resourceVersion"]
            .as_str()
            .unwrap_or_default();
        if !version.is_empty() && version != "0" && live["metadata"]["resourceVersion"] != version {
            return Err(conflict());
        }
        if object["metadata"]["uid"]
            .as_str()
            .is_some_and(|u| live["metadata"]["uid"] != u)
        {
            return Err(Error::new(
                409,
                format!(
                    "Operation cannot be fulfilled on {} {:?}: StorageError: invalid object, Code: 4, Precondition failed: UID in precondition: {}, UID in object meta: {}",
                    self.resource.qualified(),
                    self.name,
                    object["metadata"]["uid"],
                    live["metadata"]["uid"]
                ),
            ));
        }
        self.place(&mut object)?;
        // Each path changes its own part only.
        let managed = object["metadata"]["managedFields"].clone();
        match self.subresource {
            "" => {
                if self.resource.subresources.contains(&"status") {
                    object["status"] = live["status"].clone();
                }
                if self.resource.kind == "CertificateSigningRequest" {
                    object["spec"] = live["spec"].clone();
                }
                if self.resource.kind == "Pod" && live["spec"] != object["spec"] {
                    self.pod_update(&live, &object)?;
                }
            }
            "approval" => {
                let conditions = object["status"]["conditions"].clone();
                object = live.clone();
                object["status"]["conditions"] = conditions;
            }
            "finalize" => {
                let finalizers = object["spec"]["finalizers"].clone();
                object = live.clone();
                object["spec"]["finalizers"] = finalizers;
            }
            _ => {
                let status = object["status"].clone();
                object = live.clone();
                object["status"] = status;
            }
        }
        for field in [
            "uid",
            "creationTimestamp",
            "generation",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "resourceVersion",
            "name",
            "namespace",
        ] {
            object["metadata"][field] = live["metadata"][field].clone();
        }
        defaults::default(self.resource, &mut object);
        admission::admit(
            self.server,
            self.user,
            self.resource,
            self.subresource,
            &mut object,
            &live,
        )?;
        if self.subresource.is_empty() {
            validation::validate(self.resource, &object, &live)?;
        }
        if object["spec"] != live["spec"] && live["metadata"]["generation"].is_u64() {
            object["metadata"]["generation"] =
                (live["metadata"]["generation"].as_u64().unwrap_or(0) + 1).into();
        }
        if applied {
            object["metadata"]["managedFields"] = managed;
        } else {
            apply::track(
                &live,
                &mut object,
                self.resource.schema(),
                &self.manager(),
                self.subresource,
            );
        }
        self.tidy(&mut object);
        if object == live || self.dry_run()? {
            return Ok(object);
        }
        self.finish(&live, object)
            .await
            .and_then(|o| o.ok_or_else(conflict))
    }

    /// Writes, or deletes what only waited for its last finalizer. None: somebody was faster.
    pub(super) async fn finish(&self, live: &Value, mut object: Value) -> Result<Option<Value>> {
        let revision = live["metadata"]["resourceVersion"]
            .as_str()
            .and_then(|v| v.parse().ok())
            .unwrap_or(0);
        let key = self.resource.key(self.namespace, self.name);
        if let Some(meta) = object["metadata"].as_object_mut() {
            meta.remove("resourceVersion");
        }
        let held = |o: &Value, path: &str| {
            o.pointer(path)
                .and_then(Value::as_array)
                .is_some_and(|f| !f.is_empty())
        };
        let deleted = !object["metadata"]["deletionTimestamp"].is_null()
            && !held(&object, "/metadata/finalizers")
            && match self.resource.kind {
                "Namespace" => !held(&object, "/spec/finalizers"),
                "Pod" => object["metadata"]["deletionGracePeriodSeconds"] == 0,
                _ => true,
            };
        self.tidy(&mut object);
        let done = if deleted {
            self.server.etcd.delete(&key, revision).await?
        } else {
            self.server.etcd.put(&key, &object, revision).await?
        };
        Ok(done.map(|revision| {
            object["metadata"]["resourceVersion"] = revision.to_string().into();
            object
        }))
    }

    fn pod_update(&self, live: &Value, object: &Value) -> Result<()> {
        let strip = |pod: &Value| {
            let mut spec = pod["spec"].clone();
            for container in spec["containers"].as_array_mut().into_iter().flatten() {
                container["image"] = Value::Null;
            }
            for field in [
                "activeDeadlineSeconds",
                "tolerations",
                "terminationGracePeriodSeconds",
            ] {
                spec[field] = Value::Null;
            }
            spec
        };
        if strip(live) == strip(object) {
            return Ok(());
        }
        Err(validation::invalid(self.resource, self.name, &["spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)".to_owned()]))
    }
}
