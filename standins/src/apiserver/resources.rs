//! The resources that are served, and discovery of them.

use serde_json::{Value, json};

/// One resource.
#[derive(Debug)]
pub struct Resource {
    /// The API group; empty for core.
    pub group: &'static str,
    /// The plural, as in paths.
    pub plural: &'static str,
    /// The kind.
    pub kind: &'static str,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Subresources with a path of their own.
    pub subresources: &'static [&'static str],
    /// Short names.
    pub short: &'static [&'static str],
}

const fn r(
    group: &'static str,
    plural: &'static str,
    kind: &'static str,
    namespaced: bool,
    subresources: &'static [&'static str],
    short: &'static [&'static str],
) -> Resource {
    Resource {
        group,
        plural,
        kind,
        namespaced,
        subresources,
        short,
    }
}

/// All of them. The version is v1 everywhere.
pub const RESOURCES: &[Resource] = &[
    r(
        "",
        "namespaces",
        "Namespace",
        false,
        &["status", "finalize"],
        &["ns"],
    ),
    r("", "nodes", "Node", false, &["status"], &["no"]),
    r(
        "",
        "pods",
        "Pod",
        true,
        &["status", "binding", "eviction"],
        &["po"],
    ),
    r("", "configmaps", "ConfigMap", true, &[], &["cm"]),
    r("", "secrets", "Secret", true, &[], &[]),
    r(
        "",
        "serviceaccounts",
        "ServiceAccount",
        true,
        &["token"],
        &["sa"],
    ),
    r("", "services", "Service", true, &["status"], &["svc"]),
    r("", "endpoints", "Endpoints", true, &[], &["ep"]),
    r("", "events", "Event", true, &[], &["ev"]),
    r(
        "",
        "persistentvolumes",
        "PersistentVolume",
        false,
        &["status"],
        &["pv"],
    ),
    r(
        "",
        "persistentvolumeclaims",
        "PersistentVolumeClaim",
        true,
        &["status"],
        &["pvc"],
    ),
    r("", "limitranges", "LimitRange", true, &[], &["limits"]),
    r(
        "",
        "resourcequotas",
        "ResourceQuota",
        true,
        &["status"],
        &["quota"],
    ),
    r(
        "",
        "replicationcontrollers",
        "ReplicationController",
        true,
        &["status"],
        &["rc"],
    ),
    r("", "podtemplates", "PodTemplate", true, &[], &[]),
    r(
        "apps",
        "deployments",
        "Deployment",
        true,
        &["status"],
        &["deploy"],
    ),
    r(
        "apps",
        "daemonsets",
        "DaemonSet",
        true,
        &["status"],
        &["ds"],
    ),
    r(
        "apps",
        "replicasets",
        "ReplicaSet",
        true,
        &["status"],
        &["rs"],
    ),
    r(
        "apps",
        "statefulsets",
        "StatefulSet",
        true,
        &["status"],
        &["sts"],
    ),
    r(
        "apps",
        "controllerrevisions",
        "ControllerRevision",
        true,
        &[],
        &[],
    ),
    r("batch", "jobs", "Job", true, &["status"], &[]),
    r("batch", "cronjobs", "CronJob", true, &["status"], &["cj"]),
    r(
        "rbac.authorization.k8s.io",
        "clusterroles",
        "ClusterRole",
        false,
        &[],
        &[],
    ),
    r(
        "rbac.authorization.k8s.io",
        "clusterrolebindings",
        "ClusterRoleBinding",
        false,
        &[],
        &[],
    ),
    r("rbac.authorization.k8s.io", "roles", "Role", true, &[], &[]),
    r(
        "rbac.authorization.k8s.io",
        "rolebindings",
        "RoleBinding",
        true,
        &[],
        &[],
    ),
    r(
        "certificates.k8s.io",
        "certificatesigningrequests",
        "CertificateSigningRequest",
        false,
        &["approval", "status"],
        &["csr"],
    ),
    r("coordination.k8s.io", "leases", "Lease", true, &[], &[]),
    r(
        "discovery.k8s.io",
        "endpointslices",
        "EndpointSlice",
        true,
        &[],
        &[],
    ),
    r("events.k8s.io", "events", "Event", true, &[], &["ev"]),
    r(
        "policy",
        "poddisruptionbudgets",
        "PodDisruptionBudget",
        true,
        &["status"],
        &["pdb"],
    ),
    r(
        "scheduling.k8s.io",
        "priorityclasses",
        "PriorityClass",
        false,
        &[],
        &["pc"],
    ),
    r(
        "storage.k8s.io",
        "storageclasses",
        "StorageClass",
        false,
        &[],
        &["sc"],
    ),
    r("storage.k8s.io", "csinodes", "CSINode", false, &[], &[]),
    r("storage.k8s.io", "csidrivers", "CSIDriver", false, &[], &[]),
    r(
        "networking.k8s.io",
        "networkpolicies",
        "NetworkPolicy",
        true,
        &[],
        &["netpol"],
    ),
    r(
        "networking.k8s.io",
        "ingresses",
        "Ingress",
        true,
        &["status"],
        &["ing"],
    ),
    r(
        "networking.k8s.io",
        "ingressclasses",
        "IngressClass",
        false,
        &[],
        &[],
    ),
    r(
        "node.k8s.io",
        "runtimeclasses",
        "RuntimeClass",
        false,
        &[],
        &[],
    ),
    r(
        "authentication.k8s.io",
        "tokenreviews",
        "TokenReview",
        false,
        &[],
        &[],
    ),
    r(
        "authentication.k8s.io",
        "selfsubjectreviews",
        "SelfSubjectReview",
        false,
        &[],
        &[],
    ),
    r(
        "authorization.k8s.io",
        "subjectaccessreviews",
        "SubjectAccessReview",
        false,
        &[],
        &[],
    ),
    r(
        "authorization.k8s.io",
        "selfsubjectaccessreviews",
        "SelfSubjectAccessReview",
        false,
        &[],
        &[],
    ),
];

impl Resource {
    /// `v1` or `group/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            "v1".to_owned()
        } else {
            format!("{}/v1", self.group)
        }
    }

    /// `pods` or `deployments.apps`, as in messages.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// Where its objects are in etcd; all of them if there is no namespace.
    pub fn prefix(&self, namespace: &str) -> String {
        let group = if self.group.is_empty() {
            "core"
        } else {
            self.group
        };
        let base = format!("/registry/{group}/{}/", self.plural);
        if self.namespaced && !namespace.is_empty() {
            format!("{base}{namespace}/")
        } else {
            base
        }
    }

    /// An object's key in etcd.
    pub fn key(&self, namespace: &str, name: &str) -> String {
        format!(
            "{}{name}",
            self.prefix(if self.namespaced { namespace } else { "" })
        )
    }

    /// Whether it only answers POST and stores nothing.
    pub fn is_review(&self) -> bool {
        matches!(self.group, "authentication.k8s.io" | "authorization.k8s.io")
    }

    /// Its type.
    pub fn schema(&self) -> Option<crate::schema::Type> {
        crate::schema::kind(&self.api_version(), self.kind)
    }
}

/// The resource of that group and plural.
pub fn find(group: &str, plural: &str) -> Option<&'static Resource> {
    RESOURCES
        .iter()
        .find(|r| r.group == group && r.plural == plural)
}

/// The resource whose plural, singular, kind or short name that is.
pub fn lookup(word: &str) -> Option<&'static Resource> {
    let word = word.to_lowercase();
    let (word, group) = word
        .split_once('.')
        .map_or((word.as_str(), None), |(w, g)| (w, Some(g)));
    RESOURCES
        .iter()
        .filter(|r| group.is_none_or(|g| g.is_empty() || r.group == g))
        .find(|r| r.plural == word || r.kind.to_lowercase() == word || r.short.contains(&word))
}

fn groups() -> Vec<&'static str> {
    let mut groups: Vec<&str> = vec![];
    for r in RESOURCES {
        if !r.group.is_empty() && !groups.contains(&r.group) {
            groups.push(r.group);
        }
    }
    groups
}

fn group(name: &str) -> Value {
    let version = json!({"groupVersion": format!("{name}/v1"), "version": "v1"});
    json!({"name": name, "versions": [version], "preferredVersion": version})
}

/// Answers discovery; None if the path is none of its.
pub fn discovery(path: &str, host: &str) -> Option<Value> {
    match path.trim_end_matches('/') {
        "/api" => Some(json!({"kind": "APIVersions", "versions": ["v1"],
                              "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}]})),
        "/apis" => {
            let groups: Vec<Value> = groups().into_iter().map(group).collect();
            Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
        }
        "/api/v1" => Some(list("")),
        path => {
            let name = path.strip_prefix("/apis/")?;
            let (name, version) = name
                .split_once('/')
                .map_or((name, None), |(n, v)| (n, Some(v)));
            if !groups().contains(&name) {
                return None;
            }
            match version {
                Some("v1") => Some(list(name)),
                Some(_) => None,
                None => {
                    let mut value = group(name);
                    value["kind"] = "APIGroup".into();
                    value["apiVersion"] = "v1".into();
                    Some(value)
                }
            }
        }
    }
}

fn list(group: &str) -> Value {
    let mut resources = vec![];
    for r in RESOURCES.iter().filter(|r| r.group == group) {
        let verbs = if r.is_review() {
            json!(["create"])
        } else {
            json!([
                "create",
                "delete",
                "deletecollection",
                "get",
                "list",
                "patch",
                "update",
                "watch"
            ])
        };
        let mut entry = json!({"name": r.plural, "singularName": r.kind.to_lowercase(), "namespaced": r.namespaced, "kind": r.kind, "verbs": verbs});
        if !r.short.is_empty() {
            entry["shortNames"] = json!(r.short);
        }
        resources.push(entry);
        for sub in r.subresources {
            let (kind, verbs) = match *sub {
                "eviction" => ("Eviction", json!(["create"])),
                "binding" => ("Binding", json!(["create"])),
                "token" => ("TokenRequest", json!(["create"])),
                "finalize" => (r.kind, json!(["update"])),
                _ => (r.kind, json!(["get", "patch", "update"])),
            };
            resources.push(json!({"name": format!("{}/{sub}", r.plural), "singularName": "", "namespaced": r.namespaced, "kind": kind, "verbs": verbs}));
        }
    }
    let version = if group.is_empty() {
        "v1".to_owned()
    } else {
        format!("{group}/v1")
    };
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources})
}
