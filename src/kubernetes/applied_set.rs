//! The objects that we applied, as a set that the cluster knows (KEP-3659): each carries a
//! label, and a ConfigMap says which kinds there are. What carries the label and is no
//! longer in the inventory is deleted.

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::layout::names;

/// The owner of the set, for other tools that know such sets. The KEP wants a version; it is
/// that of the set's form, so that a new release changes no cluster.
const TOOLING: &str = "clusterctl-rs/v1";

/// Namespaces that every cluster has.
pub(super) const SYSTEM_NAMESPACES: [&str; 4] = [
    "default",
    "kube-node-lease",
    names::KUBE_PUBLIC,
    names::KUBE_SYSTEM,
];

/// A kind of object, whatever its version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupKind {
    /// Kind.
    pub kind: String,
    /// API group; empty for the core group.
    pub group: String,
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.group.as_str() {
            "" => f.write_str(&self.kind),
            group => write!(f, "{}.{group}", self.kind),
        }
    }
}

impl GroupKind {
    /// The kind of an object.
    pub fn of(object: &Value) -> Self {
        let text = |field: &str| object[field].as_str().unwrap_or_default();
        let group = text("apiVersion").split_once('/');
        GroupKind {
            kind: text("kind").to_owned(),
            group: group.map_or("", |(group, _)| group).to_owned(),
        }
    }

    /// Reads `Deployment.apps` or `ConfigMap`.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (kind, group) = text.split_once('.').unwrap_or((text, ""));
        (!kind.is_empty()).then(|| GroupKind {
            kind: kind.to_owned(),
            group: group.to_owned(),
        })
    }
}

/// The set's ID: the KEP's function of the parent's name, namespace, kind and group.
pub fn id() -> String {
    let parent = [names::APPLIED_SET, names::KUBE_SYSTEM, "ConfigMap", ""].join(".");
    let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(parent));
    format!("applyset-{hash}-v1")
}

/// What members are listed by.
pub fn selector() -> String {
    format!("{}={}", names::APPLY_SET_PART_OF, id())
}

/// Makes an object that `phase` applies a member, unless no inventory can be without it.
pub fn mark(object: &mut Value, phase: &str) {
    if is_permanent(object) {
        return;
    }
    let labels = &mut object["metadata"]["labels"];
    labels[names::APPLY_SET_PART_OF] = id().into();
    labels[names::PHASE] = phase.into();
}

/// Whether an object has to outlive every change of the inventory: kubeadm's tools read it,
/// or everything is in it.
fn is_permanent(object: &Value) -> bool {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    match object["kind"].as_str().unwrap_or_default() {
        "Node" => true,
        "Namespace" => SYSTEM_NAMESPACES.contains(&name),
        "ConfigMap" => [
            names::KUBEADM_CONFIG,
            names::KUBELET_CONFIG,
            names::CLUSTER_INFO,
        ]
        .contains(&name),
        _ => false,
    }
}

/// Whether an object of the API is a member and ours. A copy of one, or what a controller
/// made after its example, carries the label as well, but we have not applied it.
pub fn is_member(object: &Value) -> bool {
    let metadata = &object["metadata"];
    let managers = metadata["managedFields"].as_array().into_iter().flatten();
    let mut ours = managers
        .filter(|one| one["manager"] == names::FIELD_MANAGER && one["operation"] == "Apply");
    metadata["labels"][names::APPLY_SET_PART_OF] == id()
        && ours.next().is_some()
        && !is_permanent(object)
}

/// The phase that applies a member.
pub fn phase_of(member: &Value) -> Option<&str> {
    member["metadata"]["labels"][names::PHASE].as_str()
}

/// The set's parent.
pub fn parent(kinds: &BTreeSet<GroupKind>, namespaces: &BTreeSet<String>) -> Value {
    let mut kinds: Vec<String> = kinds.iter().map(ToString::to_string).collect();
    kinds.sort();
    let own = |name: &&str| ![names::KUBE_SYSTEM, ""].contains(name);
    let namespaces: Vec<&str> = namespaces.iter().map(String::as_str).filter(own).collect();
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": names::APPLIED_SET,
            "namespace": names::KUBE_SYSTEM,
            "labels": {names::APPLY_SET_ID: id()},
            "annotations": {
                names::APPLY_SET_TOOLING: TOOLING,
                names::APPLY_SET_KINDS: kinds.join(","),
                names::APPLY_SET_NAMESPACES: namespaces.join(","),
            },
        },
    })
}

/// The kinds that a parent lists.
pub fn kinds_of(parent: &Value) -> BTreeSet<GroupKind> {
    let listed = listed(parent, names::APPLY_SET_KINDS);
    listed.filter_map(GroupKind::parse).collect()
}

/// The namespaces that a parent lists.
pub fn namespaces_of(parent: &Value) -> BTreeSet<String> {
    listed(parent, names::APPLY_SET_NAMESPACES)
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

fn listed<'a>(parent: &'a Value, annotation: &str) -> impl Iterator<Item = &'a str> {
    let list = parent["metadata"]["annotations"][annotation].as_str();
    list.unwrap_or_default().split(',')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(list: &[&str]) -> BTreeSet<GroupKind> {
        list.iter()
            .filter_map(|text| GroupKind::parse(text))
            .collect()
    }

    #[test]
    fn the_parent_is_as_the_kep_writes_it() {
        let parent = parent(
            &kinds(&[
                "Role.rbac.authorization.k8s.io",
                "ConfigMap",
                "DaemonSet.apps",
            ]),
            &["kube-system", "kube-public", ""].map(str::to_owned).into(),
        );
        insta::assert_snapshot!(serde_json::to_string_pretty(&parent["metadata"]).unwrap_or_default(), @r#"
        {
          "name": "clusterctl-rs",
          "namespace": "kube-system",
          "labels": {
            "applyset.kubernetes.io/id": "applyset-0YWVrSQQbqZEcG-7J97-sQkwUkHCoOX5vv7ql9ZHSw0-v1"
          },
          "annotations": {
            "applyset.kubernetes.io/tooling": "clusterctl-rs/v1",
            "applyset.kubernetes.io/contains-group-kinds": "ConfigMap,DaemonSet.apps,Role.rbac.authorization.k8s.io",
            "applyset.kubernetes.io/additional-namespaces": "kube-public"
          }
        }
        "#);
        assert_eq!(
            kinds_of(&parent),
            kinds(&[
                "ConfigMap",
                "DaemonSet.apps",
                "Role.rbac.authorization.k8s.io"
            ])
        );
        assert_eq!(namespaces_of(&parent), ["kube-public".to_owned()].into());
        assert!(kinds_of(&json!({})).is_empty());
    }

    #[test]
    fn only_what_we_applied_is_a_member() {
        let mut object = json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "a", "labels": {"theirs": "1"}}});
        mark(&mut object, "addons");
        assert_eq!(object["metadata"]["labels"]["theirs"], "1");
        assert_eq!(phase_of(&object), Some("addons"));
        assert!(!is_member(&object), "a copy of it");
        let managed = |manager: &str, operation: &str| {
            let mut object = object.clone();
            object["metadata"]["managedFields"] = json!([{"manager": "kubelet", "operation": "Update"},
                    {"manager": manager, "operation": operation}]);
            object
        };
        assert!(is_member(&managed("clusterctl-rs", "Apply")));
        assert!(!is_member(&managed("clusterctl-rs", "Update")));
        assert!(!is_member(&managed("kubectl", "Apply")));
        let mut other = managed("clusterctl-rs", "Apply");
        other["metadata"]["labels"][names::APPLY_SET_PART_OF] = "applyset-other-v1".into();
        assert!(!is_member(&other));
    }

    #[test]
    fn what_no_cluster_can_be_without_never_becomes_a_member() {
        for (kind, name) in [
            ("Node", "w1"),
            ("Namespace", "kube-system"),
            ("Namespace", "default"),
            ("ConfigMap", "kubeadm-config"),
            ("ConfigMap", "kubelet-config"),
            ("ConfigMap", "cluster-info"),
        ] {
            let mut object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
            mark(&mut object, "network");
            assert!(object["metadata"]["labels"].is_null(), "{object}");
        }
    }
}
