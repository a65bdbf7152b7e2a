//! What objects need that is not there yet, and whether waiting for it helps.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::applied_set::{GroupKind, SYSTEM_NAMESPACES};
use super::error::ApiError;

/// Kinds and namespaces that will exist in a moment.
#[derive(Debug, Default)]
pub(super) struct Coming {
    kinds: BTreeSet<GroupKind>,
    namespaces: BTreeSet<String>,
}

impl Coming {
    /// Those that come with `objects`.
    pub(super) fn with(objects: &[Value]) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut coming = Coming::default();
        for object in objects {
            match object["kind"].as_str() {
                Some("CustomResourceDefinition") => {
                    coming.kinds.insert(GroupKind {
                        kind: text(&object["spec"]["names"]["kind"]),
                        group: text(&object["spec"]["group"]),
                    });
                }
                Some("Namespace") => {
                    coming.namespaces.insert(text(&object["metadata"]["name"]));
                }
                _ => {}
            }
        }
        coming
    }

    /// What it means that the kind of `object` could not be looked up.
    pub(super) fn judge_lookup(&self, error: ApiError, what: &str, object: &Value) -> ApiError {
        if !error.is_unknown_kind() || self.kinds.contains(&GroupKind::of(object)) {
            return error;
        }
        let text = |field: &str| object[field].as_str().unwrap_or_default();
        ApiError::UnknownKind {
            what: what.to_owned(),
            kind: format!("{} {}", text("apiVersion"), text("kind")),
        }
    }

    /// Whether a request failed for want of a namespace that nothing brings. Those of every
    /// cluster are made by its own controllers.
    pub(super) fn lacks_namespace(&self, error: &ApiError) -> bool {
        error.missing_namespace().is_some_and(|name| {
            !self.namespaces.contains(name) && !SYSTEM_NAMESPACES.contains(&name)
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use http::{Method, Request, Response};
    use kube::client::Body;
    use serde_json::json;
    use tokio::time::Instant;

    use super::*;
    use crate::kubernetes::api::Applier;

    /// An API that lacks the namespace `missing`, and has the kind `Late` after ten seconds.
    fn applier() -> Applier {
        let began = Instant::now();
        let service = tower::service_fn(move |request: Request<Body>| async move {
            let path = request.uri().path();
            let is_late = path == "/apis/late/v1" && began.elapsed().as_secs() >= 10;
            let (code, body) = if path.contains("/missing/") {
                let details = json!({"kind": "namespaces", "name": "missing"});
                let why = "namespaces \"missing\" not found";
                let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
                    "status": "Failure", "message": why, "details": details, "code": 404});
                (404, status)
            } else if is_late {
                let kind = json!({"name": "lates", "singularName": "late", "kind": "Late",
                    "namespaced": false, "verbs": []});
                (200, json!({"groupVersion": "late/v1", "resources": [kind]}))
            } else if request.method() == Method::PATCH {
                let object = json!({"apiVersion": "v1", "kind": "Any", "metadata": {"name": "x"}});
                (200, object)
            } else {
                (404, json!("404 page not found"))
            };
            let answer = Response::builder().status(code);
            let answer = answer.body(Body::from(body.to_string().into_bytes()));
            Ok::<_, Infallible>(answer.unwrap())
        });
        let client = kube::Client::new(service, "default");
        Applier::new(client, Duration::from_secs(60))
    }

    fn object(api_version: &str, kind: &str, namespace: &str) -> Value {
        json!({"apiVersion": api_version, "kind": kind,
            "metadata": {"name": "x", "namespace": namespace}})
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_retry_mends_ends_at_once() {
        let began = Instant::now();
        let foo = object("example.com/v1", "Foo", "");
        let error = applier().apply(&foo).await.unwrap_err();
        let why = "cannot apply Foo x: the API has no kind example.com/v1 Foo";
        assert_eq!(error.to_string(), why);
        assert!(error.hint().unwrap().contains("CustomResourceDefinition"));

        // The rest is applied all the same: it may be an operator that creates the kind.
        let after = object("v1", "ConfigMap", "kube-system");
        let error = applier().apply_all(&[foo, after]).await.unwrap_err();
        assert!(matches!(error, ApiError::UnknownKind { .. }), "{error}");

        let lost = object("v1", "ConfigMap", "missing");
        let error = applier().apply(&lost).await.unwrap_err();
        assert!(
            error.to_string().contains("\"missing\" not found"),
            "{error}"
        );
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_with_the_others_is_waited_for() {
        let names = json!({"kind": "Late"});
        let mut definition = object("v1", "Namespace", "");
        definition["kind"] = "CustomResourceDefinition".into();
        definition["spec"] = json!({"group": "late", "names": names});
        let late = object("late/v1", "Late", "");
        let coming = Coming::with(&[definition]);
        applier().apply_among(&late, &coming).await.unwrap();

        let mut namespace = object("v1", "Namespace", "");
        namespace["metadata"]["name"] = "missing".into();
        let began = Instant::now();
        let coming = Coming::with(&[namespace]);
        let lost = object("v1", "ConfigMap", "missing");
        applier().apply_among(&lost, &coming).await.unwrap_err();
        assert!(began.elapsed() > Duration::from_secs(50));
    }
}
