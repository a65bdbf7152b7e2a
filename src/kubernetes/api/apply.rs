//! Objects as desired state: server-side apply, and the difference it makes.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{self, ApiResource, Scope};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::coming::Coming;
use super::error::ApiError;
use crate::layout::names::FIELD_MANAGER;

/// How many requests are under way at once. Each takes a connection of its
/// own through the SSH session.
pub(super) const CONCURRENCY: usize = 8;

/// Names an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectId {
    /// Group and version, as in the object.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl std::fmt::Display for ObjectId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

impl ObjectId {
    /// Whether `object` is the one that this names.
    pub fn names(&self, object: &Value) -> bool {
        ObjectId::of(object, "an object").is_ok_and(|id| id == *self)
    }

    /// Reads the identity out of an object.
    ///
    /// # Errors
    /// [`ApiError::Object`] if it has no apiVersion, kind or name.
    pub fn of(object: &Value, origin: &str) -> Result<Self, ApiError> {
        let text = |pointer: &str| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .map(str::to_owned)
                .ok_or_else(|| ApiError::Object {
                    origin: origin.to_owned(),
                    why: format!("it has no {}", pointer[1..].replace('/', ".")),
                })
        };
        Ok(ObjectId {
            api_version: text("/apiVersion")?,
            kind: text("/kind")?,
            name: text("/metadata/name")?,
            namespace: text("/metadata/namespace").unwrap_or_default(),
        })
    }
}

/// What applying an object would change, or has changed.
#[derive(Debug, Clone)]
pub struct ObjectChange {
    /// Which object.
    pub id: ObjectId,
    /// Whether it isn't there yet.
    pub created: bool,
    /// Before and after as YAML without what the server fills in; empty for
    /// Secrets, whose content is never shown.
    pub before: String,
    /// See `before`.
    pub after: String,
    /// [`fingerprint`] of what is there; `None` if nothing is.
    pub before_hash: Option<String>,
    /// The same of what will be there.
    pub after_hash: String,
}

/// What is there with an object of ours over it, as far as that can be told without the API:
/// fields that it has filled in stay, and entries of lists are taken for the same by their name,
/// or by their place.
fn laid_over(live: &Value, ours: &Value) -> Value {
    match (live, ours) {
        (Value::Object(live), Value::Object(ours)) => {
            let mut result = live.clone();
            for (key, value) in ours {
                let new = match live.get(key) {
                    Some(live) => laid_over(live, value),
                    // Nothing, however it is written.
                    None if is_empty(value) => continue,
                    None => value.clone(),
                };
                result.insert(key.clone(), new);
            }
            Value::Object(result)
        }
        (Value::Array(live), Value::Array(ours)) => {
            let entries = ours.iter().enumerate().map(|(index, entry)| {
                let named = |other: &&Value| entry.get("name") == other.get("name");
                let same = match entry.get("name") {
                    Some(_) => live.iter().find(named),
                    None => live.get(index).filter(|_| live.len() == ours.len()),
                };
                same.map_or_else(|| entry.clone(), |same| laid_over(same, entry))
            });
            Value::Array(entries.collect())
        }
        (_, ours) => ours.clone(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(all) => all.is_empty(),
        Value::Array(all) => all.is_empty(),
        _ => false,
    }
}

/// Applies objects.
#[derive(Clone)]
pub struct Applier {
    pub(super) client: kube::Client,
    /// Time for one object, retries included.
    pub(super) budget: Duration,
}

impl std::fmt::Debug for Applier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Applier({:?})", self.budget)
    }
}

impl Applier {
    /// An applier that retries each object for `budget` while the API is not
    /// yet whole.
    pub fn new(client: kube::Client, budget: Duration) -> Self {
        Applier { client, budget }
    }

    /// Compares `objects` with the cluster by a server-side dry run. Writes
    /// nothing. What comes back are the objects that would change.
    ///
    /// # Errors
    /// The first request that failed.
    pub async fn compare(&self, objects: &[Value]) -> Result<Vec<ObjectChange>, ApiError> {
        Ok(self.compare_and_warn(objects).await?.0)
    }

    /// The same, with a warning for each object of which the API could not say what would
    /// change.
    ///
    /// # Errors
    /// The first request that failed.
    pub async fn compare_and_warn(
        &self,
        objects: &[Value],
    ) -> Result<(Vec<ObjectChange>, Vec<String>), ApiError> {
        use futures::{StreamExt, TryStreamExt};
        let compared: Vec<(Option<ObjectChange>, Option<String>)> = futures::stream::iter(objects)
            .map(|object| self.compare_one(object))
            .buffered(CONCURRENCY)
            .try_collect()
            .await?;
        let (changes, warnings): (Vec<_>, Vec<_>) = compared.into_iter().unzip();
        Ok((
            changes.into_iter().flatten().collect(),
            warnings.into_iter().flatten().collect(),
        ))
    }

    // Long: one object's way from what is there to what would be.
    async fn compare_one(
        &self,
        object: &Value,
    ) -> Result<(Option<ObjectChange>, Option<String>), ApiError> {
        let id = ObjectId::of(object, "an object")?;
        let what = format!("compare {id}");
        let live = match self.api(&id).await {
            Ok(api) => {
                let live = api.get_opt(&id.name).await;
                let live = live.map_err(ApiError::request(&what))?;
                live.map(|live| (api, live))
            }
            // Its definition is about to be created as well.
            Err(error) if error.is_unknown_kind() => None,
            Err(error) => return Err(error),
        };
        let show = |value: &Value| {
            if id.kind == "Secret" {
                String::new()
            } else {
                to_yaml(value)
            }
        };
        let Some((api, live)) = live else {
            let change = ObjectChange {
                created: true,
                before: String::new(),
                after: show(&strip_server_fields(object.clone())),
                before_hash: None,
                after_hash: fingerprint(object),
                id,
            };
            return Ok((Some(change), None));
        };
        let params = PatchParams {
            dry_run: true,
            ..PatchParams::apply(FIELD_MANAGER).force()
        };
        let before = strip_server_fields(to_value(&live));
        let dry_run = api.patch(&id.name, &params, &Patch::Apply(object)).await;
        let (after, warning) = match dry_run.map_err(ApiError::request(&what)) {
            Ok(after) => (strip_server_fields(to_value(&after)), None),
            Err(error) if error.is_silent_webhook() => {
                let warning = format!(
                    "{error}; what would change in {id} is compared here instead, without what \
                     the API and its webhooks would add: applying it may fail"
                );
                (laid_over(&before, object), Some(warning))
            }
            Err(error) => return Err(error),
        };
        if before == after {
            return Ok((None, warning));
        }
        let change = ObjectChange {
            created: false,
            before: show(&before),
            after: show(&after),
            before_hash: Some(fingerprint(&before)),
            after_hash: fingerprint(&after),
            id,
        };
        Ok((Some(change), warning))
    }

    /// Applies one object. Retries while the API isn't whole yet (a namespace
    /// that its own controller has still to make, a leader being elected).
    ///
    /// # Errors
    /// The last failure once the budget is spent.
    pub async fn apply(&self, object: &Value) -> Result<ObjectId, ApiError> {
        self.apply_among(object, &Coming::default()).await
    }

    /// The same for one of many, which may bring its kind and its namespace.
    pub(super) async fn apply_among(
        &self,
        object: &Value,
        coming: &Coming,
    ) -> Result<ObjectId, ApiError> {
        let id = ObjectId::of(object, "an object")?;
        let what = format!("apply {id}");
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let attempt = || async {
            let api = self.api(&id).await;
            let api = api.map_err(|error| coming.judge_lookup(error, &what, object))?;
            api.patch(&id.name, &params, &Patch::Apply(object))
                .await
                .map_err(ApiError::request(&what))
        };
        let attempts = attempt
            .retry(backoff(self.budget))
            .when(|error| error.is_transient() && !coming.lacks_namespace(error));
        // The backoff counts its pauses, not the attempts between them.
        match tokio::time::timeout(self.budget, attempts).await {
            Ok(result) => result.map(|_| id),
            Err(_) => Err(ApiError::Timeout {
                what,
                after: self.budget,
                last: "the API does not answer".into(),
            }),
        }
    }

    /// Applies many objects, several at once. The order among them does not
    /// matter to Kubernetes: what refers to something that isn't there yet
    /// waits for it.
    ///
    /// # Errors
    /// The first failure; objects before it have been applied. A kind that the API doesn't have
    /// comes last: one of the other objects may be the operator that creates it.
    pub async fn apply_all(&self, objects: &[Value]) -> Result<Vec<ObjectId>, ApiError> {
        use futures::{StreamExt, TryStreamExt};
        let coming = &Coming::with(objects);
        let applied: Vec<Result<ObjectId, ApiError>> = futures::stream::iter(objects)
            .map(
                async |object| match self.apply_among(object, coming).await {
                    Err(unknown @ ApiError::UnknownKind { .. }) => Ok(Err(unknown)),
                    Err(error) => Err(error),
                    Ok(id) => Ok(Ok(id)),
                },
            )
            .buffered(CONCURRENCY)
            .try_collect()
            .await?;
        applied.into_iter().collect()
    }

    pub(super) async fn api(&self, id: &ObjectId) -> Result<Api<DynamicObject>, ApiError> {
        let gvk = group_version_kind(id);
        let (resource, scope) = match builtin_resource(&gvk) {
            Some(known) => known,
            // A kind of the operator's own manifests: ask the server.
            None => {
                let (resource, capabilities) = discovery::pinned_kind(&self.client, &gvk)
                    .await
                    .map_err(ApiError::request(format!(
                        "look up {} {}",
                        gvk.api_version(),
                        gvk.kind
                    )))?;
                (resource, capabilities.scope)
            }
        };
        Ok(match scope {
            Scope::Cluster => Api::all_with(self.client.clone(), &resource),
            Scope::Namespaced => {
                let namespace = if id.namespace.is_empty() {
                    "default"
                } else {
                    id.namespace.as_str()
                };
                Api::namespaced_with(self.client.clone(), namespace, &resource)
            }
        })
    }
}

/// Doubling from 50 ms to 1 s, until `budget` is spent.
pub(super) fn backoff(budget: Duration) -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_secs(1))
        .with_total_delay(Some(budget))
        .without_max_times()
}

fn group_version_kind(id: &ObjectId) -> GroupVersionKind {
    let (group, version) = id
        .api_version
        .split_once('/')
        .unwrap_or(("", &id.api_version));
    GroupVersionKind::gvk(group, version, &id.kind)
}

/// The kinds that we make ourselves, so that no run pays for discovery.
pub(super) fn builtin_resource(gvk: &GroupVersionKind) -> Option<(ApiResource, Scope)> {
    let scope = match (gvk.group.as_str(), gvk.version.as_str(), gvk.kind.as_str()) {
        ("", "v1", "ConfigMap" | "Secret" | "ServiceAccount" | "Service")
        | ("apps", "v1", "Deployment" | "DaemonSet")
        | ("rbac.authorization.k8s.io", "v1", "Role" | "RoleBinding") => Scope::Namespaced,
        ("", "v1", "Namespace" | "Node")
        | ("rbac.authorization.k8s.io", "v1", "ClusterRole" | "ClusterRoleBinding") => {
            Scope::Cluster
        }
        _ => return None,
    };
    Some((ApiResource::from_gvk(gvk), scope))
}

pub(super) fn to_value(object: &DynamicObject) -> Value {
    // A DynamicObject came from JSON and can go back to it.
    serde_json::to_value(object).unwrap_or(Value::Null)
}

/// The object without what the server fills in.
fn strip_server_fields(mut object: Value) -> Value {
    if let Some(object) = object.as_object_mut() {
        object.shift_remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in [
            "managedFields",
            "resourceVersion",
            "generation",
            "uid",
            "creationTimestamp",
        ] {
            metadata.shift_remove(field);
        }
    }
    object
}

/// SHA-256 of an object as far as it is ours, lower hex; of a Secret, the first
/// digits. Two of an object that has not changed are the same: left out is
/// what the server fills in, when a bootstrap token ends, and of a Node all but
/// its labels and annotations, for the rest moves by itself.
pub fn fingerprint(object: &Value) -> String {
    let mut object = strip_server_fields(object.clone());
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    if kind == "Node" {
        let metadata = &object["metadata"];
        object = serde_json::json!({
            "name": metadata["name"],
            "labels": metadata["labels"],
            "annotations": metadata["annotations"],
        });
    }
    for data in ["data", "stringData"] {
        if object["type"] == "bootstrap.kubernetes.io/token"
            && let Some(data) = object.get_mut(data).and_then(Value::as_object_mut)
        {
            data.shift_remove("expiration");
        }
    }
    object.sort_all_objects();
    let mut hash = text::hex::encode(Sha256::digest(object.to_string()));
    if kind == "Secret" {
        hash.truncate(12);
    }
    hash
}

fn to_yaml(value: &Value) -> String {
    serde_saphyr::to_string(value).unwrap_or_else(|_| value.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_is_named_or_refused() {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"namespace": "kube-system", "name": "kubeadm-config"}});
        let id = ObjectId::of(&object, "x").unwrap();
        assert_eq!(id.to_string(), "ConfigMap kube-system/kubeadm-config");
        let error = ObjectId::of(&json!({"kind": "ConfigMap"}), "cni.yaml").unwrap_err();
        assert_eq!(
            error.to_string(),
            "cni.yaml is not an API object: it has no apiVersion"
        );
    }

    #[test]
    fn what_is_compared_without_the_api_keeps_what_it_has_filled_in() {
        let live = json!({"spec": {"replicas": 2, "template": {"containers": [
            {"name": "other", "image": "x"},
            {"name": "a", "image": "a:1", "terminationMessagePath": "/dev"}]}}});
        let ours = json!({"spec": {"template": {"volumes": [], "containers": [
            {"name": "other"}, {"name": "a", "image": "a:1"}]}}});
        assert_eq!(laid_over(&live, &ours), live, "nothing of ours differs");
        let ours = json!({"spec": {"template": {"containers": [{"name": "a", "image": "a:2"}]}}});
        let expected = json!({"spec": {"replicas": 2, "template": {"containers": [
            {"name": "a", "image": "a:2", "terminationMessagePath": "/dev"}]}}});
        assert_eq!(laid_over(&live, &ours), expected);
        let args = |list: Value| json!({"args": list});
        let (two, one) = (args(json!(["--a", "--b"])), args(json!(["--b"])));
        assert_eq!(laid_over(&two, &one), one);
    }

    #[test]
    fn what_the_server_fills_in_makes_no_difference() {
        let live = json!({"metadata": {"name": "a", "uid": "1", "resourceVersion": "7",
            "managedFields": []}, "data": {"k": "v"}, "status": {}});
        assert_eq!(
            strip_server_fields(live),
            json!({"metadata": {"name": "a"}, "data": {"k": "v"}})
        );
    }

    #[test]
    fn a_fingerprint_moves_with_what_is_ours_and_nothing_else() {
        let token = |expiration: &str, id: &str| {
            fingerprint(
                &json!({"kind": "Secret", "type": "bootstrap.kubernetes.io/token",
                "data": {"expiration": expiration, "token-id": id}}),
            )
        };
        assert_eq!(token("MjAyNg==", "YQ=="), token("MjAyNw==", "YQ=="));
        assert_ne!(token("MjAyNg==", "YQ=="), token("MjAyNg==", "Yg=="));
        assert_eq!(token("MjAyNg==", "YQ==").len(), 12);
        let node = |labels: Value, status: &str| {
            fingerprint(
                &json!({"kind": "Node", "spec": {"taints": [status]}, "status": status,
                "metadata": {"name": "w1", "resourceVersion": status, "labels": labels}}),
            )
        };
        assert_eq!(
            node(json!({"a": "1", "b": "2"}), "x"),
            node(json!({"b": "2", "a": "1"}), "y")
        );
        assert_ne!(node(json!({"a": "1"}), "x"), node(json!({"a": "2"}), "x"));
    }

    #[test]
    fn kinds_of_ours_need_no_discovery() {
        let id = |api: &str, kind: &str| ObjectId {
            api_version: api.into(),
            kind: kind.into(),
            namespace: String::new(),
            name: "x".into(),
        };
        let (resource, _) =
            builtin_resource(&group_version_kind(&id("apps/v1", "DaemonSet"))).unwrap();
        assert_eq!(resource.plural, "daemonsets");
        assert!(builtin_resource(&group_version_kind(&id("cilium.io/v2", "CiliumNode"))).is_none());
    }
}
