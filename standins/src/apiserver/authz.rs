//! Who may do what: the RBAC and Node authorizers.

use std::sync::Arc;

use serde_json::Value;

use super::authn::User;
use super::cache::Cache;
use crate::api::{Error, Result, err, items};

/// What somebody wants to do.
#[derive(Clone, Debug, Default)]
pub struct Attributes {
    /// `get`, `list`, …
    pub verb: String,
    pub group: String,
    /// The plural; empty for other paths.
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    /// The path, if it is no resource.
    pub path: String,
    pub field_selector: String,
}

impl Attributes {
    /// `pods` or `pods/status`.
    pub fn full_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }
}

/// The authorizers that are switched on, in order.
pub struct Authorizer {
    pub modes: Vec<String>,
    /// Where roles and bindings are read.
    pub cache: Arc<Cache>,
}

const RBAC: &str = "/registry/rbac.authorization.k8s.io";

impl Authorizer {
    /// Allows, or says why not.
    pub fn authorize(&self, user: &User, a: &Attributes) -> Result<()> {
        if user.is_in("system:masters") {
            return Ok(());
        }
        let mut why = String::new();
        for mode in &self.modes {
            match mode.as_str() {
                "AlwaysAllow" => return Ok(()),
                "Node" => match self.decide_for_node(user, a) {
                    Some(Ok(())) => return Ok(()),
                    Some(Err(reason)) => why = format!(": {reason}"),
                    None => {}
                },
                "RBAC" if self.has_role(user, a) => return Ok(()),
                _ => {}
            }
        }
        Err(forbidden(user, a, &why))
    }

    /// Whether some binding gives the user a role with a rule that fits.
    fn has_role(&self, user: &User, a: &Attributes) -> bool {
        let fits = |role: &Value| items(role, "/rules").any(|rule| allows(rule, a));
        for binding in self.cache.list(&format!("{RBAC}/clusterrolebindings/")) {
            if is_bound(&binding, user) && self.role(&binding, "").is_some_and(|r| fits(&r)) {
                return true;
            }
        }
        if a.namespace.is_empty() {
            return false;
        }
        self.cache
            .list(&format!("{RBAC}/rolebindings/{}/", a.namespace))
            .iter()
            .any(|b| is_bound(b, user) && self.role(b, &a.namespace).is_some_and(|r| fits(&r)))
    }

    /// The role that a binding names.
    fn role(&self, binding: &Value, namespace: &str) -> Option<Arc<Value>> {
        let name = binding["roleRef"]["name"].as_str()?;
        match binding["roleRef"]["kind"].as_str()? {
            "ClusterRole" => self.cache.get(&format!("{RBAC}/clusterroles/{name}")),
            _ => self.cache.get(&format!("{RBAC}/roles/{namespace}/{name}")),
        }
    }

    /// The Node authorizer; None if it has no opinion.
    fn decide_for_node(
        &self,
        user: &User,
        a: &Attributes,
    ) -> Option<std::result::Result<(), String>> {
        let node = user.node()?;
        let verb = a.verb.as_str();
        let reads = matches!(verb, "get" | "list" | "watch");
        let writes = matches!(verb, "create" | "update" | "patch");
        let selects = |field: String| a.field_selector.split(',').any(|s| s == field);
        let own = a.name == node;
        let (allowed, why) = match (a.group.as_str(), a.full_resource().as_str()) {
            ("", "nodes" | "nodes/status") => (
                verb == "create" || own && verb != "delete",
                format!("node {node:?} can only access its own Node object"),
            ),
            ("", "pods") => (
                matches!(verb, "create" | "delete")
                    || verb == "get" && self.is_pod_here(node, a)
                    || reads && selects(format!("spec.nodeName={node}")),
                format!("node {node:?} can only list/watch pods with spec.nodeName field selector"),
            ),
            ("", "secrets" | "configmaps") if reads => (
                self.is_referenced(node, a),
                format!("no relationship found between node '{node}' and this object"),
            ),
            ("coordination.k8s.io", "leases") => (
                a.namespace == "kube-node-lease" && (own || verb == "create") && verb != "list",
                "can only access node lease with the same name as the requesting node".to_owned(),
            ),
            ("", "pods/status" | "events") => (writes, String::new()),
            ("", "pods/eviction" | "serviceaccounts/token") => (verb == "create", String::new()),
            ("", "services" | "serviceaccounts") => (reads, String::new()),
            ("certificates.k8s.io", "certificatesigningrequests") => {
                (reads || verb == "create", String::new())
            }
            ("authorization.k8s.io", "subjectaccessreviews") => (verb == "create", String::new()),
            _ => return None,
        };
        match allowed {
            true => Some(Ok(())),
            false => Some(Err(why)),
        }
    }

    fn is_pod_here(&self, node: &str, a: &Attributes) -> bool {
        self.cache
            .get(&format!("/registry/core/pods/{}/{}", a.namespace, a.name))
            .is_none_or(|p| p["spec"]["nodeName"] == node)
    }

    /// Whether a pod on the node uses the Secret or ConfigMap.
    fn is_referenced(&self, node: &str, a: &Attributes) -> bool {
        let (source, name) = match a.resource.as_str() {
            "secrets" => ("secret", "secretName"),
            _ => ("configMap", "name"),
        };
        let key = format!("/registry/core/pods/{}/", a.namespace);
        let mentions = |volume: &Value| {
            volume[source][name] == a.name.as_str()
                || items(volume, "/projected/sources").any(|s| s[source]["name"] == a.name.as_str())
        };
        !a.name.is_empty()
            && self.cache.list(&key).iter().any(|pod| {
                pod["spec"]["nodeName"] == node && items(pod, "/spec/volumes").any(mentions)
            })
    }
}

fn is_bound(binding: &Value, user: &User) -> bool {
    items(binding, "/subjects").any(|s| {
        let name = s["name"].as_str().unwrap_or_default();
        match s["kind"].as_str() {
            Some("User") => name == user.name,
            Some("Group") => user.is_in(name),
            Some("ServiceAccount") => {
                user.name
                    == format!(
                        "system:serviceaccount:{}:{name}",
                        s["namespace"].as_str().unwrap_or_default()
                    )
            }
            _ => false,
        }
    })
}

fn allows(rule: &Value, a: &Attributes) -> bool {
    let has = |field: &str, wanted: &str| items(rule, field).any(|v| v == "*" || v == wanted);
    if !has("/verbs", &a.verb) {
        return false;
    }
    if a.resource.is_empty() {
        return items(rule, "/nonResourceURLs")
            .filter_map(Value::as_str)
            .any(|url| {
                url == a.path
                    || url
                        .strip_suffix('*')
                        .is_some_and(|prefix| a.path.starts_with(prefix))
            });
    }
    let full = a.full_resource();
    let resource = has("/resources", &full)
        || !a.subresource.is_empty()
            && items(rule, "/resources")
                .any(|v| v.as_str() == Some(&format!("*/{}", a.subresource)));
    let mut names = items(rule, "/resourceNames").peekable();
    has("/apiGroups", &a.group)
        && resource
        && (names.peek().is_none() || names.any(|n| n == a.name.as_str()))
}

/// The 403 of the real server, word for word.
fn forbidden(user: &User, a: &Attributes, why: &str) -> Error {
    let (user, verb) = (&user.name, &a.verb);
    if a.resource.is_empty() {
        let path = &a.path;
        return err!(
            403,
            "forbidden: User {user:?} cannot {verb} path {path:?}{why}"
        );
    }
    let group = match a.group.as_str() {
        "" => String::new(),
        group => format!(".{group}"),
    };
    let object = match a.name.as_str() {
        "" => String::new(),
        name => format!(" {name:?}"),
    };
    let scope = match a.namespace.as_str() {
        "" => "at the cluster scope".to_owned(),
        namespace => format!("in the namespace {namespace:?}"),
    };
    err!(
        403,
        "{}{group}{object} is forbidden: User {user:?} cannot {verb} resource {:?} in API group {:?} {scope}{why}",
        a.resource,
        a.full_resource(),
        a.group
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rules_allow_what_they_say() {
        let rule = json!({"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"], "verbs": ["get"]});
        let ask = |verb: &str, name: &str, sub: &str| Attributes {
            verb: verb.into(),
            resource: "configmaps".into(),
            name: name.into(),
            subresource: sub.into(),
            ..Attributes::default()
        };
        assert!(allows(&rule, &ask("get", "a", "")));
        assert!(!allows(&rule, &ask("get", "b", "")));
        assert!(!allows(&rule, &ask("list", "", "")));
        assert!(!allows(&rule, &ask("get", "a", "status")));
        let url = json!({"nonResourceURLs": ["/healthz", "/apis/*"], "verbs": ["get"]});
        let path = |p: &str| Attributes {
            verb: "get".into(),
            path: p.into(),
            ..Attributes::default()
        };
        assert!(allows(&url, &path("/apis/apps")));
        assert!(!allows(&url, &path("/metrics")));
    }
}
