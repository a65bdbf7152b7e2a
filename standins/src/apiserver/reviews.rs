//! Requests that store nothing, or something else than what was sent: reviews of
//! identity and access, tokens, bindings, evictions.

use serde_json::{Value, json};

use super::Server;
use super::authn::User;
use super::authz::Attributes;
use super::crud::Call;
use super::resources::find;
use crate::api::{Error, Result, is_condition, items, name, now, object_selector, uid};
use crate::http::Request;

fn attributes(spec: &Value) -> Attributes {
    let text = |object: &Value, field: &str| object[field].as_str().unwrap_or_default().to_owned();
    let resource = &spec["resourceAttributes"];
    let other = &spec["nonResourceAttributes"];
    if other.is_object() {
        return Attributes {
            verb: text(other, "verb"),
            path: text(other, "path"),
            ..Attributes::default()
        };
    }
    Attributes {
        verb: text(resource, "verb"),
        group: text(resource, "group"),
        resource: text(resource, "resource"),
        subresource: text(resource, "subresource"),
        namespace: text(resource, "namespace"),
        name: text(resource, "name"),
        ..Attributes::default()
    }
}

fn access(server: &Server, user: &User, spec: &Value) -> Value {
    match server.authorizer.authorize(user, &attributes(spec)) {
        Ok(()) => json!({"allowed": true, "reason": ""}),
        Err(_) => json!({"allowed": false, "reason": ""}),
    }
}

/// Answers a review.
pub fn review(server: &Server, user: &User, kind: &str, request: &Request) -> Result<Value> {
    let mut body: Value =
        serde_json::from_slice(&request.body).map_err(|e| Error::new(400, e.to_string()))?;
    body["status"] = match kind {
        "SelfSubjectReview" => json!({"userInfo": user.json()}),
        "SelfSubjectAccessReview" => access(server, user, &body["spec"]),
        "SubjectAccessReview" => {
            let spec = &body["spec"];
            let asked = User {
                name: spec["user"].as_str().unwrap_or_default().to_owned(),
                groups: items(spec, "/groups")
                    .filter_map(|g| g.as_str().map(str::to_owned))
                    .collect(),
                uid: String::new(),
            };
            access(server, &asked, spec)
        }
        _ => match server
            .authenticator
            .token(body["spec"]["token"].as_str().unwrap_or_default())
        {
            Ok(found) => {
                json!({"authenticated": true, "user": found.json(), "audiences": [server.authenticator.issuer]})
            }
            Err(e) => json!({"authenticated": false, "error": e}),
        },
    };
    Ok(body)
}

/// POST to `…/serviceaccounts/a/token`.
pub async fn token(call: &Call<'_>) -> Result<Value> {
    let server = call.server;
    let account = call.get().await?;
    let mut body: Value =
        serde_json::from_slice(&call.request.body).map_err(|e| Error::new(400, e.to_string()))?;
    let seconds = body["spec"]["expirationSeconds"].as_i64().unwrap_or(3600);
    if seconds < 600 {
        return Err(Error::new(
            422,
            "spec.expirationSeconds: Invalid value: may not specify a duration less than 10 minutes",
        ));
    }
    let now = jiff::Timestamp::now();
    let issued = now.as_second();
    let claims = json!({
        "iss": server.authenticator.issuer, "aud": [server.authenticator.issuer], "jti": uid(),
        "sub": format!("system:serviceaccount:{}:{}", call.namespace, call.name),
        "iat": issued, "nbf": issued, "exp": issued + seconds,
        "kubernetes.io": {"namespace": call.namespace, "serviceaccount": {"name": call.name, "uid": account["metadata"]["uid"]}},
    });
    let token = server
        .signer
        .sign(&claims)
        .map_err(|e| Error::new(500, e.to_string()))?;
    let expires = jiff::Timestamp::from_second(issued + seconds)
        .map_err(|e| Error::new(500, e.to_string()))?;
    body["kind"] = "TokenRequest".into();
    body["apiVersion"] = "authentication.k8s.io/v1".into();
    body["status"] = json!({"token": token, "expirationTimestamp": expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()});
    Ok(body)
}

/// POST to `…/pods/a/binding`.
pub async fn bind(call: &Call<'_>) -> Result<Value> {
    let body: Value =
        serde_json::from_slice(&call.request.body).map_err(|e| Error::new(400, e.to_string()))?;
    let node = body["target"]["name"].as_str().unwrap_or_default();
    let key = call.resource.key(call.namespace, call.name);
    let stored = call
        .server
        .etcd
        .get(&key)
        .await?
        .ok_or_else(|| Error::not_found("pods", call.name))?;
    let mut pod = stored.value;
    if !pod["spec"]["nodeName"].is_null() {
        return Err(Error::new(
            409,
            format!(
                "Operation cannot be fulfilled on pods/binding {:?}: pod {} is already assigned to node {}",
                call.name, call.name, pod["spec"]["nodeName"]
            ),
        ));
    }
    pod["spec"]["nodeName"] = node.into();
    crate::api::set_condition(&mut pod, "PodScheduled", "True", "", "");
    match call.server.etcd.put(&key, &pod, stored.revision).await? {
        Some(_) => Ok(
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}),
        ),
        None => Err(Error::new(409, "the object has been modified")),
    }
}

/// POST to `…/pods/a/eviction`: deletes, unless a disruption budget would be broken.
pub async fn evict(call: &Call<'_>) -> Result<Value> {
    let pod = call.get().await?;
    let body: Value = serde_json::from_slice(&call.request.body).unwrap_or_default();
    let cache = &call.server.cache;
    for budget in cache.list(&format!(
        "/registry/policy/poddisruptionbudgets/{}/",
        call.namespace
    )) {
        if !object_selector(&budget["spec"]["selector"], &pod["metadata"]["labels"]) {
            continue;
        }
        let pods = cache.list(&format!("/registry/core/pods/{}/", call.namespace));
        let matching: Vec<_> = pods
            .iter()
            .filter(|p| object_selector(&budget["spec"]["selector"], &p["metadata"]["labels"]))
            .collect();
        let healthy = matching
            .iter()
            .filter(|p| is_condition(p, "Ready") && p["metadata"]["deletionTimestamp"].is_null())
            .count() as i64;
        let share = |v: &Value| match v {
            Value::String(s) => s
                .trim_end_matches('%')
                .parse::<i64>()
                .ok()
                .map(|p| (p * matching.len() as i64 + 99) / 100),
            other => other.as_i64(),
        };
        let needed = share(&budget["spec"]["minAvailable"]).or_else(|| {
            share(&budget["spec"]["maxUnavailable"]).map(|m| matching.len() as i64 - m)
        });
        if healthy - 1 < needed.unwrap_or(0) {
            return Err(Error::new(
                429,
                format!(
                    "Cannot evict pod as it would violate the pod's disruption budget. The disruption budget {} needs {} healthy pods and has {healthy} currently",
                    name(&budget),
                    needed.unwrap_or(0)
                ),
            ));
        }
    }
    let options = body["deleteOptions"].clone();
    let request = Request {
        peer: call.request.peer.clone(),
        method: http::Method::DELETE,
        path: String::new(),
        query: call.request.query.clone(),
        headers: call.request.headers.clone(),
        body: if options.is_null() {
            bytes::Bytes::new()
        } else {
            options.to_string().into()
        },
    };
    let Some(resource) = find("", "pods") else {
        return Err(Error::new(500, "no pods"));
    };
    Call {
        request: &request,
        resource,
        subresource: "",
        ..*call
    }
    .delete()
    .await?;
    Ok(
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {"creationTimestamp": now()}, "status": "Success", "code": 201}),
    )
}
