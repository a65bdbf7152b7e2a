//! Requests that store nothing, or something else than what was sent: access
//! reviews, tokens, bindings, evictions.

use serde_json::{Value, json};

use super::Server;
use super::authn::User;
use super::authz::Attributes;
use super::crud::Call;
use super::resources::find;
use crate::api::{Result, err, is_condition, items, name, object_selector, text, uid};
use crate::http::Request;

fn body_of(request: &Request) -> Result<Value> {
    serde_json::from_slice(&request.body).map_err(|e| err!(400, "{e}"))
}

/// What subresources answer that make something happen.
fn success() -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})
}

/// Answers a SubjectAccessReview.
pub fn review_access(server: &Server, request: &Request) -> Result<Value> {
    let mut body = body_of(request)?;
    let spec = &body["spec"];
    let user = User {
        name: text(spec, "user").to_owned(),
        groups: items(spec, "/groups")
            .filter_map(|g| g.as_str().map(str::to_owned))
            .collect(),
    };
    let of = |field: &str| text(&spec["resourceAttributes"], field).to_owned();
    let wanted = Attributes {
        verb: of("verb"),
        group: of("group"),
        resource: of("resource"),
        subresource: of("subresource"),
        namespace: of("namespace"),
        name: of("name"),
        ..Attributes::default()
    };
    let allowed = server.authorizer.authorize(&user, &wanted).is_ok();
    body["status"] = json!({"allowed": allowed, "reason": ""});
    Ok(body)
}

/// POST to `…/serviceaccounts/a/token`.
pub async fn issue_token(call: &Call<'_>) -> Result<Value> {
    let server = call.server;
    let account = call.get().await?;
    let mut body = body_of(call.request)?;
    let seconds = body["spec"]["expirationSeconds"].as_i64().unwrap_or(3600);
    let issued = jiff::Timestamp::now().as_second();
    let claims = json!({
        "iss": server.authenticator.issuer, "aud": [server.authenticator.issuer], "jti": uid(),
        "sub": format!("system:serviceaccount:{}:{}", call.namespace, call.name),
        "iat": issued, "nbf": issued, "exp": issued + seconds,
        "kubernetes.io": {"namespace": call.namespace, "serviceaccount": {"name": call.name, "uid": account["metadata"]["uid"]}},
    });
    let token = server.signer.sign(&claims).map_err(|e| err!(500, "{e}"))?;
    body["kind"] = "TokenRequest".into();
    body["apiVersion"] = "authentication.k8s.io/v1".into();
    body["status"] = json!({"token": token});
    Ok(body)
}

/// POST to `…/pods/a/binding`.
pub async fn bind_pod(call: &Call<'_>) -> Result<Value> {
    let body = body_of(call.request)?;
    let live = call.get().await?;
    if !live["spec"]["nodeName"].is_null() {
        return Err(err!(
            409,
            "Operation cannot be fulfilled on pods/binding {:?}: pod {} is already assigned to node {}",
            call.name,
            call.name,
            live["spec"]["nodeName"]
        ));
    }
    let mut pod = live.clone();
    pod["spec"]["nodeName"] = body["target"]["name"].clone();
    crate::api::set_condition(&mut pod, "PodScheduled", "True", "", "");
    match call.finish(&live, pod).await? {
        Some(_) => Ok(success()),
        None => Err(err!(409, "the object has been modified")),
    }
}

/// POST to `…/pods/a/eviction`: deletes, unless a disruption budget would be broken.
pub async fn evict_pod(call: &Call<'_>) -> Result<Value> {
    let pod = call.get().await?;
    let body = body_of(call.request)?;
    let cache = &call.server.cache;
    let budgets = find("policy", "poddisruptionbudgets").map(|r| r.prefix(call.namespace));
    for budget in cache.list(&budgets.unwrap_or_default()) {
        let selector = &budget["spec"]["selector"];
        if !object_selector(selector, &pod["metadata"]["labels"]) {
            continue;
        }
        let mut pods = cache.list(&call.resource.prefix(call.namespace));
        pods.retain(|p| object_selector(selector, &p["metadata"]["labels"]));
        let healthy = pods
            .iter()
            .filter(|p| is_condition(p, "Ready") && p["metadata"]["deletionTimestamp"].is_null())
            .count() as i64;
        let needed = needed_pods(&budget["spec"], pods.len() as i64);
        if healthy - 1 < needed {
            return Err(err!(
                429,
                "Cannot evict pod as it would violate the pod's disruption budget. The disruption budget {} needs {needed} healthy pods and has {healthy} currently",
                name(&budget)
            ));
        }
    }
    call.delete(&body["deleteOptions"]).await?;
    Ok(success())
}

/// How many of so many pods a budget wants to stay.
fn needed_pods(spec: &Value, all: i64) -> i64 {
    let share = |v: &Value| match v {
        Value::String(s) => {
            let percent = s.trim_end_matches('%').parse::<i64>().ok()?;
            Some((percent * all + 99) / 100)
        }
        other => other.as_i64(),
    };
    share(&spec["minAvailable"])
        .or_else(|| share(&spec["maxUnavailable"]).map(|m| all - m))
        .unwrap_or(0)
}
