//! Get, list, create, delete; `update.rs` has what changes an object.

use serde_json::{Value, json};

use super::authn::User;
use super::cache::versioned;
use super::resources::Resource;
use super::{Server, admission, apply, defaults, validation};
use crate::api::{
    Error, Result, err, field_selector, items, label_selector, name, namespace, now, text, uid,
};
use crate::http::Request;
use crate::schema::Type;

/// One request to one resource.
pub struct Call<'a> {
    pub server: &'a Server,
    pub user: &'a User,
    pub resource: &'static Resource,
    pub namespace: &'a str,
    pub name: &'a str,
    pub subresource: &'a str,
    pub request: &'a Request,
}

impl Call<'_> {
    pub(super) fn is_dry_run(&self) -> bool {
        self.request.param("dryRun") == "All"
    }

    /// The manager in whose name fields are owned: as given, else the client program.
    pub(super) fn manager(&self) -> &str {
        match self.request.param("fieldManager") {
            "" => {
                let agent = self.request.header("user-agent");
                agent.split('/').next().unwrap_or("unknown")
            }
            manager => manager,
        }
    }

    pub(super) fn not_found(&self) -> Error {
        err!(
            404,
            "{} {:?} not found",
            self.resource.qualified(),
            self.name
        )
    }

    /// The body as an object of this resource.
    pub(super) fn body(&self) -> Result<Value> {
        let content_type = self.request.header("content-type");
        if !content_type.contains("json") && !content_type.contains("yaml") {
            return Err(err!(
                415,
                "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml; got {content_type}"
            ));
        }
        // JSON is YAML.
        let text = String::from_utf8_lossy(&self.request.body);
        let value = if content_type.contains("yaml") {
            serde_saphyr::from_str(&text).map_err(|e| e.to_string())
        } else {
            serde_json::from_str(&text).map_err(|e| e.to_string())
        };
        let value = value.map_err(|e| {
            let kind = self.resource.kind;
            err!(
                400,
                "the object provided is unrecognized (must be of type {kind}): {e}"
            )
        })?;
        let strict = self.request.param("fieldValidation") == "Strict"
            || content_type.contains("apply-patch");
        self.decode(value, strict)
    }

    /// Checks kind and fields of an object: unknown ones are refused or dropped.
    pub(super) fn decode(&self, mut object: Value, strict: bool) -> Result<Value> {
        let (kind, version) = (self.resource.kind, self.resource.api_version());
        if object["apiVersion"].is_null() && object["kind"].is_null() {
            object["apiVersion"] = version.clone().into();
            object["kind"] = kind.into();
        }
        let failed = |why: String| {
            err!(
                400,
                "{kind} in version {version:?} cannot be handled as a {kind}: {why}"
            )
        };
        if object["apiVersion"] != version.as_str() || object["kind"] != kind {
            return Err(failed(format!(
                "it is a {} of {}",
                object["kind"], object["apiVersion"]
            )));
        }
        let Some(t) = self.resource.schema() else {
            return Ok(object);
        };
        let mut unknown = vec![];
        t.decode(&object, "", &mut unknown).map_err(failed)?;
        if strict && !unknown.is_empty() {
            return Err(failed(format!(
                "strict decoding error: {}",
                unknown.join(", ")
            )));
        }
        Type::prune(t, &mut object);
        Ok(object)
    }

    /// GET of one object.
    pub async fn get(&self) -> Result<Value> {
        let key = self.resource.key(self.namespace, self.name);
        let stored = self.server.etcd.get(&key).await?;
        stored.map(versioned).ok_or_else(|| self.not_found())
    }

    /// GET of many.
    pub async fn list(&self) -> Result<Value> {
        let prefix = self.resource.prefix(self.namespace);
        let (found, revision) = self.server.etcd.list(&prefix).await?;
        let labels = self.request.param("labelSelector");
        let fields = self.request.param("fieldSelector");
        let mut items: Vec<Value> = found.into_iter().map(versioned).collect();
        items.retain(|o| {
            label_selector(labels, &o["metadata"]["labels"]) && field_selector(fields, o)
        });
        for item in items.iter_mut().filter_map(Value::as_object_mut) {
            // Items of typed lists carry neither.
            item.remove("kind");
            item.remove("apiVersion");
        }
        Ok(
            json!({"kind": format!("{}List", self.resource.kind), "apiVersion": self.resource.api_version(),
                   "metadata": {"resourceVersion": revision.to_string()}, "items": items}),
        )
    }

    /// POST.
    pub async fn create(&self) -> Result<Value> {
        let mut object = self.body()?;
        let prefix = text(&object["metadata"], "generateName").to_owned();
        if !prefix.is_empty() && name(&object).is_empty() {
            object["metadata"]["name"] = format!("{prefix}{}", crate::api::suffix(5)).into();
        }
        if !object["metadata"]["resourceVersion"].is_null() {
            return Err(err!(
                400,
                "resourceVersion should not be set on objects to be created"
            ));
        }
        self.insert(object).await
    }

    /// Stores an object that is not there yet.
    pub(super) async fn insert(&self, mut object: Value) -> Result<Value> {
        self.place(&mut object)?;
        object["metadata"]["uid"] = uid().into();
        object["metadata"]["creationTimestamp"] = now().into();
        object["metadata"]["deletionTimestamp"] = Value::Null;
        if !object["spec"].is_null() {
            object["metadata"]["generation"] = 1.into();
        }
        defaults::fill_in(self.resource, &mut object);
        admission::admit(self, &mut object, &Value::Null)?;
        validation::validate(self.resource, &object, &Value::Null)?;
        if object["metadata"].get("managedFields").is_none() {
            let schema = self.resource.schema();
            apply::track(&Value::Null, &mut object, schema, self.manager(), "");
        }
        tidy(&mut object);
        let key = self.resource.key(self.namespace, name(&object));
        let exists = || Error::exists(&self.resource.qualified(), name(&object));
        if self.is_dry_run() {
            return match self.server.etcd.get(&key).await? {
                Some(_) => Err(exists()),
                None => Ok(object),
            };
        }
        let revision = self.server.etcd.put(&key, &object, 0).await?;
        let revision = revision.ok_or_else(exists)?;
        object["metadata"]["resourceVersion"] = revision.to_string().into();
        Ok(object)
    }

    /// Gives the object its namespace, or refuses another one.
    pub(super) fn place(&self, object: &mut Value) -> Result<()> {
        match namespace(object) {
            _ if !self.resource.namespaced => {}
            "" => object["metadata"]["namespace"] = self.namespace.into(),
            own if own != self.namespace => {
                return Err(err!(
                    400,
                    "the namespace of the provided object does not match the namespace sent on the request ({own:?} vs {:?})",
                    self.namespace
                ));
            }
            _ => {}
        }
        Ok(())
    }

    /// DELETE of one object.
    pub async fn delete(&self, options: &Value) -> Result<Value> {
        for _ in 0..5 {
            let live = self.get().await?;
            let wanted = &options["preconditions"]["uid"];
            if !wanted.is_null() && *wanted != live["metadata"]["uid"] {
                return Err(err!(
                    409,
                    "Operation cannot be fulfilled on {} {:?}: Precondition failed: UID in precondition: {wanted}, UID in object meta: {}",
                    self.resource.qualified(),
                    self.name,
                    live["metadata"]["uid"]
                ));
            }
            let mut object = live.clone();
            if object["metadata"]["deletionTimestamp"].is_null() {
                object["metadata"]["deletionTimestamp"] = now().into();
            }
            object["metadata"]["deletionGracePeriodSeconds"] =
                self.grace_period(&live, options).into();
            if self.is_dry_run() {
                return Ok(object);
            }
            if let Some(done) = self.finish(&live, object).await? {
                return Ok(match self.resource.kind {
                    "Pod" => done,
                    _ => {
                        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})
                    }
                });
            }
        }
        Err(err!(409, "too many writers"))
    }

    /// How long a pod's kubelet gets to end it.
    fn grace_period(&self, live: &Value, options: &Value) -> u64 {
        if self.resource.kind != "Pod" || live["spec"]["nodeName"].is_null() {
            return 0;
        }
        let asked = options["gracePeriodSeconds"].as_u64();
        asked
            .or_else(|| self.request.param("gracePeriodSeconds").parse().ok())
            .or_else(|| live["spec"]["terminationGracePeriodSeconds"].as_u64())
            .unwrap_or(30)
    }

    /// Writes, or deletes what only waited for that. None: somebody was faster.
    pub(super) async fn finish(&self, live: &Value, mut object: Value) -> Result<Option<Value>> {
        let revision = text(&live["metadata"], "resourceVersion");
        let revision = revision.parse().unwrap_or(0);
        let key = self.resource.key(self.namespace, self.name);
        object["metadata"]["resourceVersion"] = Value::Null;
        let meta = &object["metadata"];
        let deleted = !meta["deletionTimestamp"].is_null()
            && items(meta, "/finalizers").next().is_none()
            && (self.resource.kind != "Pod" || meta["deletionGracePeriodSeconds"] == 0);
        tidy(&mut object);
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
}

/// Leaves out what Go leaves out when it encodes.
pub(super) fn tidy(object: &mut Value) {
    if let Some(o) = object.as_object_mut() {
        o.retain(|_, v| !v.is_null());
    }
    if let Some(meta) = object["metadata"].as_object_mut() {
        meta.retain(|_, v| !v.is_null() && v.as_array().is_none_or(|a| !a.is_empty()));
    }
}
