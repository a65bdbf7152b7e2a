//! From a request's path to what answers it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::authz::Attributes;
use super::crud::Call;
use super::resources::{self, Resource};
use super::{Server, reviews, watch};
use crate::api::{Result, err};
use crate::http::{Request, Response, json as reply, plain};

/// What a path names: what authorization sees of it, and the resource if it is served.
struct Target {
    attributes: Attributes,
    resource: Option<&'static Resource>,
}

/// Splits a path into group, namespace, resource, name and subresource.
fn parse_target(path: &str) -> Option<Target> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
        ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
        _ => return None,
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] if !matches!(rest, [] | ["status"]) => {
            (*namespace, rest)
        }
        rest => ("", rest),
    };
    let at = |i: usize| rest.get(i).copied().unwrap_or_default();
    let (plural, name, subresource) = (at(0), at(1), at(2));
    let resource = resources::find(group, plural).filter(|r| {
        version == "v1"
            && (subresource.is_empty() || r.subresources.contains(&subresource))
            && (r.namespaced || namespace.is_empty())
    });
    // A Namespace is in itself, to the authorizer.
    let namespace = match (group, plural) {
        ("", "namespaces") => name,
        _ => namespace,
    };
    let attributes = Attributes {
        group: group.into(),
        resource: plural.into(),
        subresource: subresource.into(),
        namespace: namespace.into(),
        name: name.into(),
        ..Attributes::default()
    };
    Some(Target {
        attributes,
        resource,
    })
}

/// Answers one request.
pub async fn handle(server: Arc<Server>, request: Request) -> Response {
    match route(&server, &request).await {
        Ok(response) => response,
        Err(e) => reply(e.code, &e.status()),
    }
}

async fn route(server: &Arc<Server>, request: &Request) -> Result<Response> {
    let user = server.authenticator.authenticate(request)?;
    let method = request.method.as_str();
    let Some(target) = parse_target(&request.path) else {
        let wanted = Attributes {
            verb: method.to_lowercase(),
            path: request.path.clone(),
            ..Attributes::default()
        };
        server.authorizer.authorize(&user, &wanted)?;
        return answer_other(server, request).await;
    };
    let watching = matches!(request.param("watch"), "true" | "1") && method == "GET";
    let mut wanted = target.attributes.clone();
    wanted.verb = match method {
        "GET" if watching => "watch",
        "GET" if wanted.name.is_empty() => "list",
        "GET" => "get",
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        _ if wanted.name.is_empty() => "deletecollection",
        _ => "delete",
    }
    .into();
    wanted.field_selector = request.param("fieldSelector").to_owned();
    // A list of one by its name counts as access to that one.
    if matches!(wanted.verb.as_str(), "list" | "watch")
        && let Some(name) = wanted.field_selector.strip_prefix("metadata.name=")
    {
        wanted.name = name.to_owned();
    }
    server.authorizer.authorize(&user, &wanted)?;
    let Some(resource) = target.resource else {
        return Err(err!(
            404,
            "the server could not find the requested resource"
        ));
    };
    let at = &target.attributes;
    let call = Call {
        server,
        user: &user,
        resource,
        namespace: &at.namespace,
        name: &at.name,
        subresource: &at.subresource,
        request,
    };
    if watching {
        return Ok(watch::watch(server.clone(), &call).await);
    }
    let status = if method == "POST" { 201 } else { 200 };
    answer(&call).await.map(|value| reply(status, &value))
}

async fn answer(call: &Call<'_>) -> Result<Value> {
    let (kind, subresource) = (call.resource.kind, call.subresource);
    match (call.request.method.as_str(), subresource, call.name) {
        ("POST", "", "") if kind == "SubjectAccessReview" => {
            reviews::review_access(call.server, call.request)
        }
        ("POST", "token", _) => reviews::issue_token(call).await,
        ("POST", "binding", _) => reviews::bind_pod(call).await,
        ("POST", "eviction", _) => reviews::evict_pod(call).await,
        ("POST", "", "") => call.create().await,
        ("GET", _, "") => call.list().await,
        ("GET", _, _) => call.get().await,
        ("PUT", _, name) if !name.is_empty() => call.update().await,
        ("PATCH", _, name) if !name.is_empty() => call.patch().await,
        // Nobody here would empty it.
        ("DELETE", "", name) if !name.is_empty() && kind != "Namespace" => {
            let options = serde_json::from_slice(&call.request.body).unwrap_or_default();
            call.delete(&options).await
        }
        _ => Err(err!(
            405,
            "the server does not allow this method on the requested resource"
        )),
    }
}

/// Health, version and discovery.
async fn answer_other(server: &Server, request: &Request) -> Result<Response> {
    let path = request.path.as_str();
    match path {
        "/healthz" | "/livez" | "/readyz" => return Ok(answer_health(server, request).await),
        "/version" => {
            let release = crate::version::current();
            return Ok(reply(
                200,
                &json!({"major": "1", "minor": release.minor.to_string(), "gitVersion": release.to_string(), "platform": "linux/amd64"}),
            ));
        }
        _ => {}
    }
    match resources::discovery(path) {
        Some(found) => Ok(reply(200, &found)),
        None => Err(err!(
            404,
            "the server could not find the requested resource"
        )),
    }
}

async fn answer_health(server: &Server, request: &Request) -> Response {
    let word = request.path.trim_start_matches('/');
    let etcd = server.etcd.get("/registry/health").await.is_ok();
    let roles = server.has_roles.load(Ordering::Relaxed) || word == "livez";
    let checks = [
        ("ping", true),
        ("etcd", etcd),
        ("poststarthook/rbac/bootstrap-roles", roles),
    ];
    let failed = checks.iter().any(|(_, ok)| !ok);
    let lines: String = checks
        .iter()
        .map(|(name, ok)| match ok {
            true => format!("[+]{name} ok\n"),
            false => format!("[-]{name} failed: reason withheld\n"),
        })
        .collect();
    match failed {
        false => plain(200, "ok"),
        true => plain(500, &format!("{lines}{word} check failed\n")),
    }
}
