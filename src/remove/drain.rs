//! Drains a node before it is removed, as `kubectl drain` does.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, DeleteParams, EvictParams, ListParams, Patch, PatchParams, Preconditions};
use serde_json::json;
use text::terminal::escape;
use tokio::time::Instant;

use crate::kubernetes::api::ApiError;
use crate::run::Run;
use crate::run::error::Error;
use crate::run::tracker::Part;

/// Marks a Node that we have cordoned: after a killed run, the next one knows that the
/// cordon is not a user's.
const MARK: &str = "clusterctl.rs/cordoned-by";

/// The annotation of mirror pods, which represent static pods.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// The pause between two evictions of the remaining pods.
const PAUSE: Duration = Duration::from_secs(1);

/// How long draining may stall before the user is told which pods are left.
const QUIET: Duration = Duration::from_secs(10);

/// The number of concurrent evictions.
const AT_ONCE: usize = 16;

/// Options for draining a node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DrainOptions {
    /// How long pods may take to terminate.
    pub(crate) timeout: Duration,
    /// Also evict pods without a controller, and pods with data in `emptyDir` volumes.
    pub(crate) force: bool,
}

/// What happens to a pod.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// It stays: it belongs to a DaemonSet, or is a static pod.
    Stays,
    /// It is evicted.
    Goes,
    /// Evicting it would lose something: the reason.
    Loses(&'static str),
}

/// Fails if draining a node would lose something, before anything is changed.
///
/// # Errors
/// [`Error::Refused`] with the pods; an error of the API.
pub(crate) async fn refuse_losses(
    client: &kube::Client,
    node: &str,
    force: bool,
) -> Result<(), Error> {
    if force {
        return Ok(());
    }
    let losing: Vec<String> = pods_on(client, node)
        .await?
        .iter()
        .filter_map(|pod| match fate_of(pod) {
            Fate::Loses(what) => Some(format!("{}: {what}", pod_name(pod))),
            Fate::Stays | Fate::Goes => None,
        })
        .collect();
    match losing.is_empty() {
        true => Ok(()),
        false => Err(Error::Refused {
            message: format!(
                "draining node {node} would lose pods or data that cannot be restored{}",
                lines(&losing)
            ),
            hint: "move what matters elsewhere, or pass `--force` to lose it".into(),
        }),
    }
}

/// Cordons a node and evicts its pods until all are gone that have to. If that fails or is
/// interrupted, uncordons the node, unless it had been cordoned before.
///
/// # Errors
/// [`Error::Drain`] with the remaining pods; [`Error::Interrupted`].
pub(crate) async fn drain_node(
    run: &Run,
    client: &kube::Client,
    host: &str,
    node: &str,
    options: DrainOptions,
    part: &Part,
) -> Result<(), Error> {
    part.doing(host, "cordoning");
    let ours = cordon_node(client, node).await?;
    let drained = tokio::select! {
        drained = evict_until_empty(run, client, host, node, options, part) => drained,
        () = crate::run::interrupt::interrupted() => Err(Error::Interrupted),
    };
    let Err(error) = drained else { return Ok(()) };
    if ours {
        uncordon_or_warn(run, client, node).await;
    }
    Err(error)
}

/// Uncordons a node that is not removed after all. A failure is only a warning, so that it
/// does not hide the original error.
pub(crate) async fn uncordon_or_warn(run: &Run, client: &kube::Client, node: &str) {
    if let Err(left) = uncordon_node(client, node).await {
        run.events().warn(format!(
            "node {node} is still cordoned ({left}): run `kubectl uncordon {node}`"
        ));
    }
}

/// Cordons a node. Returns whether the cordon is ours.
async fn cordon_node(client: &kube::Client, node: &str) -> Result<bool, Error> {
    let nodes: Api<Node> = Api::all(client.clone());
    let read = nodes.get(node).await;
    let live = read.map_err(ApiError::request(format!("read node {node}")))?;
    let cordoned = live.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true);
    if cordoned {
        let annotations = live.metadata.annotations.unwrap_or_default();
        return Ok(annotations.contains_key(MARK));
    }
    patch_node(
        client,
        node,
        &json!({
            "metadata": {"annotations": {MARK: "remove-node"}},
            "spec": {"unschedulable": true},
        }),
    )
    .await
    .map_err(ApiError::request(format!("cordon node {node}")))?;
    Ok(true)
}

/// Uncordons a node.
pub(crate) async fn uncordon_node(client: &kube::Client, node: &str) -> Result<(), Error> {
    let undo = json!({
        "metadata": {"annotations": {MARK: null}},
        "spec": {"unschedulable": null},
    });
    Ok(patch_node(client, node, &undo)
        .await
        .map_err(ApiError::request(format!("uncordon node {node}")))?)
}

async fn patch_node(
    client: &kube::Client,
    node: &str,
    with: &serde_json::Value,
) -> kube::Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    let patch = Patch::Merge(with);
    nodes
        .patch(node, &PatchParams::default(), &patch)
        .await
        .map(|_| ())
}

/// Evicts pods until none is left to evict.
async fn evict_until_empty(
    run: &Run,
    client: &kube::Client,
    host: &str,
    node: &str,
    options: DrainOptions,
    part: &Part,
) -> Result<(), Error> {
    let deadline = Instant::now() + options.timeout;
    // Why each pod is still there, by its name.
    let mut left: BTreeMap<String, String> = BTreeMap::new();
    let mut unheard = None;
    let mut patience = Patience::default();
    loop {
        match tokio::time::timeout_at(deadline, pods_on(client, node)).await {
            Ok(Ok(pods)) => {
                unheard = None;
                let pods: Vec<Pod> = pods
                    .into_iter()
                    .filter(|pod| fate_of(pod) != Fate::Stays)
                    .collect();
                if pods.is_empty() {
                    return Ok(());
                }
                let losing = pods
                    .iter()
                    .find(|pod| matches!(fate_of(pod), Fate::Loses(_)));
                if let Some(pod) = losing.filter(|_| !options.force) {
                    // It was scheduled after the check.
                    let why = format!("{}: would be lost", pod_name(pod));
                    return Err(drain_error(
                        node,
                        "a pod that needs `--force` has been added to it",
                        vec![why],
                    ));
                }
                part.doing(host, format!("draining: {} left", count_pods(pods.len())));
                if patience.ends(pods.len(), Instant::now()) {
                    let patient = options.timeout.as_secs();
                    run.events().note(format!(
                        "{host}: still draining, waiting up to {patient} s (--timeout){}",
                        lines(&reasons(&left))
                    ));
                }
                let round = evict_all(client, &pods);
                match tokio::time::timeout_at(deadline, round).await {
                    Ok(answers) => left = answers?,
                    // Pods whose eviction was accepted may be terminating.
                    Err(_) => left.retain(|pod, _| pods.iter().any(|one| pod_name(one) == *pod)),
                }
            }
            Ok(Err(error)) if !error.is_transient() => return Err(error.into()),
            Ok(Err(error)) => unheard = Some(error.to_string()),
            Err(_) => {}
        }
        if Instant::now() + PAUSE >= deadline {
            let mut pods = reasons(&left);
            pods.extend(unheard);
            let why = format!(
                "timed out after {} s (--timeout)",
                options.timeout.as_secs()
            );
            return Err(drain_error(node, &why, pods));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Decides when to report the remaining pods: once per stall.
#[derive(Debug, Default)]
struct Patience {
    waiting: Option<(usize, Instant)>,
    told: bool,
}

impl Patience {
    fn ends(&mut self, pods: usize, now: Instant) -> bool {
        match self.waiting {
            Some((before, since)) if before == pods => {
                let ends = !self.told && now.duration_since(since) >= QUIET;
                self.told |= ends;
                ends
            }
            _ => {
                *self = Patience {
                    waiting: Some((pods, now)),
                    told: false,
                };
                false
            }
        }
    }
}

fn reasons(left: &BTreeMap<String, String>) -> Vec<String> {
    left.iter()
        .map(|(pod, why)| format!("{pod}: {why}"))
        .collect()
}

fn count_pods(pods: usize) -> String {
    text::count(pods, "pod")
}

fn drain_error(node: &str, why: &str, pods: Vec<String>) -> Error {
    Error::Drain {
        node: node.to_owned(),
        why: format!("{why}{}", lines(&pods)),
    }
}

fn lines(pods: &[String]) -> String {
    pods.iter()
        .map(|pod| format!("\n  {}", escape(pod)))
        .collect()
}

/// Requests the eviction of all pods. Returns those that are still there, and why.
async fn evict_all(client: &kube::Client, pods: &[Pod]) -> Result<BTreeMap<String, String>, Error> {
    let answers: Vec<Result<Option<(String, String)>, Error>> = futures::stream::iter(pods)
        .map(|pod| async move {
            let why = match pod.metadata.deletion_timestamp {
                Some(_) => Some("still terminating".to_owned()),
                None => evict_pod(client, pod).await?,
            };
            Ok(why.map(|why| (pod_name(pod), why)))
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let left: Result<Vec<Option<(String, String)>>, Error> = answers.into_iter().collect();
    Ok(left?.into_iter().flatten().collect())
}

/// Requests the eviction of one pod. Returns the reason if it cannot be evicted now.
async fn evict_pod(client: &kube::Client, pod: &Pod) -> Result<Option<String>, Error> {
    let meta = &pod.metadata;
    let namespace = meta.namespace.as_deref().unwrap_or("default");
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let params = EvictParams {
        delete_options: Some(DeleteParams {
            // Never evict a pod that has replaced it.
            preconditions: Some(Preconditions {
                uid: meta.uid.clone(),
                ..Preconditions::default()
            }),
            ..DeleteParams::default()
        }),
        ..EvictParams::default()
    };
    let error = match pods
        .evict(meta.name.as_deref().unwrap_or_default(), &params)
        .await
    {
        Ok(_) => return Ok(Some("still terminating".into())),
        Err(error) => error,
    };
    match &error {
        // Gone, or replaced by another one.
        kube::Error::Api(status) if matches!(status.code, 404 | 409) => Ok(None),
        // A disruption budget forbids it, several budgets apply, or its namespace is
        // terminating.
        kube::Error::Api(status) if matches!(status.code, 403 | 429 | 500) => {
            Ok(Some(status.message.clone()))
        }
        _ => {
            let error = ApiError::request(format!("evict pod {}", pod_name(pod)))(error);
            match error.is_transient() {
                true => Ok(Some(error.to_string())),
                false => Err(error.into()),
            }
        }
    }
}

/// Deletes all pods of a node that is gone for good, so that they start elsewhere. Returns
/// those without a controller, which do not.
///
/// # Errors
/// An error of the API.
pub(crate) async fn delete_pods(client: &kube::Client, node: &str) -> Result<Vec<String>, Error> {
    let mut lost = Vec::new();
    for pod in pods_on(client, node).await? {
        if is_mirror(&pod) {
            continue;
        }
        if controller_kind(&pod).is_none() && !has_finished(&pod) {
            lost.push(pod_name(&pod));
        }
        let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let own = pod.metadata.name.as_deref().unwrap_or_default();
        let now = DeleteParams::default().grace_period(0);
        match pods.delete(own, &now).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => {
                let what = format!("delete pod {}", pod_name(&pod));
                return Err(ApiError::request(what)(error).into());
            }
        }
    }
    Ok(lost)
}

async fn pods_on(client: &kube::Client, node: &str) -> Result<Vec<Pod>, ApiError> {
    let pods: Api<Pod> = Api::all(client.clone());
    let here = ListParams::default().fields(&format!("spec.nodeName={node}"));
    let list = pods.list(&here).await;
    let list = list.map_err(ApiError::request(format!("list pods of node {node}")))?;
    Ok(list.items)
}

/// `namespace/name`.
fn pod_name(pod: &Pod) -> String {
    format!(
        "{}/{}",
        pod.metadata.namespace.as_deref().unwrap_or("default"),
        pod.metadata.name.as_deref().unwrap_or_default()
    )
}

fn is_mirror(pod: &Pod) -> bool {
    let annotations = pod.metadata.annotations.as_ref();
    annotations.is_some_and(|annotations| annotations.contains_key(MIRROR))
}

/// The kind of the pod's controller.
fn controller_kind(pod: &Pod) -> Option<&str> {
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    owners
        .iter()
        .find(|owner| owner.controller == Some(true))
        .map(|owner| owner.kind.as_str())
}

fn has_finished(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn fate_of(pod: &Pod) -> Fate {
    if is_mirror(pod) || controller_kind(pod) == Some("DaemonSet") {
        return Fate::Stays;
    }
    if has_finished(pod) {
        return Fate::Goes;
    }
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref());
    let scratch = |volumes: &[k8s_openapi::api::core::v1::Volume]| {
        volumes.iter().any(|volume| volume.empty_dir.is_some())
    };
    match controller_kind(pod) {
        None => Fate::Loses("it has no controller"),
        Some(_) if volumes.is_some_and(scratch) => {
            Fate::Loses("it stores data in an emptyDir volume")
        }
        Some(_) => Fate::Goes,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn pod(value: serde_json::Value) -> Pod {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn each_pod_has_its_fate() {
        let owned = |kind: &str| {
            json!({"name": "a", "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": kind, "name": "x", "uid": "u", "controller": true,
            }]})
        };
        let bare = json!({"name": "a"});
        let scratch = json!({"containers": [], "volumes": [{"name": "v", "emptyDir": {}}]});
        let none = json!({"containers": []});
        for (metadata, spec, phase, expected) in [
            (owned("ReplicaSet"), &none, "Running", Fate::Goes),
            (owned("DaemonSet"), &scratch, "Running", Fate::Stays),
            (
                json!({"name": "a", "annotations": {MIRROR: "x"}}),
                &none,
                "Running",
                Fate::Stays,
            ),
            (
                bare.clone(),
                &none,
                "Running",
                Fate::Loses("it has no controller"),
            ),
            (bare.clone(), &scratch, "Succeeded", Fate::Goes),
            (
                owned("StatefulSet"),
                &scratch,
                "Running",
                Fate::Loses("it stores data in an emptyDir volume"),
            ),
            (owned("Job"), &scratch, "Failed", Fate::Goes),
        ] {
            let pod = pod(json!({
                "metadata": metadata, "spec": spec, "status": {"phase": phase},
            }));
            assert_eq!(fate_of(&pod), expected, "{pod:?}");
        }
    }

    #[test]
    fn a_long_wait_is_explained_once() {
        let (mut patience, start) = (Patience::default(), Instant::now());
        let mut ends = |pods, after| patience.ends(pods, start + Duration::from_secs(after));
        assert!(!ends(3, 0) && !ends(3, 9));
        assert!(!ends(2, 12), "one has gone");
        assert!(!ends(2, 21));
        assert!(ends(2, 22));
        assert!(!ends(2, 60), "said already");
        assert!(!ends(1, 61) && ends(1, 71));
    }

    #[test]
    fn what_the_api_says_of_pods_can_do_the_terminal_no_harm() {
        let text = drain_error("w1", "late", vec!["x: \u{1b}[2J".into()]).to_string();
        assert!(
            text.contains("\n  x: ") && !text.contains('\u{1b}'),
            "{text}"
        );
    }
}
