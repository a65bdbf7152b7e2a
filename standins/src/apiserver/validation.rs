//! What the server refuses about objects.

use serde_json::Value;

use super::resources::Resource;
use crate::api::{
    Error, Result, err, is_label_value, is_qualified_name, is_subdomain, items, name, parse_taint,
    text,
};

/// `Pod "a" is invalid: …`
pub fn invalid(resource: &Resource, name: &str, causes: &[String]) -> Error {
    let group = match resource.group {
        "" => String::new(),
        group => format!(".{group}"),
    };
    let causes = match causes {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    };
    err!(
        422,
        "{}{group} {name:?} is invalid: {causes}",
        resource.kind
    )
}

/// Checks an object; `old` is Null for a new one.
pub fn validate(resource: &Resource, object: &Value, old: &Value) -> Result<()> {
    let mut causes = vec![];
    check_metadata(resource, object, &mut causes);
    let mut missing = vec![];
    if let Some(t) = resource.schema() {
        t.missing(object, "", &mut missing);
    }
    causes.extend(missing.iter().map(|path| format!("{path}: Required value")));
    match resource.kind {
        "Pod" => check_pod(&object["spec"], "spec", &mut causes),
        "Deployment" | "DaemonSet" | "ReplicaSet" => check_workload(object, old, &mut causes),
        "ConfigMap" | "Secret" => check_data(object, old, &mut causes),
        "RoleBinding" | "ClusterRoleBinding" => check_binding(resource, object, old, &mut causes),
        "Role" | "ClusterRole" => check_rules(object, &mut causes),
        "Node" => check_node(object, old, &mut causes),
        "CertificateSigningRequest" => {
            let request = crate::api::unbase64(text(&object["spec"], "request"));
            if let Err(e) = crate::kcm::csr::parse(&request) {
                causes.push(format!("spec.request: Invalid value: {e}"));
            }
        }
        _ => {}
    }
    match causes.is_empty() {
        true => Ok(()),
        false => Err(invalid(resource, name(object), &causes)),
    }
}

/// Checks a pod as the kubelet checks a static one.
pub fn validate_pod(object: &mut Value) -> Result<()> {
    let Some(resource) = super::resources::find("", "pods") else {
        return Ok(());
    };
    super::defaults::fill_in(resource, object);
    validate(resource, object, &Value::Null)
}

fn entries<'a>(object: &'a Value, field: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    object[field].as_object().into_iter().flatten()
}

fn check_metadata(resource: &Resource, object: &Value, causes: &mut Vec<String>) {
    let own = name(object);
    let good = match resource.group {
        "rbac.authorization.k8s.io" => !own.contains(['/', '%']),
        _ => is_subdomain(own),
    };
    if own.is_empty() {
        causes.push("metadata.name: Required value: name or generateName is required".to_owned());
    } else if !good {
        causes.push(format!("metadata.name: Invalid value: {own:?}: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character"));
    }
    for (key, value) in entries(&object["metadata"], "labels") {
        let value = value.as_str().unwrap_or_default();
        if !is_qualified_name(key) || !is_label_value(value) {
            let label = format!("{key}={value}");
            causes.push(format!("metadata.labels: Invalid value: {label:?}"));
        }
    }
    for (key, _) in entries(&object["metadata"], "annotations") {
        if !is_qualified_name(&key.to_lowercase()) {
            causes.push(format!("metadata.annotations: Invalid value: {key:?}"));
        }
    }
}

fn check_workload(object: &Value, old: &Value, causes: &mut Vec<String>) {
    let (selector, template) = (&object["spec"]["selector"], &object["spec"]["template"]);
    check_pod(&template["spec"], "spec.template.spec", causes);
    let labels = &template["metadata"]["labels"];
    if selector.as_object().is_none_or(|s| s.is_empty()) {
        causes.push("spec.selector: Required value".to_owned());
    } else if !crate::api::object_selector(selector, labels) {
        causes.push(format!("spec.template.metadata.labels: Invalid value: {labels}: `selector` does not match template `labels`"));
    }
    if !old.is_null() && old["spec"]["selector"] != *selector {
        causes.push(format!(
            "spec.selector: Invalid value: {selector}: field is immutable"
        ));
    }
}

fn check_data(object: &Value, old: &Value, causes: &mut Vec<String>) {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    for (key, _) in entries(object, "data") {
        if key.is_empty() || key.len() > 253 || !key.chars().all(good) {
            causes.push(format!("data[{key}]: Invalid value: {key:?}: a valid config key must consist of alphanumeric characters, '-', '_' or '.'"));
        }
    }
    if !old.is_null() && old["type"] != object["type"] {
        let given = &object["type"];
        causes.push(format!("type: Invalid value: {given}: field is immutable"));
    }
}

fn check_binding(resource: &Resource, object: &Value, old: &Value, causes: &mut Vec<String>) {
    let role = &object["roleRef"];
    let own = resource.kind.trim_end_matches("Binding");
    if role["kind"] != "ClusterRole" && role["kind"] != own {
        let kind = &role["kind"];
        causes.push(format!(
            "roleRef.kind: Unsupported value: {kind}: supported values: \"ClusterRole\""
        ));
    }
    if !old.is_null() && old["roleRef"] != *role {
        causes.push(format!(
            "roleRef: Invalid value: {role}: cannot change roleRef"
        ));
    }
    for (i, subject) in items(object, "/subjects").enumerate() {
        let kind = text(subject, "kind");
        if !matches!(kind, "User" | "Group" | "ServiceAccount") {
            causes.push(format!("subjects[{i}].kind: Unsupported value: {kind:?}: supported values: \"ServiceAccount\", \"User\", \"Group\""));
        }
        if kind == "ServiceAccount" && text(subject, "namespace").is_empty() {
            causes.push(format!("subjects[{i}].namespace: Required value"));
        }
    }
}

fn check_rules(object: &Value, causes: &mut Vec<String>) {
    for (i, rule) in items(object, "/rules").enumerate() {
        let has = |field: &str| items(rule, field).next().is_some();
        if !has("/verbs") {
            causes.push(format!(
                "rules[{i}].verbs: Required value: verbs must contain at least one value"
            ));
        }
        if !(has("/nonResourceURLs") || has("/apiGroups") && has("/resources")) {
            causes.push(format!("rules[{i}].apiGroups: Required value: resource rules must supply at least one api group and one resource"));
        }
    }
}

fn check_node(object: &Value, old: &Value, causes: &mut Vec<String>) {
    let mut seen = vec![];
    for (i, taint) in items(object, "/spec/taints").enumerate() {
        let (key, effect) = (text(taint, "key"), text(taint, "effect"));
        let spec = format!("{key}={}:{effect}", text(taint, "value"));
        if let Err(e) = parse_taint(&spec) {
            causes.push(format!("spec.taints[{i}]: Invalid value: {e}"));
        }
        if seen.contains(&(key, effect)) {
            causes.push(format!("spec.taints[{i}]: Duplicate value: {spec:?}"));
        }
        seen.push((key, effect));
    }
    let before = &old["spec"]["podCIDR"];
    if !before.is_null() && *before != object["spec"]["podCIDR"] {
        causes.push("spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid".to_owned());
    }
}

fn check_pod(spec: &Value, path: &str, causes: &mut Vec<String>) {
    const TYPES: [&str; 8] = [
        "",
        "DirectoryOrCreate",
        "Directory",
        "FileOrCreate",
        "File",
        "Socket",
        "CharDevice",
        "BlockDevice",
    ];
    if items(spec, "/containers").next().is_none() {
        causes.push(format!("{path}.containers: Required value"));
    }
    for (i, container) in items(spec, "/containers").enumerate() {
        let path = format!("{path}.containers[{i}]");
        if text(container, "image").is_empty() {
            causes.push(format!("{path}.image: Required value"));
        }
        for (j, mount) in items(container, "/volumeMounts").enumerate() {
            if !items(spec, "/volumes").any(|v| v["name"] == mount["name"]) {
                let name = &mount["name"];
                causes.push(format!("{path}.volumeMounts[{j}].name: Not found: {name}"));
            }
        }
        for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
            let port = &container[probe]["httpGet"]["port"];
            if port.is_string() && !items(container, "/ports").any(|p| p["name"] == *port) {
                causes.push(format!(
                    "{path}.{probe}.httpGet.port: Invalid value: {port}: couldn't find port"
                ));
            }
        }
    }
    for (i, volume) in items(spec, "/volumes").enumerate() {
        let kind = text(&volume["hostPath"], "type");
        if !TYPES.contains(&kind) {
            causes.push(format!(
                "{path}.volumes[{i}].hostPath.type: Unsupported value: {kind:?}"
            ));
        }
    }
}
