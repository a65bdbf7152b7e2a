//! Phase `nodes`: labels and taints registered nodes, and waits until each is Ready.

use k8s_openapi::api::core::v1::{Node, Taint as NodeTaint};
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use super::execution::Execution;
use super::network;
use crate::cluster::api::ClusterApi;
use crate::cluster::diagnose;
use crate::desired::node::{effect, is_unwanted, metadata, missing_taints, unwanted_taints};
use crate::inventory::Host;
use crate::kubernetes::api::{ApiError, node_ready, node_ready_since, wait_for_node};
use crate::kubernetes::network::pod_network;
use crate::plan::model::Work;
use crate::run::Run;
use crate::run::error::Error;
use crate::run::phase::Phase;

/// Sets up a registered node: pod network, labels and taints; then waits until it is Ready.
///
/// # Errors
/// A Node that does not register or become Ready in time, with evidence from its host.
pub(super) async fn finish(execution: &Execution<'_>, work: &Work) -> Result<(), Error> {
    match connect(execution, work).await? {
        true => make_ready(execution, work).await,
        false => Ok(()),
    }
}

/// Gives a registered node its pod network. Whether there is a node to go on with.
///
/// # Errors
/// A Node that does not register in time.
pub(super) async fn connect(execution: &Execution<'_>, work: &Work) -> Result<bool, Error> {
    // While the API is down, a node that joined long ago looks like a new one.
    if work.is_new() && !work.waits_for_node {
        return Ok(false);
    }
    if work.registers_again {
        work.surveyed.session.restart_kubelet().await?;
    }
    if work.waits_for_node || work.joins_again() {
        network::set_up(execution, work).await?;
    }
    Ok(true)
}

/// Labels and taints a node, and waits until it is Ready.
///
/// # Errors
/// A Node that does not become Ready in time, with evidence from its host.
pub(super) async fn make_ready(execution: &Execution<'_>, work: &Work) -> Result<(), Error> {
    if !execution.plan.affects(Phase::Nodes, work) {
        return Ok(());
    }
    let part = execution.run.tracker.part(Phase::Nodes);
    let changed = label_and_taint(execution.run, &execution.api, work.host()).await?;
    // Without a network, nodes never become Ready.
    if pod_network(&execution.plan.context.cluster).makes_nodes_ready() {
        part.doing(work.name(), "waiting until it is Ready");
        wait_ready(execution, work).await?;
    }
    part.done(work.name(), changed);
    Ok(())
}

async fn wait_ready(execution: &Execution<'_>, work: &Work) -> Result<(), Error> {
    let name = &work.host().node_name;
    let what = format!("readiness of node {name}");
    let timeout = execution.run.cluster.timeouts.node_ready;
    // Until the restarted kubelet's first report, the Node shows the status from before.
    let since = match !work.is_new() && (work.restarts_kubelet() || work.joins_again()) {
        true => Some(work.surveyed.session.kubelet_started().await?),
        false => None,
    };
    let ready = |node: &Node| match since {
        Some(start) => node_ready_since(node, start),
        None => node_ready(node),
    };
    let waited = wait_for_node(&execution.api.admin, name, &what, timeout, ready).await;
    match waited {
        Ok(_) => Ok(()),
        Err(error) => Err(diagnose::explain_unhealthy(
            &work.surveyed.session,
            &["kubelet", "containerd"],
            error,
        )
        .await),
    }
}

/// Labels and taints the Node as in the inventory. Returns the number of changes.
async fn label_and_taint(run: &Run, api: &ClusterApi, host: &Host) -> Result<usize, Error> {
    let nodes: Api<Node> = Api::all(api.admin.clone());
    let read = nodes.get(&host.node_name).await;
    let node = read.map_err(ApiError::request(format!("read node {}", host.node_name)))?;
    let mut written = 0;
    // Before the labels, because they are written together with the record of our taints.
    if !missing_taints(host, &node).is_empty() || !unwanted_taints(host, &node).is_empty() {
        run.journalled(Some(&host.name), Phase::Nodes, "taints", async {
            Ok(put_taints(&api.admin, host, node).await?)
        })
        .await?;
        written += 1;
    }
    let labels = metadata(&run.cluster, host);
    if !api
        .applier()
        .compare(std::slice::from_ref(&labels))
        .await?
        .is_empty()
    {
        run.journalled(Some(&host.name), Phase::Nodes, "labels", async {
            Ok(api.applier().apply(&labels).await?)
        })
        .await?;
        written += 1;
    }
    Ok(written)
}

/// How often to retry taints: controllers change the same list a few times while a node
/// starts.
const TAINT_ATTEMPTS: usize = 10;

/// Adds taints to the Node's current list and removes those that are no longer in the
/// inventory.
async fn put_taints(client: &kube::Client, host: &Host, mut node: Node) -> Result<(), ApiError> {
    let nodes: Api<Node> = Api::all(client.clone());
    for _ in 1..TAINT_ATTEMPTS {
        match write_taints(client, host, &node).await {
            Err(error) if error.is_outdated() => {
                let read = nodes.get(&host.node_name).await;
                node = read.map_err(ApiError::request(format!("read node {}", host.node_name)))?;
            }
            result => return result,
        }
    }
    write_taints(client, host, &node).await
}

/// Merges the inventory's taints into the Node's list, in which the node lifecycle
/// controller keeps its own.
async fn write_taints(client: &kube::Client, host: &Host, node: &Node) -> Result<(), ApiError> {
    let mut taints: Vec<NodeTaint> = node
        .spec
        .as_ref()
        .and_then(|spec| spec.taints.clone())
        .unwrap_or_default();
    taints.retain(|taint| !is_unwanted(host, node, taint));
    for wanted in &host.taints {
        taints.retain(|taint| !(taint.key == wanted.key && taint.effect == effect(wanted.effect)));
        taints.push(NodeTaint {
            key: wanted.key.clone(),
            value: wanted.value.clone(),
            effect: effect(wanted.effect).into(),
            time_added: None,
        });
    }
    // Rejected if the list has changed since we read it: a JSON patch can test this,
    // whereas the object's resourceVersion changes with every heartbeat.
    let before = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    let patch: json_patch::Patch = serde_json::from_value(match before {
        Some(before) => json!([
            {"op": "test", "path": "/spec/taints", "value": before},
            {"op": "replace", "path": "/spec/taints", "value": taints},
        ]),
        None => json!([{"op": "add", "path": "/spec/taints", "value": taints}]),
    })
    .map_err(|error| ApiError::Client(error.to_string()))?;
    let nodes: Api<Node> = Api::all(client.clone());
    nodes
        .patch(
            &host.node_name,
            &PatchParams::default(),
            &Patch::<Node>::Json(patch),
        )
        .await
        .map(|_| ())
        .map_err(ApiError::request(format!("taint node {}", host.node_name)))
}
