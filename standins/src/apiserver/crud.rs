//! Get, list, create, delete; `update.rs` has what changes an object.

use serde_json::{Value, json};

use super::authn::User;
use super::cache::versioned;
use super::resources::Resource;
use super::{Server, admission, apply, defaults, validation};
use crate::api::{Error, Result, field_selector, label_selector, name, namespace, now, uid};
use crate::http::Request;

/// One request to one resource.
pub struct Call<'a> {
    /// The server.
    pub server: &'a Server,
    /// Who asks.
    pub user: &'a User,
    /// For what.
    pub resource: &'static Resource,
    /// In which namespace.
    pub namespace: &'a str,
    /// Which object.
    pub name: &'a str,
    /// Which part of it.
    pub subresource: &'a str,
    /// The request.
    pub request: &'a Request,
}

impl Call<'_> {
    pub(super) fn dry_run(&self) -> Result<bool> {
        match self.request.param("dryRun") {
            "" => Ok(false),
            "All" => Ok(true),
            other => Err(Error {
                reason: "Invalid",
                ..Error::new(
                    422,
                    format!("dryRun: Unsupported value: {other:?}: supported values: \"All\""),
                )
            }),
        }
    }

    /// The manager in whose name fields are owned: as given, else the client program.
    pub(super) fn manager(&self) -> String {
        match self.request.param("fieldManager") {
            "" => self
                .request
                .header("user-agent")
                .split('/')
                .next()
                .filter(|a| !a.is_empty())
                .unwrap_or("unknown")
                .to_owned(),
            manager => manager.to_owned(),
        }
    }

    /// The body as an object, checked as the request asks for it.
    pub(super) fn body(&self) -> Result<Value> {
        let content_type = self
            .request
            .header("content-type")
            .split(';')
            .next()
            .unwrap_or_default()
            .trim();
        // Decoding it as text would only say that it is none.
        if content_type.contains("protobuf") || content_type.contains("cbor") {
            return Err(Error::new(
                415,
                format!("the stand-in takes JSON and YAML only, not {content_type}"),
            ));
        }
        let text = std::str::from_utf8(&self.request.body)
            .map_err(|_| Error::new(400, "the body is not UTF-8"))?;
        let value: Value = match content_type {
            "application/yaml" | "application/apply-patch+yaml" => serde_saphyr::from_str(text).map_err(|e| Error::new(400, format!("error decoding YAML: {e}")))?,
            "" | "application/json" | "*/*" => {
                serde_json::from_str(text).map_err(|e| Error::new(400, format!("the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error: {e}", self.resource.kind)))?
            }
            other => return Err(Error::new(415, format!("the body of the request was in an unknown format - accepted media types include: application/json, application/yaml; got {other}"))),
        };
        Ok(value)
    }

    /// Checks kind and fields of an object for this resource.
    pub(super) fn decode(
        &self,
        mut object: Value,
        kind: &str,
        strict_default: bool,
    ) -> Result<Value> {
        let version = if kind == "Eviction" {
            "policy/v1".to_owned()
        } else {
            self.resource.api_version()
        };
        if object["apiVersion"].is_null() && object["kind"].is_null() {
            object["apiVersion"] = version.clone().into();
            object["kind"] = kind.into();
        }
        if object["apiVersion"] != version.as_str() || object["kind"] != kind {
            return Err(Error::new(
                400,
                format!(
                    "{} in version {} cannot be handled as a {}: converting ({}) to ({version}.{kind}): unknown conversion",
                    object["kind"], object["apiVersion"], kind, object["kind"]
                ),
            ));
        }
        let Some(t) = crate::schema::kind(&version, kind) else {
            return Ok(object);
        };
        let mut unknown = vec![];
        t.decode(&object, "", &mut unknown).map_err(|e| {
            Error::new(
                400,
                format!("{kind} in version {version:?} cannot be handled as a {kind}: {e}"),
            )
        })?;
        if !unknown.is_empty() {
            match self.request.param("fieldValidation") {
                "Strict" => {
                    return Err(Error::new(
                        400,
                        format!(
                            "{kind} in version {version:?} cannot be handled as a {kind}: strict decoding error: {}",
                            unknown.join(", ")
                        ),
                    ));
                }
                "" if strict_default => {
                    let paths: Vec<String> = unknown
                        .iter()
                        .map(|u| {
                            format!(
                                ".{}: field not declared in schema",
                                u.trim_start_matches("unknown field ").trim_matches('"')
                            )
                        })
                        .collect();
                    return Err(Error::new(
                        500,
                        format!(
                            "failed to create typed patch object ({}/{}; {version}, Kind={kind}): errors:\n  {}",
                            self.namespace,
                            self.name,
                            paths.join("\n  ")
                        ),
                    ));
                }
                _ => t.prune(&mut object),
            }
        }
        Ok(object)
    }

    pub(super) async fn live(&self, name: &str) -> Result<Value> {
        let stored = self
            .server
            .etcd
            .get(&self.resource.key(self.namespace, name))
            .await?;
        stored
            .map(versioned)
            .ok_or_else(|| Error::not_found(&self.resource.qualified(), name))
    }

    /// GET of one object.
    pub async fn get(&self) -> Result<Value> {
        self.live(self.name).await
    }

    /// GET of many.
    pub async fn list(&self) -> Result<Value> {
        let (found, revision) = self
            .server
            .etcd
            .list(&self.resource.prefix(self.namespace))
            .await?;
        let (labels, fields) = (
            self.request.param("labelSelector"),
            self.request.param("fieldSelector"),
        );
        let mut items: Vec<Value> = found
            .into_iter()
            .map(versioned)
            .filter(|o| {
                label_selector(labels, &o["metadata"]["labels"]) && field_selector(fields, o)
            })
            .collect();
        for item in &mut items {
            // Items of typed lists carry neither.
            if let Some(object) = item.as_object_mut() {
                object.remove("kind");
                object.remove("apiVersion");
            }
        }
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        let limit: usize = self.request.param("limit").parse().unwrap_or(0);
        let skip: usize = self.request.param("continue").parse().unwrap_or(0);
        if limit > 0 && items.len() > skip + limit {
            metadata["continue"] = (skip + limit).to_string().into();
            metadata["remainingItemCount"] = (items.len() - skip - limit).into();
            items.truncate(skip + limit);
        }
        items.drain(..skip.min(items.len()));
        Ok(
            json!({"kind": format!("{}List", self.resource.kind), "apiVersion": self.resource.api_version(), "metadata": metadata, "items": items}),
        )
    }

    /// POST.
    pub async fn create(&self) -> Result<Value> {
        let mut object = self.decode(self.body()?, self.resource.kind, false)?;
        if !self.name.is_empty() {
            return Err(Error::new(
                405,
                "the server does not allow this method on the requested resource",
            ));
        }
        if let Some(prefix) = object["metadata"]["generateName"]
            .as_str()
            .map(str::to_owned)
            && name(&object).is_empty()
        {
            object["metadata"]["name"] = format!("{prefix}{}", crate::api::suffix(5)).into();
        }
        if object["metadata"]["resourceVersion"]
            .as_str()
            .is_some_and(|v| !v.is_empty() && v != "0")
        {
            return Err(Error::new(
                400,
                "resourceVersion should not be set on objects to be created",
            ));
        }
        self.insert(object).await
    }

    /// Stores an object that is not there yet.
    pub(super) async fn insert(&self, mut object: Value) -> Result<Value> {
        self.place(&mut object)?;
        let meta = &mut object["metadata"];
        meta["uid"] = uid().into();
        meta["creationTimestamp"] = now().into();
        for field in ["resourceVersion", "deletionTimestamp", "selfLink"] {
            if let Some(meta) = meta.as_object_mut() {
                meta.remove(field);
            }
        }
        if !object["spec"].is_null() {
            object["metadata"]["generation"] = 1.into();
        }
        defaults::default(self.resource, &mut object);
        admission::admit(
            self.server,
            self.user,
            self.resource,
            "",
            &mut object,
            &Value::Null,
        )?;
        validation::validate(self.resource, &object, &Value::Null)?;
        if object["metadata"].get("managedFields").is_none() {
            apply::track(
                &Value::Null,
                &mut object,
                self.resource.schema(),
                &self.manager(),
                "",
            );
        }
        self.tidy(&mut object);
        let key = self.resource.key(self.namespace, name(&object));
        if self.dry_run()? {
            return match self.server.etcd.get(&key).await? {
                Some(_) => Err(Error::exists(&self.resource.qualified(), name(&object))),
                None => Ok(object),
            };
        }
        match self.server.etcd.put(&key, &object, 0).await? {
            Some(revision) => {
                object["metadata"]["resourceVersion"] = revision.to_string().into();
                Ok(object)
            }
            None => Err(Error::exists(&self.resource.qualified(), name(&object))),
        }
    }

    pub(super) fn tidy(&self, object: &mut Value) {
        if let Some(o) = object.as_object_mut() {
            o.retain(|_, v| !v.is_null());
        }
        if let Some(meta) = object["metadata"].as_object_mut() {
            meta.retain(|_, v| !v.is_null() && v.as_array().is_none_or(|a| !a.is_empty()));
        }
    }

    /// Gives the object its namespace, or refuses another one.
    pub(super) fn place(&self, object: &mut Value) -> Result<()> {
        if !self.resource.namespaced {
            return Ok(());
        }
        match namespace(object) {
            "" => object["metadata"]["namespace"] = self.namespace.into(),
            own if own != self.namespace => {
                return Err(Error::new(
                    400,
                    format!(
                        "the namespace of the provided object does not match the namespace sent on the request ({own:?} vs {:?})",
                        self.namespace
                    ),
                ));
            }
            _ => {}
        }
        Ok(())
    }

    /// DELETE of one object.
    pub async fn delete(&self) -> Result<Value> {
        let options: Value = serde_json::from_slice(&self.request.body).unwrap_or_default();
        let dry = self.dry_run()? || options["dryRun"].as_array().is_some_and(|d| !d.is_empty());
        for _ in 0..5 {
            let live = self.live(self.name).await?;
            for (field, label) in [("uid", "UID"), ("resourceVersion", "ResourceVersion")] {
                let wanted = &options["preconditions"][field];
                if !wanted.is_null() && *wanted != live["metadata"][field] {
                    return Err(Error::new(
                        409,
                        format!(
                            "Operation cannot be fulfilled on {} {:?}: Precondition failed: {label} in precondition: {wanted}, {label} in object meta: {}",
                            self.resource.qualified(),
                            self.name,
                            live["metadata"][field]
                        ),
                    ));
                }
            }
            let mut object = live.clone();
            let grace = match (
                self.resource.kind,
                options["gracePeriodSeconds"]
                    .as_u64()
                    .or_else(|| self.request.param("gracePeriodSeconds").parse().ok()),
            ) {
                ("Pod", _) if live["spec"]["nodeName"].is_null() => 0,
                ("Pod", Some(grace)) => grace,
                ("Pod", None) => live["spec"]["terminationGracePeriodSeconds"]
                    .as_u64()
                    .unwrap_or(30),
                _ => 0,
            };
            if object["metadata"]["deletionTimestamp"].is_null() {
                object["metadata"]["deletionTimestamp"] = now().into();
            }
            object["metadata"]["deletionGracePeriodSeconds"] = grace.into();
            if self.resource.kind == "Namespace" {
                object["status"]["phase"] = "Terminating".into();
            }
            if dry {
                return Ok(object);
            }
            if let Some(done) = self.finish(&live, object).await? {
                return Ok(
                    if self.resource.kind == "Pod" || self.resource.kind == "Namespace" {
                        done
                    } else {
                        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                           "details": {"name": self.name, "group": self.resource.group, "kind": self.resource.plural, "uid": live["metadata"]["uid"]}})
                    },
                );
            }
        }
        Err(Error::new(409, "too many writers"))
    }

    /// DELETE of many.
    pub async fn delete_collection(&self) -> Result<Value> {
        let mut list = self.list().await?;
        for item in list["items"].as_array_mut().into_iter().flatten() {
            let (space, own) = (namespace(item).to_owned(), name(item).to_owned());
            let one = Call {
                namespace: &space,
                name: &own,
                ..*self
            };
            match one.delete().await {
                Err(e) if e.code != 404 => return Err(e),
                _ => {}
            }
        }
        Ok(list)
    }
}
