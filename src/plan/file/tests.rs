use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::*;
use crate::plan::document::plan_schema;

/// A plan with something of everything.
fn sample() -> PlanDocument {
    serde_json::from_value(json!({
        "apiVersion": "clusterctl.rs/v1alpha1",
        "kind": "Plan",
        "version": "0.1.0",
        "cluster": "demo",
        "inventory": "/home/ops/inventory.yaml",
        "inputs": [{"path": "inventory.yaml", "sha256": "aa"}],
        "options": {"phases": ["certs", "hosts"], "hosts": [], "uploadCerts": false},
        "changes": 9,
        "certificates": [{"file": "pki/ca.crt", "action": "created", "why": "missing"}],
        "hosts": [
            {
                "name": "cp1",
                "changes": [
                    {"action": "create", "kind": "file", "name": "/etc/kubernetes/pki/ca.key",
                     "detail": {"type": "secret", "before": null, "after": "0a0a0a0a0a0a"},
                     "after": "0a0a0a0a0a0a", "undecided": true},
                    {"action": "update", "kind": "file", "name": "/etc/kubernetes/admin.conf",
                     "detail": {"type": "secret", "before": "0b0b0b0b0b0b", "after": "0c0c0c0c0c0c"},
                     "before": "0b0b0b0b0b0b", "after": "0c0c0c0c0c0c"},
                    {"action": "update", "kind": "file", "name": "/var/lib/kubelet/config.yaml",
                     "detail": {"type": "diff", "unified": "@@ -1 +0,0 @@\n-maxPods: 42\n"},
                     "before": "dd", "after": "ee"},
                    {"action": "set", "kind": "sysctl", "name": "net.ipv4.ip_forward",
                     "detail": {"type": "text", "text": "0 -> 1"}},
                    {"action": "restart", "kind": "unit", "name": "kubelet.service"}
                ],
                "registersAgain": false,
                "afterRegistration": false,
                "labels": {"action": "update", "apiVersion": "v1", "kind": "Node", "namespace": "",
                    "name": "cp1", "phase": "nodes", "before": "11", "after": "12",
                    "diff": "-tier: a\n+tier: b\n"},
                "taints": ["a=b:NoSchedule"]
            },
            {
                "name": "w1",
                "changes": [],
                "join": [{"action": "create", "kind": "file", "name": "/etc/x"}],
                "registersAgain": false,
                "afterRegistration": true,
                "taints": []
            }
        ],
        "apiAnswers": true,
        "objects": [
            {"action": "create", "apiVersion": "v1", "kind": "Secret", "namespace": "kube-system",
             "name": "bootstrap-token-abcdef", "phase": "bootstrap-token", "after": "0d0d0d0d0d0d"},
            {"action": "update", "apiVersion": "v1", "kind": "ConfigMap", "namespace": "kube-system",
             "name": "coredns", "phase": "addons", "before": "21", "after": "22",
             "diff": "-a\n+b\n"}
        ],
        "joinToken": true,
        "kubeconfig": true,
        "order": [
            {"phase": "certs", "hosts": [], "how": "on this machine"},
            {"phase": "hosts", "hosts": ["cp1", "w1"], "how": "in parallel"}
        ],
        "setAside": [{"host": "w2", "why": "connection refused"}]
    }))
    .unwrap()
}

#[test]
fn a_plan_reads_from_top_to_bottom() {
    insta::assert_snapshot!(sample().render(false));
}

#[test]
fn the_published_schema_is_the_current_one_and_fits() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/plan.schema.json");
    let committed = fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == format!("{:#}\n", plan_schema()),
        "docs/plan.schema.json is out of date; this rewrites it:\n\n    \
         cargo run -- schema plan > docs/plan.schema.json\n"
    );
    let validator = jsonschema::validator_for(&plan_schema()).unwrap();
    let mut plan = serde_json::to_value(sample()).unwrap();
    let faults: Vec<String> = validator
        .iter_errors(&plan)
        .map(|error| error.to_string())
        .collect();
    assert_eq!(faults, Vec::<String>::new());
    plan["hosts"][0]["secret"] = true.into();
    assert!(!validator.is_valid(&plan));
}

#[test]
fn a_kept_plan_is_the_owners_alone_and_comes_back_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("next.plan");
    write_plan(&path, &sample()).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    assert!(is_plan(&path));
    assert_eq!(read_plan(&path).unwrap(), sample());
    // Another plan takes its place; nothing else does.
    write_plan(&path, &sample()).unwrap();
    fs::write(&path, "apiVersion: clusterctl.rs/v1alpha1\nkind: Cluster\n").unwrap();
    let error = write_plan(&path, &sample()).unwrap_err().to_string();
    assert!(error.ends_with("exists and is not a plan"), "{error}");
}

#[test]
fn a_plan_is_known_by_its_kind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    for (text, expected) in [
        ("{\"kind\": \"Plan\"}", true),
        ("{\"kind\": \"Cluster\"}", false),
        ("apiVersion: x\nkind: Plan # kept\n", true),
        ("kind: \"Plan\"\n", true),
        ("metadata:\n  kind: Plan\n", false),
        ("kind: Cluster\n", false),
        ("", false),
    ] {
        fs::write(&path, text).unwrap();
        assert_eq!(is_plan(&path), expected, "{text:?}");
    }
    fs::write(&path, b"\xff\xfe").unwrap();
    assert!(!is_plan(&path));
    assert!(!is_plan(dir.path()));
    fs::write(&path, "{\"kind\": \"Plan\", \"x\u{1b}\": 1}").unwrap();
    let error = read_plan(&path).unwrap_err().to_string();
    assert!(
        error.contains("is not a plan") && !error.contains('\u{1b}'),
        "{error}"
    );
    let yaml = serde_saphyr::to_string(&sample()).unwrap();
    fs::write(&path, yaml).unwrap();
    assert_eq!(read_plan(&path).unwrap(), sample());
}

/// What has moved once `change` has been made to the sample as JSON.
fn after(change: impl Fn(&mut Value)) -> Vec<String> {
    let mut value = serde_json::to_value(sample()).unwrap();
    change(&mut value);
    moved(&sample(), &serde_json::from_value(value).unwrap())
}

type Change = Box<dyn Fn(&mut Value)>;

#[test]
fn whatever_moves_is_named() {
    assert_eq!(after(|_| ()), [""; 0]);
    assert_eq!(
        after(|plan| plan["setAside"][0]["why"] = "in other words".into()),
        [""; 0]
    );
    let cases: Vec<(&str, Change)> = vec![
        (
            "this machine: inventory.yaml has changed",
            Box::new(|plan| plan["inputs"][0]["sha256"] = "ab".into()),
        ),
        (
            "this machine: clusterctl-rs's version was 0.1.0, is now 0.2.0",
            Box::new(|plan| plan["version"] = "0.2.0".into()),
        ),
        (
            "this machine: pki/ca.crt no longer needs a change",
            Box::new(|plan| plan["certificates"] = json!([])),
        ),
        (
            "cp1: file /var/lib/kubelet/config.yaml has changed since",
            Box::new(|plan| plan["hosts"][0]["changes"][2]["before"] = "d0".into()),
        ),
        (
            "cp1: file /var/lib/kubelet/config.yaml would be written differently now",
            Box::new(|plan| plan["hosts"][0]["changes"][2]["after"] = "e0".into()),
        ),
        (
            "cp1: sysctl net.ipv4.ip_forward is in a different state now",
            Box::new(|plan| plan["hosts"][0]["changes"][3]["detail"]["text"] = "2 -> 1".into()),
        ),
        (
            "cp1: unit kubelet.service no longer needs a change",
            Box::new(|plan| {
                plan["hosts"][0]["changes"].as_array_mut().unwrap().pop();
            }),
        ),
        (
            "cp1: the order of changes differs",
            Box::new(|plan| {
                plan["hosts"][0]["changes"]
                    .as_array_mut()
                    .unwrap()
                    .swap(0, 1)
            }),
        ),
        (
            "w1: package jq needs a change that is not in the plan",
            Box::new(|plan| {
                plan["hosts"][1]["changes"] =
                    json!([{"action": "install", "kind": "package", "name": "jq"}]);
            }),
        ),
        (
            "w1: the host has joined since",
            Box::new(|plan| plan["hosts"][1]["join"] = Value::Null),
        ),
        (
            "w1: its Node has been created or deleted",
            Box::new(|plan| plan["hosts"][1]["afterRegistration"] = false.into()),
        ),
        (
            "cp1: labels of its node have changed",
            Box::new(|plan| plan["hosts"][0]["labels"]["before"] = "10".into()),
        ),
        (
            "cp1: taints of its node have changed",
            Box::new(|plan| plan["hosts"][0]["taints"] = json!([])),
        ),
        (
            "w2: the host can be inspected again",
            Box::new(|plan| plan["setAside"] = json!([])),
        ),
        (
            "cluster: ConfigMap kube-system/coredns has changed since",
            Box::new(|plan| plan["objects"][1]["before"] = "20".into()),
        ),
        (
            "cluster: the API server no longer responds",
            Box::new(|plan| plan["apiAnswers"] = false.into()),
        ),
        (
            "this machine: the admin kubeconfig has changed",
            Box::new(|plan| plan["kubeconfig"] = false.into()),
        ),
        (
            "cluster: the plan differs",
            Box::new(|plan| plan["order"] = json!([])),
        ),
    ];
    for (expected, change) in cases {
        assert_eq!(after(change), [expected]);
    }
    let aside = after(|plan| {
        plan["hosts"].as_array_mut().unwrap().pop();
        plan["setAside"]
            .as_array_mut()
            .unwrap()
            .push(json!({"host": "w1", "why": "no route"}));
    });
    assert_eq!(aside, ["w1: the host can no longer be inspected"]);
}
