//! What the server refuses about objects.

use serde_json::Value;

use super::resources::Resource;
use crate::api::{
    Error, Result, is_label_value, is_qualified_name, is_subdomain, items, name, parse_taint,
};

/// `Pod "a" is invalid: …`
pub fn invalid(resource: &Resource, name: &str, causes: &[String]) -> Error {
    let group = if resource.group.is_empty() {
        String::new()
    } else {
        format!(".{}", resource.group)
    };
    let causes = if causes.len() == 1 {
        causes[0].clone()
    } else {
        format!("[{}]", causes.join(", "))
    };
    Error::new(
        422,
        format!("{}{group} {name:?} is invalid: {causes}", resource.kind),
    )
}

/// Checks an object; `old` is Null for a new one.
pub fn validate(resource: &Resource, object: &Value, old: &Value) -> Result<()> {
    let mut causes = vec![];
    let own = name(object);
    let rbac = resource.group == "rbac.authorization.k8s.io";
    if own.is_empty() {
        causes.push("metadata.name: Required value: name or generateName is required".to_owned());
    } else if rbac && (own.contains(['/', '%']) || own == "." || own == "..")
        || !rbac && !is_subdomain(own)
    {
        causes.push(format!("metadata.name: Invalid value: {own:?}: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character"));
    }
    for (key, value) in object["metadata"]["labels"]
        .as_object()
        .into_iter()
        .flatten()
    {
        let value = value.as_str().unwrap_or_default();
        if !is_qualified_name(key) || !is_label_value(value) {
            causes.push(format!(
                "metadata.labels: Invalid value: {:?}",
                format!("{key}={value}")
            ));
        }
    }
    for key in object["metadata"]["annotations"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, _)| k)
    {
        if !is_qualified_name(&key.to_lowercase()) {
            causes.push(format!("metadata.annotations: Invalid value: {key:?}"));
        }
    }
    let mut missing = vec![];
    if let Some(t) = resource.schema() {
        t.missing(object, "", &mut missing);
    }
    causes.extend(
        missing
            .into_iter()
            .map(|path| format!("{path}: Required value")),
    );
    match resource.kind {
        "Pod" => pod(&object["spec"], "spec", &mut causes),
        "Deployment" | "DaemonSet" | "ReplicaSet" | "StatefulSet" => {
            let template = &object["spec"]["template"];
            pod(&template["spec"], "spec.template.spec", &mut causes);
            let selector = &object["spec"]["selector"];
            if selector.as_object().is_none_or(|s| s.is_empty()) {
                causes.push("spec.selector: Required value".to_owned());
            } else if !crate::api::object_selector(selector, &template["metadata"]["labels"]) {
                causes.push(format!("spec.template.metadata.labels: Invalid value: {}: `selector` does not match template `labels`", template["metadata"]["labels"]));
            }
            if !old.is_null() && old["spec"]["selector"] != *selector {
                causes.push(format!(
                    "spec.selector: Invalid value: {selector}: field is immutable"
                ));
            }
        }
        "ConfigMap" | "Secret" => {
            for key in object["data"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(k, _)| k)
            {
                if key.is_empty()
                    || key.len() > 253
                    || !key
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
                {
                    causes.push(format!("data[{key}]: Invalid value: {key:?}: a valid config key must consist of alphanumeric characters, '-', '_' or '.'"));
                }
            }
            if !old.is_null() && resource.kind == "Secret" && old["type"] != object["type"] {
                causes.push(format!(
                    "type: Invalid value: {}: field is immutable",
                    object["type"]
                ));
            }
            if old["immutable"] == true
                && (old["data"] != object["data"] || object["immutable"] != true)
            {
                causes
                    .push("data: Forbidden: field is immutable when `immutable` is set".to_owned());
            }
        }
        "RoleBinding" | "ClusterRoleBinding" => {
            if !matches!(object["roleRef"]["kind"].as_str(), Some("ClusterRole"))
                && (resource.kind == "ClusterRoleBinding" || object["roleRef"]["kind"] != "Role")
            {
                causes.push(format!(
                    "roleRef.kind: Unsupported value: {}: supported values: \"ClusterRole\"",
                    object["roleRef"]["kind"]
                ));
            }
            if !old.is_null() && old["roleRef"] != object["roleRef"] {
                causes.push(format!(
                    "roleRef: Invalid value: {}: cannot change roleRef",
                    object["roleRef"]
                ));
            }
            for (i, subject) in items(object, "/subjects").enumerate() {
                let kind = subject["kind"].as_str().unwrap_or_default();
                if !matches!(kind, "User" | "Group" | "ServiceAccount") {
                    causes.push(format!("subjects[{i}].kind: Unsupported value: {kind:?}: supported values: \"ServiceAccount\", \"User\", \"Group\""));
                }
                if kind == "ServiceAccount"
                    && subject["namespace"].as_str().is_none_or(str::is_empty)
                {
                    causes.push(format!("subjects[{i}].namespace: Required value"));
                }
            }
        }
        "Role" | "ClusterRole" => {
            for (i, rule) in items(object, "/rules").enumerate() {
                if items(rule, "/verbs").next().is_none() {
                    causes.push(format!(
                        "rules[{i}].verbs: Required value: verbs must contain at least one value"
                    ));
                }
                let urls = items(rule, "/nonResourceURLs").next().is_some();
                if !urls
                    && (items(rule, "/apiGroups").next().is_none()
                        || items(rule, "/resources").next().is_none())
                {
                    causes.push(format!("rules[{i}].apiGroups: Required value: resource rules must supply at least one api group and one resource"));
                }
            }
        }
        "Node" => {
            let mut seen = vec![];
            for (i, taint) in items(&object["spec"], "/taints").enumerate() {
                let text = |field: &str| taint[field].as_str().unwrap_or_default();
                let spec = format!("{}={}:{}", text("key"), text("value"), text("effect"));
                if let Err(e) = parse_taint(&spec) {
                    causes.push(format!("spec.taints[{i}]: Invalid value: {e}"));
                }
                let identity = (text("key"), text("effect"));
                if seen.contains(&identity) {
                    causes.push(format!("spec.taints[{i}]: Duplicate value: {spec:?}"));
                }
                seen.push(identity);
            }
            if !old.is_null()
                && !old["spec"]["podCIDR"].is_null()
                && old["spec"]["podCIDR"] != object["spec"]["podCIDR"]
            {
                causes.push("spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid".to_owned());
            }
        }
        "Lease"
            if object["spec"]["leaseDurationSeconds"]
                .as_i64()
                .is_some_and(|s| s <= 0) =>
        {
            causes.push(
                "spec.leaseDurationSeconds: Invalid value: must be greater than 0".to_owned(),
            );
        }
        "CertificateSigningRequest" => {
            let request =
                crate::api::unbase64(object["spec"]["request"].as_str().unwrap_or_default());
            if let Err(e) = crate::kcm::csr::parse(&request) {
                causes.push(format!("spec.request: Invalid value: {e}"));
            }
            if items(object, "/spec/usages").next().is_none() {
                causes.push("spec.usages: Required value".to_owned());
            }
            if !object["spec"]["signerName"]
                .as_str()
                .is_some_and(|s| s.contains('/'))
            {
                causes.push("spec.signerName: Invalid value: must be a fully qualified domain and path of the form 'example.com/signer-name'".to_owned());
            }
        }
        _ => {}
    }
    if causes.is_empty() {
        Ok(())
    } else {
        Err(invalid(resource, own, &causes))
    }
}

/// Checks a pod as the kubelet checks a static one.
pub fn validate_pod(object: &mut Value) -> Result<()> {
    let Some(resource) = super::resources::find("", "pods") else {
        return Ok(());
    };
    super::defaults::default(resource, object);
    validate(resource, object, &Value::Null)
}

fn pod(spec: &Value, path: &str, causes: &mut Vec<String>) {
    if items(spec, "/containers").next().is_none() {
        causes.push(format!("{path}.containers: Required value"));
    }
    let volumes: Vec<&Value> = items(spec, "/volumes").map(|v| &v["name"]).collect();
    for (i, container) in items(spec, "/containers").enumerate() {
        if container["image"].as_str().is_none_or(str::is_empty) {
            causes.push(format!("{path}.containers[{i}].image: Required value"));
        }
        for (j, mount) in items(container, "/volumeMounts").enumerate() {
            if !volumes.contains(&&mount["name"]) {
                causes.push(format!(
                    "{path}.containers[{i}].volumeMounts[{j}].name: Not found: {}",
                    mount["name"]
                ));
            }
        }
        for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
            let port = &container[probe]["httpGet"]["port"];
            if let Some(port) = port.as_str()
                && !items(container, "/ports").any(|p| p["name"] == port)
            {
                causes.push(format!("{path}.containers[{i}].{probe}.httpGet.port: Invalid value: {port:?}: couldn't find port"));
            }
        }
    }
    for (i, volume) in items(spec, "/volumes").enumerate() {
        let kind = volume["hostPath"]["type"].as_str().unwrap_or_default();
        if !matches!(
            kind,
            "" | "DirectoryOrCreate"
                | "Directory"
                | "FileOrCreate"
                | "File"
                | "Socket"
                | "CharDevice"
                | "BlockDevice"
        ) {
            causes.push(format!(
                "{path}.volumes[{i}].hostPath.type: Unsupported value: {kind:?}"
            ));
        }
    }
    if spec["hostNetwork"] != true
        && items(spec, "/containers")
            .flat_map(|c| items(c, "/ports"))
            .any(|p| {
                p["containerPort"]
                    .as_u64()
                    .is_some_and(|p| p == 0 || p > 65535)
            })
    {
        causes.push(format!("{path}.containers.ports.containerPort: Invalid value: must be between 1 and 65535, inclusive"));
    }
}
