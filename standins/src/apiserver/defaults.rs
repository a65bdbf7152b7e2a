//! The fields that the server fills in.

use serde_json::{Value, json};

use super::resources::Resource;
use crate::api::name;

/// Fills in defaults.
pub fn fill_in(resource: &Resource, object: &mut Value) {
    match resource.kind {
        "Pod" => fill_in_pod(&mut object["spec"]),
        "Deployment" | "DaemonSet" | "ReplicaSet" => {
            if object["spec"]["replicas"].is_null() && resource.kind != "DaemonSet" {
                object["spec"]["replicas"] = 1.into();
            }
            if object["spec"]["template"].is_object() {
                fill_in_pod(&mut object["spec"]["template"]["spec"]);
            }
        }
        "Secret" => {
            set(&mut object["type"], "Opaque");
            if let Some(strings) = object.as_object_mut().and_then(|o| o.remove("stringData")) {
                for (key, value) in strings.as_object().into_iter().flatten() {
                    object["data"][key.as_str()] =
                        crate::api::base64(value.as_str().unwrap_or_default().as_bytes()).into();
                }
            }
        }
        "Service" => {
            set(&mut object["spec"]["type"], "ClusterIP");
            set(&mut object["spec"]["sessionAffinity"], "None");
            for port in object["spec"]["ports"].as_array_mut().into_iter().flatten() {
                set(&mut port["protocol"], "TCP");
                if port["targetPort"].is_null() {
                    port["targetPort"] = port["port"].clone();
                }
            }
        }
        "RoleBinding" | "ClusterRoleBinding" => {
            set(
                &mut object["roleRef"]["apiGroup"],
                "rbac.authorization.k8s.io",
            );
            for subject in object["subjects"].as_array_mut().into_iter().flatten() {
                if subject["kind"] != "ServiceAccount" {
                    set(&mut subject["apiGroup"], "rbac.authorization.k8s.io");
                }
            }
        }
        "Namespace" => {
            set(&mut object["status"]["phase"], "Active");
            let name = name(object).to_owned();
            object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name.into();
        }
        _ => {}
    }
}

fn set(slot: &mut Value, value: &str) {
    if slot.as_str().is_none_or(str::is_empty) {
        *slot = value.into();
    }
}

fn fill_in_pod(spec: &mut Value) {
    set(&mut spec["restartPolicy"], "Always");
    set(&mut spec["dnsPolicy"], "ClusterFirst");
    set(&mut spec["schedulerName"], "default-scheduler");
    if spec["terminationGracePeriodSeconds"].is_null() {
        spec["terminationGracePeriodSeconds"] = 30.into();
    }
    if spec["securityContext"].is_null() {
        spec["securityContext"] = json!({});
    }
    if let Some(account) = spec["serviceAccountName"].as_str().map(str::to_owned) {
        spec["serviceAccount"] = account.into();
    }
    for container in spec["containers"].as_array_mut().into_iter().flatten() {
        let latest = container["image"].as_str().is_some_and(|i| {
            i.ends_with(":latest") || !i.rsplit('/').next().unwrap_or("").contains([':', '@'])
        });
        set(
            &mut container["imagePullPolicy"],
            if latest { "Always" } else { "IfNotPresent" },
        );
        for port in container["ports"].as_array_mut().into_iter().flatten() {
            set(&mut port["protocol"], "TCP");
        }
    }
}
