//! The resources that are served, and discovery of them.

use std::sync::LazyLock;

use serde_json::{Value, json};

/// One resource. Its version is v1.
#[derive(Debug)]
pub struct Resource {
    /// The API group; empty for core.
    pub group: &'static str,
    pub plural: &'static str,
    pub kind: &'static str,
    pub namespaced: bool,
    /// Subresources with a path of their own.
    pub subresources: Vec<&'static str>,
    short: &'static str,
}

/// Group, plural, kind, where objects live, subresources, short name; `-` for none.
const TABLE: &str = "
- namespaces Namespace cluster status ns
- nodes Node cluster status no
- pods Pod namespace status,binding,eviction po
- configmaps ConfigMap namespace - cm
- secrets Secret namespace - -
- serviceaccounts ServiceAccount namespace token sa
- services Service namespace status svc
- endpoints Endpoints namespace - ep
- events Event namespace - ev
apps deployments Deployment namespace status deploy
apps daemonsets DaemonSet namespace status ds
apps replicasets ReplicaSet namespace status rs
rbac.authorization.k8s.io clusterroles ClusterRole cluster - -
rbac.authorization.k8s.io clusterrolebindings ClusterRoleBinding cluster - -
rbac.authorization.k8s.io roles Role namespace - -
rbac.authorization.k8s.io rolebindings RoleBinding namespace - -
certificates.k8s.io certificatesigningrequests CertificateSigningRequest cluster approval,status csr
coordination.k8s.io leases Lease namespace - -
policy poddisruptionbudgets PodDisruptionBudget namespace status pdb
scheduling.k8s.io priorityclasses PriorityClass cluster - pc
authorization.k8s.io subjectaccessreviews SubjectAccessReview cluster - -
";

static RESOURCES: LazyLock<Vec<Resource>> =
    LazyLock::new(|| TABLE.lines().filter_map(parse_row).collect());

fn parse_row(line: &'static str) -> Option<Resource> {
    let words: Vec<&str> = line
        .split(' ')
        .map(|w| if w == "-" { "" } else { w })
        .collect();
    let [group, plural, kind, scope, subresources, short] = words[..] else {
        return None;
    };
    Some(Resource {
        group,
        plural,
        kind,
        namespaced: scope == "namespace",
        subresources: subresources.split(',').filter(|s| !s.is_empty()).collect(),
        short,
    })
}

impl Resource {
    /// `v1` or `group/v1`.
    pub fn api_version(&self) -> String {
        match self.group {
            "" => "v1".to_owned(),
            group => format!("{group}/v1"),
        }
    }

    /// `pods` or `deployments.apps`, as in messages.
    pub fn qualified(&self) -> String {
        match self.group {
            "" => self.plural.to_owned(),
            group => format!("{}.{group}", self.plural),
        }
    }

    /// Where its objects are in etcd; all of them if there is no namespace.
    pub fn prefix(&self, namespace: &str) -> String {
        let group = match self.group {
            "" => "core",
            group => group,
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
        format!("{}{name}", self.prefix(namespace))
    }

    /// An object's path in the API; that of all if there is no name.
    pub fn path(&self, namespace: &str, name: &str) -> String {
        let mut path = match self.group {
            "" => "/api/v1".to_owned(),
            group => format!("/apis/{group}/v1"),
        };
        if self.namespaced && !namespace.is_empty() {
            path += &format!("/namespaces/{namespace}");
        }
        path += &format!("/{}", self.plural);
        if !name.is_empty() {
            path += &format!("/{name}");
        }
        path
    }

    pub fn schema(&self) -> Option<crate::schema::Type> {
        crate::schema::kind(&self.api_version(), self.kind)
    }
}

/// The resource of that group and plural.
pub fn find(group: &str, plural: &str) -> Option<&'static Resource> {
    let mut all = RESOURCES.iter();
    all.find(|r| r.group == group && r.plural == plural)
}

/// The resource that objects of that kind are of.
pub fn of_kind(api_version: &str, kind: &str) -> Option<&'static Resource> {
    let mut all = RESOURCES.iter();
    all.find(|r| r.kind == kind && r.api_version() == api_version)
}

/// The resource whose plural, singular or short name that is.
pub fn lookup(word: &str) -> Option<&'static Resource> {
    RESOURCES
        .iter()
        .find(|r| r.plural == word || r.kind.to_lowercase() == word || r.short == word)
}

/// Answers discovery; None if the path is none of its.
pub fn discovery(path: &str) -> Option<Value> {
    let group = match path.trim_end_matches('/') {
        "/api" => return Some(json!({"kind": "APIVersions", "versions": ["v1"]})),
        "/api/v1" => "",
        path => path.strip_prefix("/apis/")?.strip_suffix("/v1")?,
    };
    let resources: Vec<Value> = RESOURCES
        .iter()
        .filter(|r| r.group == group)
        .map(|r| {
            json!({"name": r.plural, "singularName": r.kind.to_lowercase(), "namespaced": r.namespaced, "kind": r.kind,
                   "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"]})
        })
        .collect();
    let version = RESOURCES.iter().find(|r| r.group == group)?.api_version();
    Some(
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}),
    )
}
