//! Labels and taints of nodes that have registered.

use k8s_openapi::api::core::v1::{Node, Taint as NodeTaint};
use serde_json::{Value, json};

use crate::inventory::{Cluster, Host, Taint, TaintEffect};
use crate::kubernetes::Features;
use crate::layout::names;

/// Labels that kubeadm gives to control planes, in addition to the inventory's.
const CONTROL_PLANE_LABELS: [&str; 2] = [names::CONTROL_PLANE, names::EXCLUDE_FROM_LOAD_BALANCERS];

/// The Node's labels and annotations as an object to apply: server-side apply keeps what
/// others set, and removes what we no longer set.
pub(crate) fn metadata(cluster: &Cluster, host: &Host) -> Value {
    let mut labels = serde_json::Map::new();
    if host.is_control_plane() {
        for label in CONTROL_PLANE_LABELS {
            labels.insert(label.into(), "".into());
        }
    }
    for (key, value) in &host.labels {
        labels.insert(key.clone(), value.clone().into());
    }
    let mut metadata = json!({"name": host.node_name, "labels": labels});
    if Features::for_cluster(cluster).cri_socket_annotation {
        metadata["annotations"][names::CRI_SOCKET] = host.cri_socket.clone().into();
    }
    let taints = host.taints.iter().filter(|taint| !is_kubeadms(taint));
    let taints: Vec<String> = taints.map(describe).collect();
    if !taints.is_empty() {
        metadata["annotations"][names::TAINTS] = taints.join(",").into();
    }
    json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata})
}

/// Taints of the inventory that the Node lacks, as `key=value:Effect`.
pub(crate) fn missing_taints(host: &Host, node: &Node) -> Vec<String> {
    host.taints
        .iter()
        .filter(|taint| !has(node, taint))
        .map(describe)
        .collect()
}

/// Taints of the Node that were once in the inventory and no longer are, as
/// `key=value:Effect`.
pub(crate) fn unwanted_taints(host: &Host, node: &Node) -> Vec<String> {
    let described = |taint: &NodeTaint| match taint.value.as_deref().unwrap_or_default() {
        "" => format!("{}:{}", taint.key, taint.effect),
        value => format!("{}={value}:{}", taint.key, taint.effect),
    };
    let taints = node
        .spec
        .iter()
        .flat_map(|spec| spec.taints.iter().flatten());
    taints
        .filter(|taint| is_unwanted(host, node, taint))
        .map(described)
        .collect()
}

pub(crate) fn is_unwanted(host: &Host, node: &Node, taint: &NodeTaint) -> bool {
    let same = |key: &str, of: &str| taint.key == key && taint.effect == of;
    let wanted = |one: &Taint| same(&one.key, effect(one.effect));
    let annotations = node.metadata.annotations.as_ref();
    let ours = annotations.and_then(|all| all.get(names::TAINTS));
    let ours = ours.iter().flat_map(|list| list.split(','));
    let mut ours = ours.filter_map(|one| {
        let (name, of) = one.rsplit_once(':')?;
        Some((name.split('=').next().unwrap_or(name), of))
    });
    // kubeadm's own taint needs no record.
    let kubeadms = host.is_control_plane() && same(names::CONTROL_PLANE, "NoSchedule");
    (kubeadms || ours.any(|(key, of)| same(key, of))) && !host.taints.iter().any(wanted)
}

/// Whether a taint is the one that kubeadm gives to control planes.
fn is_kubeadms(taint: &Taint) -> bool {
    taint.key == names::CONTROL_PLANE && effect(taint.effect) == "NoSchedule"
}

fn has(node: &Node, wanted: &Taint) -> bool {
    let taints = node
        .spec
        .as_ref()
        .and_then(|spec| spec.taints.as_deref())
        .unwrap_or_default();
    taints.iter().any(|taint| {
        taint.key == wanted.key
            && taint.effect == effect(wanted.effect)
            && taint.value.as_deref().unwrap_or_default()
                == wanted.value.as_deref().unwrap_or_default()
    })
}

pub(crate) fn effect(effect: TaintEffect) -> &'static str {
    match effect {
        TaintEffect::NoSchedule => "NoSchedule",
        TaintEffect::PreferNoSchedule => "PreferNoSchedule",
        TaintEffect::NoExecute => "NoExecute",
    }
}

fn describe(taint: &Taint) -> String {
    match &taint.value {
        Some(value) => format!("{}={value}:{}", taint.key, effect(taint.effect)),
        None => format!("{}:{}", taint.key, effect(taint.effect)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::status::samples;

    fn node(note: &str, taints: Value) -> Node {
        let annotations = json!({names::TAINTS: note});
        serde_json::from_value(json!({
            "metadata": {"name": "a", "annotations": annotations},
            "spec": {"taints": taints},
        }))
        .unwrap()
    }

    #[test]
    fn a_taint_that_left_the_inventory_leaves_the_node() {
        let cluster = samples::cluster();
        let mut worker = cluster.workers().next().unwrap().clone();
        let edge = |value: &str, effect| Taint {
            key: "edge".into(),
            value: Some(value.into()),
            effect,
        };
        worker.taints = vec![edge("2", TaintEffect::NoSchedule)];
        let metadata = metadata(&cluster, &worker);
        assert_eq!(
            metadata["metadata"]["annotations"][names::TAINTS],
            "edge=2:NoSchedule"
        );
        let taints = json!([
            {"key": "edge", "value": "1", "effect": "PreferNoSchedule"},
            {"key": "edge", "value": "1", "effect": "NoSchedule"},
            {"key": "theirs", "effect": "NoSchedule"},
            {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"},
        ]);
        let node = node("edge=1:PreferNoSchedule,old:NoExecute", taints);
        assert_eq!(unwanted_taints(&worker, &node), ["edge=1:PreferNoSchedule"]);
        assert_eq!(missing_taints(&worker, &node), ["edge=2:NoSchedule"]);
    }

    #[test]
    fn the_taint_of_control_planes_goes_when_it_is_not_wanted() {
        let cluster = samples::cluster();
        let mut host = cluster.control_planes().next().unwrap().clone();
        let taints = json!([{"key": names::CONTROL_PLANE, "effect": "NoSchedule"}]);
        let node = node("", taints);
        let metadata = metadata(&cluster, &host);
        assert_eq!(metadata["metadata"]["annotations"].get(names::TAINTS), None);
        assert_eq!(unwanted_taints(&host, &node), [""; 0]);
        host.taints.clear();
        let own = format!("{}:NoSchedule", names::CONTROL_PLANE);
        assert_eq!(unwanted_taints(&host, &node), [own]);
        let worker = cluster.workers().next().unwrap();
        assert_eq!(unwanted_taints(worker, &node), [""; 0], "not ours");
    }
}
