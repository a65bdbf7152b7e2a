//! Who may do what: the RBAC and Node authorizers.

use std::sync::Arc;

use serde_json::Value;

use super::authn::User;
use super::cache::Cache;
use crate::api::{Error, Result, items};

/// What somebody wants to do.
#[derive(Clone, Debug, Default)]
pub struct Attributes {
    /// `get`, `list`, …
    pub verb: String,
    /// The API group.
    pub group: String,
    /// The plural; empty for other paths.
    pub resource: String,
    /// The subresource.
    pub subresource: String,
    /// The namespace.
    pub namespace: String,
    /// The object.
    pub name: String,
    /// The path, if it is no resource.
    pub path: String,
    /// The field selector of a list or watch.
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
    /// `--authorization-mode`.
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
                "Node" => match self.node(user, a) {
                    Some(Ok(())) => return Ok(()),
                    Some(Err(reason)) => why = format!(": {reason}"),
                    None => {}
                },
                "RBAC" if self.rbac(user, a) => return Ok(()),
                _ => {}
            }
        }
        Err(forbidden(user, a, &why))
    }

    /// Whether some binding gives the user a role with a rule that fits.
    fn rbac(&self, user: &User, a: &Attributes) -> bool {
        let fits = |role: &Value| items(role, "/rules").any(|rule| allows(rule, a));
        for binding in self.cache.list(&format!("{RBAC}/clusterrolebindings/")) {
            if subject(&binding, user, "") && self.role(&binding, "").is_some_and(|r| fits(&r)) {
                return true;
            }
        }
        if a.namespace.is_empty() {
            return false;
        }
        self.cache
            .list(&format!("{RBAC}/rolebindings/{}/", a.namespace))
            .iter()
            .any(|b| {
                subject(b, user, &a.namespace)
                    && self.role(b, &a.namespace).is_some_and(|r| fits(&r))
            })
    }

    /// The role that a binding names.
    pub fn role(&self, binding: &Value, namespace: &str) -> Option<Arc<Value>> {
        let name = binding["roleRef"]["name"].as_str()?;
        match binding["roleRef"]["kind"].as_str()? {
            "ClusterRole" => self.cache.get(&format!("{RBAC}/clusterroles/{name}")),
            _ => self.cache.get(&format!("{RBAC}/roles/{namespace}/{name}")),
        }
    }

    /// Whether a user holds all that a role's rules give, so that giving it away is no escalation.
    pub fn covers(&self, user: &User, rules: &[Value], namespace: &str) -> bool {
        let words = |rule: &Value, field: &str| -> Vec<String> {
            items(rule, field)
                .filter_map(|v| v.as_str().map(str::to_owned))
                .collect()
        };
        rules.iter().all(|rule| {
            let names = match words(rule, "/resourceNames") {
                names if names.is_empty() => vec![String::new()],
                names => names,
            };
            words(rule, "/verbs").iter().all(|verb| {
                let resources = words(rule, "/apiGroups").iter().all(|group| {
                    words(rule, "/resources").iter().all(|full| {
                        let (resource, subresource) = full.split_once('/').unwrap_or((full, ""));
                        names.iter().all(|name| {
                            let a = Attributes {
                                verb: verb.clone(),
                                group: group.clone(),
                                resource: resource.to_owned(),
                                subresource: subresource.to_owned(),
                                namespace: namespace.to_owned(),
                                name: name.clone(),
                                ..Attributes::default()
                            };
                            self.authorize(user, &a).is_ok()
                        })
                    })
                });
                let paths = words(rule, "/nonResourceURLs").into_iter().all(|path| {
                    self.authorize(
                        user,
                        &Attributes {
                            verb: verb.clone(),
                            path,
                            ..Attributes::default()
                        },
                    )
                    .is_ok()
                });
                resources && paths
            })
        })
    }

    /// The Node authorizer; None if it has no opinion.
    fn node(&self, user: &User, a: &Attributes) -> Option<std::result::Result<(), String>> {
        let node = user
            .name
            .strip_prefix("system:node:")
            .filter(|_| user.is_in("system:nodes"))?;
        let verb = a.verb.as_str();
        let reads = matches!(verb, "get" | "list" | "watch");
        let own = |what: &str| Err(format!("node {node:?} can only {what}"));
        let verdict = match (a.group.as_str(), a.full_resource().as_str()) {
            ("", "nodes") => match verb {
                "create" => Ok(()),
                "get" | "update" | "patch" if a.name == node => Ok(()),
                "list" | "watch"
                    if a.name == node || a.field_selector == format!("metadata.name={node}") =>
                {
                    Ok(())
                }
                _ => own("access its own Node object"),
            },
            ("", "nodes/status") if matches!(verb, "update" | "patch") && a.name == node => Ok(()),
            ("", "pods") => match verb {
                "create" | "delete" => Ok(()),
                "get" if self.pod_here(node, a) => Ok(()),
                "list" | "watch"
                    if a.field_selector
                        .split(',')
                        .any(|s| s == format!("spec.nodeName={node}")) =>
                {
                    Ok(())
                }
                _ => own("list/watch pods with spec.nodeName field selector"),
            },
            ("", "pods/status") if matches!(verb, "update" | "patch") => Ok(()),
            ("", "pods/eviction") if verb == "create" => Ok(()),
            ("", "services") if reads => Ok(()),
            ("", "secrets" | "configmaps") if reads => {
                if !a.name.is_empty() && self.referenced(node, a) {
                    Ok(())
                } else {
                    Err(format!(
                        "no relationship found between node '{node}' and this object"
                    ))
                }
            }
            ("", "events") if matches!(verb, "create" | "patch" | "update") => Ok(()),
            ("", "serviceaccounts/token") if verb == "create" => Ok(()),
            ("", "serviceaccounts") if verb == "get" => Ok(()),
            ("coordination.k8s.io", "leases") => {
                if a.namespace == "kube-node-lease"
                    && (a.name == node || verb == "create")
                    && verb != "list"
                {
                    Ok(())
                } else {
                    Err(
                        "can only access node lease with the same name as the requesting node"
                            .to_owned(),
                    )
                }
            }
            ("certificates.k8s.io", "certificatesigningrequests")
                if matches!(verb, "create" | "get" | "list" | "watch") =>
            {
                Ok(())
            }
            ("authentication.k8s.io", "tokenreviews")
            | ("authorization.k8s.io", "subjectaccessreviews")
                if verb == "create" =>
            {
                Ok(())
            }
            ("storage.k8s.io", "csinodes") if a.name == node || verb == "create" => Ok(()),
            ("storage.k8s.io", "csidrivers") | ("node.k8s.io", "runtimeclasses") if reads => Ok(()),
            _ => return None,
        };
        Some(verdict)
    }

    fn pod_here(&self, node: &str, a: &Attributes) -> bool {
        self.cache
            .get(&format!("/registry/core/pods/{}/{}", a.namespace, a.name))
            .is_none_or(|p| p["spec"]["nodeName"] == node)
    }

    /// Whether a pod on the node uses the Secret or ConfigMap.
    fn referenced(&self, node: &str, a: &Attributes) -> bool {
        let secret = a.resource == "secrets";
        self.cache
            .list(&format!("/registry/core/pods/{}/", a.namespace))
            .iter()
            .any(|pod| {
                pod["spec"]["nodeName"] == node
                    && (items(pod, "/spec/volumes").any(|v| {
                        let direct = if secret {
                            &v["secret"]["secretName"]
                        } else {
                            &v["configMap"]["name"]
                        };
                        let source = if secret { "secret" } else { "configMap" };
                        *direct == a.name.as_str()
                            || items(v, "/projected/sources")
                                .any(|s| s[source]["name"] == a.name.as_str())
                    }) || items(pod, "/spec/containers").any(|c| {
                        let (whole, one) = if secret {
                            ("secretRef", "secretKeyRef")
                        } else {
                            ("configMapRef", "configMapKeyRef")
                        };
                        items(c, "/envFrom").any(|e| e[whole]["name"] == a.name.as_str())
                            || items(c, "/env")
                                .any(|e| e["valueFrom"][one]["name"] == a.name.as_str())
                    }) || secret
                        && items(pod, "/spec/imagePullSecrets")
                            .any(|s| s["name"] == a.name.as_str()))
            })
    }
}

fn subject(binding: &Value, user: &User, _namespace: &str) -> bool {
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
pub fn forbidden(user: &User, a: &Attributes, why: &str) -> Error {
    if a.resource.is_empty() {
        return Error::new(
            403,
            format!(
                "forbidden: User {:?} cannot {} path {:?}{why}",
                user.name, a.verb, a.path
            ),
        );
    }
    let object = if a.name.is_empty() {
        String::new()
    } else {
        format!(" {:?}", a.name)
    };
    let group = if a.group.is_empty() {
        String::new()
    } else {
        format!(".{}", a.group)
    };
    let scope = if a.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace {:?}", a.namespace)
    };
    Error::new(
        403,
        format!(
            "{}{group}{object} is forbidden: User {:?} cannot {} resource {:?} in API group {:?} {scope}{why}",
            a.resource,
            user.name,
            a.verb,
            a.full_resource(),
            a.group
        ),
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
