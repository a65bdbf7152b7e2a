//! From a request's path to what answers it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::json;

use super::authn::User;
use super::authz::Attributes;
use super::crud::Call;
use super::resources::{self, Resource};
use super::{Server, reviews, watch};
use crate::api::{Error, Result};
use crate::http::{Request, Response, json as reply, respond, text};

/// The parts of a resource's path.
struct Target {
    resource: &'static Resource,
    namespace: String,
    name: String,
    subresource: String,
}

/// Splits a path into group, namespace, resource, name and subresource. The second
/// part is what authorization sees even if the resource is not served.
fn target(path: &str) -> Option<(Option<Target>, Attributes)> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (group, rest) = match parts.as_slice() {
        ["api", "v1", rest @ ..] if !rest.is_empty() => ("", rest),
        ["apis", group, "v1", rest @ ..] if !rest.is_empty() => (*group, rest),
        ["apis", group, _, rest @ ..] if !rest.is_empty() => (*group, rest),
        _ => return None,
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..]
            if !rest.is_empty() && !matches!(rest, ["status" | "finalize"]) =>
        {
            (*namespace, rest)
        }
        rest => ("", rest),
    };
    let plural = rest[0];
    let name = rest.get(1).copied().unwrap_or_default();
    let subresource = rest.get(2).copied().unwrap_or_default();
    let version_ok = parts.first() == Some(&"api") || parts.get(2) == Some(&"v1");
    let found = resources::find(group, plural).filter(|r| {
        version_ok
            && (subresource.is_empty() || r.subresources.contains(&subresource))
            && (r.namespaced || namespace.is_empty())
    });
    let attributes = Attributes {
        group: group.into(),
        resource: plural.into(),
        subresource: subresource.into(),
        // A Namespace is in itself, to the authorizer.
        namespace: if group.is_empty() && plural == "namespaces" {
            name.into()
        } else {
            namespace.into()
        },
        name: name.into(),
        ..Attributes::default()
    };
    let target = found.map(|resource| Target {
        resource,
        namespace: namespace.into(),
        name: name.into(),
        subresource: subresource.into(),
    });
    Some((target, attributes))
}

/// Answers one request.
pub async fn handle(server: Arc<Server>, request: Request) -> Response {
    match route(&server, &request).await {
        Ok(response) => response,
        Err(e) => {
            let mut status = e.status();
            if e.code == 401 {
                status["message"] = "Unauthorized".into();
            }
            reply(e.code, &status)
        }
    }
}

async fn route(server: &Arc<Server>, request: &Request) -> Result<Response> {
    let user = server.authenticator.authenticate(request)?;
    let path = request.path.as_str();
    let method = request.method.as_str();
    let Some((target, mut attributes)) = target(path) else {
        attributes_for_path(server, &user, path, method)?;
        return other(server, request).await;
    };
    let watching = matches!(request.param("watch"), "true" | "1");
    attributes.verb = match method {
        "GET" if watching => "watch",
        "GET" if attributes.name.is_empty() => "list",
        "GET" => "get",
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" if attributes.name.is_empty() => "deletecollection",
        "DELETE" => "delete",
        _ => {
            return Err(Error::new(
                405,
                "the server does not allow this method on the requested resource",
            ));
        }
    }
    .into();
    attributes.field_selector = request.param("fieldSelector").to_owned();
    // A list of one by its name counts as access to that one.
    if attributes.name.is_empty()
        && let Some(name) = attributes.field_selector.strip_prefix("metadata.name=")
        && matches!(attributes.verb.as_str(), "list" | "watch")
    {
        attributes.name = name.trim_start_matches('=').to_owned();
    }
    server.authorizer.authorize(&user, &attributes)?;
    let Some(target) = target else {
        return Err(Error::new(
            404,
            "the server could not find the requested resource",
        ));
    };
    let call = Call {
        server,
        user: &user,
        resource: target.resource,
        namespace: &target.namespace,
        name: &target.name,
        subresource: &target.subresource,
        request,
    };
    if !request.header("accept").is_empty()
        && !["json", "*/*", "yaml"]
            .iter()
            .any(|a| request.header("accept").contains(a))
    {
        return Err(Error::new(
            406,
            "only the following media types are accepted: application/json, application/yaml",
        ));
    }
    if target.resource.is_review() {
        return if method == "POST" {
            reviews::review(server, &user, target.resource.kind, request).map(|v| reply(201, &v))
        } else {
            Err(Error::new(
                405,
                "the server does not allow this method on the requested resource",
            ))
        };
    }
    if watching && method == "GET" {
        return Ok(watch::watch(
            server.clone(),
            target.resource,
            &target.namespace,
            &target.name,
            request,
        )
        .await);
    }
    match (method, target.subresource.as_str(), target.name.is_empty()) {
        ("POST", "token", false) => reviews::token(&call).await.map(|v| reply(201, &v)),
        ("POST", "binding", false) => reviews::bind(&call).await.map(|v| reply(201, &v)),
        ("POST", "eviction", false) => reviews::evict(&call).await.map(|v| reply(201, &v)),
        (_, "token" | "binding" | "eviction", _) => Err(Error::new(
            405,
            "the server does not allow this method on the requested resource",
        )),
        ("GET", _, true) => call.list().await.map(|v| reply(200, &v)),
        ("GET", _, false) => call.get().await.map(|v| reply(200, &v)),
        ("POST", "", true) => {
            if target.resource.namespaced && target.namespace.is_empty() {
                return Err(Error::new(
                    400,
                    "an empty namespace may not be set during creation",
                ));
            }
            call.create().await.map(|v| reply(201, &v))
        }
        ("PUT", _, false) => {
            approval(server, &user, &call).await?;
            call.update().await.map(|v| reply(200, &v))
        }
        ("PATCH", _, false) => {
            approval(server, &user, &call).await?;
            call.patch().await.map(|v| reply(200, &v))
        }
        ("DELETE", "", false) => call.delete().await.map(|v| reply(200, &v)),
        ("DELETE", "", true) => call.delete_collection().await.map(|v| reply(200, &v)),
        _ => Err(Error::new(
            405,
            "the server does not allow this method on the requested resource",
        )),
    }
}

/// CertificateApproval and CertificateSigning: who approves or signs must be
/// allowed to for the signer that the request names.
async fn approval(server: &Server, user: &User, call: &Call<'_>) -> Result<()> {
    let verb = match (call.resource.kind, call.subresource) {
        ("CertificateSigningRequest", "approval") => "approve",
        ("CertificateSigningRequest", "status") => "sign",
        _ => return Ok(()),
    };
    let csr = call.get().await?;
    let signer = csr["spec"]["signerName"].as_str().unwrap_or_default();
    let domain = signer.split('/').next().unwrap_or_default();
    let allowed = [signer.to_owned(), format!("{domain}/*")]
        .into_iter()
        .any(|name| {
            let a = Attributes {
                verb: verb.into(),
                group: "certificates.k8s.io".into(),
                resource: "signers".into(),
                name,
                ..Attributes::default()
            };
            server.authorizer.authorize(user, &a).is_ok()
        });
    if allowed {
        Ok(())
    } else {
        Err(Error::new(
            403,
            format!(
                "certificatesigningrequests.certificates.k8s.io {:?} is forbidden: user not permitted to {verb} requests with signerName {signer:?}",
                call.name
            ),
        ))
    }
}

fn attributes_for_path(server: &Server, user: &User, path: &str, method: &str) -> Result<()> {
    let attributes = Attributes {
        verb: method.to_lowercase(),
        path: path.to_owned(),
        ..Attributes::default()
    };
    server.authorizer.authorize(user, &attributes)
}

/// Health, version and discovery.
async fn other(server: &Server, request: &Request) -> Result<Response> {
    let path = request.path.as_str();
    if let Some(check) = ["/healthz", "/livez", "/readyz"]
        .iter()
        .find(|p| path == **p || path.starts_with(&format!("{p}/")))
    {
        let etcd = server.etcd.get("/registry/health").await.is_ok();
        let hooks = server.ready.load(Ordering::Relaxed);
        let checks = [
            ("ping", true),
            ("log", true),
            ("etcd", etcd),
            (
                "informer-sync",
                *check != "/readyz" || *server.cache.revision.borrow() > 0,
            ),
            (
                "poststarthook/rbac/bootstrap-roles",
                hooks || *check == "/livez",
            ),
        ];
        let ok = checks.iter().all(|(_, ok)| *ok);
        let lines: String = checks
            .iter()
            .map(|(name, ok)| {
                if *ok {
                    format!("[+]{name} ok\n")
                } else {
                    format!("[-]{name} failed: reason withheld\n")
                }
            })
            .collect();
        let word = check.trim_start_matches('/');
        let verbose = request.query.iter().any(|(k, _)| k == "verbose");
        return Ok(match (ok, verbose) {
            (true, false) => text(200, "ok"),
            (true, true) => text(200, &format!("{lines}{word} check passed\n")),
            _ => text(500, &format!("{lines}{word} check failed\n")),
        });
    }
    if path == "/version" || path == "/version/" {
        let release = crate::version::current();
        return Ok(reply(
            200,
            &json!({"major": "1", "minor": release.minor.to_string(), "gitVersion": release.to_string(), "gitCommit": "standin",
            "gitTreeState": "clean", "buildDate": "2026-01-01T00:00:00Z", "goVersion": "go1.26", "compiler": "gc", "platform": "linux/amd64"}),
        ));
    }
    if path == "/metrics" {
        return Ok(respond(
            200,
            "text/plain; version=0.0.4",
            "# TYPE apiserver_storage_objects gauge\n",
        ));
    }
    if let Some(found) =
        resources::discovery(path, &format!("{}:{}", server.advertise, server.port))
    {
        return Ok(reply(200, &found));
    }
    Err(Error::new(
        404,
        "the server could not find the requested resource",
    ))
}
