//! Which objects leave the cluster: members of our applied set that are no longer in the
//! inventory.

use std::collections::BTreeSet;

use serde_json::Value;
use text::terminal::escape;

use crate::kubernetes::api::{AppliedSet, ObjectId, fingerprint};
use crate::kubernetes::applied_set::{self, GroupKind};
use crate::layout::names;
use crate::run::phase::Phase;
use crate::run::selection::Selection;

/// An object that is deleted.
#[derive(Debug, Clone)]
pub(crate) struct Removal {
    /// The phase that applied it.
    pub(crate) phase: Phase,
    /// Which object.
    pub(crate) id: ObjectId,
    /// Its UID: another one of that name stays.
    pub(crate) uid: String,
    /// Its fingerprint.
    pub(crate) hash: String,
}

impl Removal {
    /// When it is deleted: what the API server asks before it changes anything, then objects
    /// whose controller may have to let them go, then workloads, then what those need.
    pub(crate) fn rank(&self) -> usize {
        let version = self.id.api_version.as_str();
        let group = version.split_once('/').map_or("", |(group, _)| group);
        match (group, self.id.kind.as_str()) {
            ("admissionregistration.k8s.io" | "apiregistration.k8s.io", _) => 0,
            ("rbac.authorization.k8s.io", _) | ("", "ServiceAccount") => 4,
            ("apps" | "batch", _) | ("", "Pod" | "ReplicationController") => 2,
            (group, _) if group.contains('.') && !group.ends_with(".k8s.io") => 1,
            _ => 3,
        }
    }
}

/// The members that `phases` applied once and that are not among `desired`, all objects of
/// the inventory. In the order in which they are deleted.
pub(crate) fn list_removals(
    set: &AppliedSet,
    desired: &[(Phase, Value)],
    phases: &Selection,
) -> Vec<Removal> {
    let mut removals: Vec<Removal> = unwanted(set, desired)
        .filter(|(_, phase)| phases.has(*phase))
        .filter(|(member, _)| danger_of(member).is_none())
        .filter_map(|(member, phase)| {
            Some(Removal {
                phase,
                id: ObjectId::of(member, "a member of the applied set").ok()?,
                uid: member["metadata"]["uid"].as_str()?.to_owned(),
                hash: fingerprint(member),
            })
        })
        .collect();
    removals.sort_by_key(Removal::rank);
    removals
}

/// Warnings about members that are not wanted, but whose deletion would take along what is
/// not ours.
pub(crate) fn warn_kept(
    set: &AppliedSet,
    desired: &[(Phase, Value)],
    phases: &Selection,
) -> Vec<String> {
    unwanted(set, desired)
        .filter(|(_, phase)| phases.has(*phase))
        .filter_map(|(member, _)| {
            let danger = danger_of(member)?;
            let id = ObjectId::of(member, "a member of the applied set").ok()?;
            let kind = GroupKind::of(member).to_string().to_lowercase();
            let what = match id.namespace.as_str() {
                "" => format!("{kind} {}", id.name),
                namespace => format!("{kind} -n {namespace} {}", id.name),
            };
            let what = escape(&what).into_owned();
            Some(format!(
                "{} is no longer in the inventory, but is kept, because deleting it deletes \
                 {danger}: run `kubectl delete {what}`, or `kubectl label {what} {}-` to keep it \
                 for good",
                escape(&id.to_string()),
                names::APPLY_SET_PART_OF
            ))
        })
        .collect()
}

/// The set's parent as it should be once `removals` are gone.
pub(crate) fn parent_after(
    set: &AppliedSet,
    desired: &[(Phase, Value)],
    phases: &Selection,
    removals: &[Removal],
) -> Value {
    let goes = |member: &&Value| removals.iter().any(|one| one.id.names(member));
    let staying = set.members.iter().filter(|member| !goes(member));
    let applied = desired
        .iter()
        .filter(|(phase, object)| phases.has(*phase) && applied_set::phase_of(object).is_some())
        .map(|(_, object)| object);
    let objects: Vec<&Value> = staying.chain(applied).collect();
    let kinds: BTreeSet<GroupKind> = objects.iter().map(|one| GroupKind::of(one)).collect();
    let namespaces: BTreeSet<String> = objects
        .iter()
        .filter_map(|object| object["metadata"]["namespace"].as_str())
        .map(str::to_owned)
        .collect();
    applied_set::parent(&kinds, &namespaces)
}

/// Members that are not in the inventory, each with its phase.
fn unwanted<'a>(
    set: &'a AppliedSet,
    desired: &'a [(Phase, Value)],
) -> impl Iterator<Item = (&'a Value, Phase)> {
    set.members.iter().filter_map(|member| {
        let phase = Phase::from_name(applied_set::phase_of(member)?)?;
        let wanted = desired.iter().any(|(_, object)| is_same(object, member));
        (!wanted).then_some((member, phase))
    })
}

/// Whether both are one object. One without a namespace goes to `default` if its kind has
/// namespaces; if it has none, the API server ignores one that a manifest names.
fn is_same(desired: &Value, live: &Value) -> bool {
    let text = |object: &Value, field: &str| {
        let text = object["metadata"][field].as_str();
        text.unwrap_or_default().to_owned()
    };
    let (wanted, found) = (text(desired, "namespace"), text(live, "namespace"));
    GroupKind::of(desired) == GroupKind::of(live)
        && text(desired, "name") == text(live, "name")
        && (wanted == found || found.is_empty() || (wanted.is_empty() && found == "default"))
}

/// What would go together with an object, if that may not be ours.
fn danger_of(member: &Value) -> Option<&'static str> {
    match member["kind"].as_str()? {
        "CustomResourceDefinition" => Some("all objects of its kind"),
        "Namespace" => Some("everything in it"),
        "PersistentVolume" | "PersistentVolumeClaim" => Some("its data"),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(api: &str, kind: &str, namespace: &str, name: &str) -> Value {
        let mut object = json!({"apiVersion": api, "kind": kind,
            "metadata": {"name": name, "uid": format!("uid-{name}")}});
        if !namespace.is_empty() {
            object["metadata"]["namespace"] = namespace.into();
        }
        object
    }

    fn set(members: &[(&str, Value)]) -> AppliedSet {
        let mark = |(phase, object): &(&str, Value)| {
            let mut object = object.clone();
            applied_set::mark(&mut object, phase);
            object
        };
        let members: Vec<Value> = members.iter().map(mark).collect();
        AppliedSet {
            kinds: members.iter().map(GroupKind::of).collect(),
            namespaces: BTreeSet::new(),
            members,
        }
    }

    fn titles(removals: &[Removal]) -> Vec<String> {
        removals.iter().map(|one| one.id.to_string()).collect()
    }

    fn phases(names: &[&str]) -> Selection {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Selection::new(&names, &[]).unwrap()
    }

    #[test]
    fn what_left_the_inventory_is_removed_in_an_order_that_works() {
        let set = set(&[
            (
                "network",
                object("rbac.authorization.k8s.io/v1", "ClusterRole", "", "cni"),
            ),
            ("network", object("v1", "ConfigMap", "cni", "config")),
            ("network", object("apps/v1", "DaemonSet", "cni", "agent")),
            ("network", object("cni.example/v1", "Pool", "cni", "pool")),
            (
                "network",
                object(
                    "admissionregistration.k8s.io/v1",
                    "ValidatingWebhookConfiguration",
                    "",
                    "hook",
                ),
            ),
            ("addons", object("v1", "Service", "kube-system", "kube-dns")),
            (
                "bootstrap-token",
                object("v1", "Secret", "kube-system", "bootstrap-token-abcdef"),
            ),
        ]);
        let all = list_removals(&set, &[], &Selection::all());
        assert_eq!(
            titles(&all),
            [
                "ValidatingWebhookConfiguration hook",
                "Pool cni/pool",
                "DaemonSet cni/agent",
                "ConfigMap cni/config",
                "Service kube-system/kube-dns",
                "Secret kube-system/bootstrap-token-abcdef",
                "ClusterRole cni",
            ]
        );
        let addons = list_removals(&set, &[], &phases(&["addons"]));
        assert_eq!(titles(&addons), ["Service kube-system/kube-dns"]);
        let parent = parent_after(&set, &[], &phases(&["addons"]), &addons);
        assert_eq!(applied_set::kinds_of(&parent).len(), 6, "{parent}");
    }

    #[test]
    fn what_is_in_the_inventory_stays_whatever_its_version_and_phase() {
        let set = set(&[
            ("network", object("v1", "ConfigMap", "default", "a")),
            (
                "network",
                object("rbac.authorization.k8s.io/v1", "ClusterRole", "", "c"),
            ),
            (
                "network",
                object("autoscaling/v2", "HorizontalPodAutoscaler", "x", "b"),
            ),
        ]);
        let desired = [
            (Phase::Network, object("v1", "ConfigMap", "", "a")),
            (
                Phase::Network,
                object("rbac.authorization.k8s.io/v1", "ClusterRole", "x", "c"),
            ),
            (
                Phase::Addons,
                object("autoscaling/v1", "HorizontalPodAutoscaler", "x", "b"),
            ),
        ];
        assert_eq!(
            titles(&list_removals(&set, &desired, &Selection::all())),
            [""; 0]
        );
        let other = [(
            Phase::Network,
            object("v1", "ConfigMap", "kube-system", "a"),
        )];
        let removals = list_removals(&set, &other, &Selection::all());
        assert!(titles(&removals).contains(&"ConfigMap default/a".to_owned()));
    }

    #[test]
    fn what_holds_foreign_things_is_kept_with_a_word() {
        let crd = "CustomResourceDefinition";
        let set = set(&[
            (
                "network",
                object("apiextensions.k8s.io/v1", crd, "", "pools.cni.example"),
            ),
            ("network", object("v1", "Namespace", "", "cni")),
            (
                "network",
                object("v1", "PersistentVolumeClaim", "cni", "data"),
            ),
        ]);
        assert_eq!(
            titles(&list_removals(&set, &[], &Selection::all())),
            [""; 0]
        );
        let warnings = warn_kept(&set, &[], &Selection::all());
        assert_eq!(warnings.len(), 3);
        insta::assert_snapshot!(warnings[0], @"CustomResourceDefinition pools.cni.example is no longer in the inventory, but is kept, because deleting it deletes all objects of its kind: run `kubectl delete customresourcedefinition.apiextensions.k8s.io pools.cni.example`, or `kubectl label customresourcedefinition.apiextensions.k8s.io pools.cni.example applyset.kubernetes.io/part-of-` to keep it for good");
        assert!(warnings[2].contains("`kubectl delete persistentvolumeclaim -n cni data`"));
        assert!(warn_kept(&set, &[], &phases(&["addons"])).is_empty());
        let parent = parent_after(&set, &[], &Selection::all(), &[]);
        assert_eq!(applied_set::kinds_of(&parent), set.kinds);
    }
}
