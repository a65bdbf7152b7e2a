//! `inventory/*.yaml`: what users copy has to be right.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clusterctl::inventory::{self, Cluster};
use serde_json::Value;

/// A copy of the examples' directory, with the files that aren't committed
/// because they are secrets, or large.
fn examples() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    copy(&source(), directory.path());
    fs::create_dir(directory.path().join("artifacts")).unwrap();
    let secrets = directory.path().join("secrets");
    fs::create_dir(&secrets).unwrap();
    for name in ["id_ed25519", "passphrase", "sudo-password", "known_hosts"] {
        let file = secrets.join(name);
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    }
    directory
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("inventory")
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn load(directory: &Path, name: &str) -> Cluster {
    let (cluster, warnings) =
        inventory::load(&directory.join(name)).unwrap_or_else(|error| panic!("{error}"));
    assert!(warnings.is_empty(), "{name}: {}", warnings[0]);
    cluster
}

#[test]
fn all_load_without_a_warning() {
    let directory = examples();
    let mut count = 0;
    for entry in fs::read_dir(directory.path()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".yaml") {
            load(directory.path(), &name);
            count += 1;
        }
    }
    assert!(count >= 9, "only {count} examples");
}

#[test]
fn ranges_expand() {
    let directory = examples();
    let cluster = load(directory.path(), "ranges.yaml");
    assert_eq!(cluster.hosts.len(), 104);
    let host = &cluster.hosts[100];
    assert_eq!(
        (host.name.as_str(), host.address.as_str()),
        ("worker100", "198.51.100.200")
    );
    assert_eq!(cluster.hosts[103].name, "rack3-node13");
    assert_eq!(cluster.hosts[103].address, "rack3-node13");
}

#[test]
fn groups_are_merged_in_order() {
    let directory = examples();
    let cluster = load(directory.path(), "groups-and-files.yaml");
    let host = |name: &str| cluster.hosts.iter().find(|host| host.name == name).unwrap();

    let edge = host("edge-gpu1");
    assert_eq!(edge.ssh.user.as_deref(), Some("edge"));
    assert_eq!(edge.ssh.port, Some(2222));
    assert_eq!(edge.preflight_ignore, ["mem", "numcpu"]);
    assert_eq!(edge.kubelet_config["maxPods"], 20);
    assert_eq!(edge.sysctls["vm.max_map_count"], "262144");
    assert_eq!(edge.taints[0].key, "example.com/gpu");

    assert_eq!(host("gpu2").kubelet_config["maxPods"], 50);
    assert_eq!(host("gpu2").ssh.user, None);
    assert!(host("worker1").taints.is_empty());
    assert_eq!(host("worker1").files.len(), 1);

    let control_plane = host("cp1");
    assert_eq!(
        control_plane.taints[0].key,
        "node-role.kubernetes.io/control-plane"
    );
    let policy = &control_plane.files[1];
    assert_eq!((policy.mode, policy.owner.as_str()), (0o600, "root:root"));
    assert!(policy.source.is_file() && policy.source.is_absolute());
}

#[test]
fn the_full_example_resolves_field_by_field() {
    let directory = examples();
    let cluster = load(directory.path(), "full.yaml");
    let base = fs::canonicalize(directory.path()).unwrap();
    assert_eq!(cluster.base_dir, base);
    assert_eq!(cluster.cluster_name, "full.example.com");
    assert_eq!(cluster.patches_dir, Some(base.join("patches")));
    assert_eq!(cluster.artifacts.path, Some(base.join("artifacts")));
    assert_eq!(
        cluster.networking.cni_manifest,
        Some(base.join("files/cni.yaml"))
    );
    let endpoint = cluster.control_plane_endpoint.as_ref().unwrap();
    assert_eq!(endpoint.to_string(), "k8s.example.com:6443");

    let control_plane = &cluster.hosts[0];
    assert_eq!(control_plane.node_name, "control-plane-1");
    assert_eq!(
        control_plane.advertise_address,
        "198.51.100.11".parse().ok()
    );
    assert_eq!(control_plane.preflight_ignore, ["firewalld", "swap"]);

    let storage = &cluster.hosts[4];
    assert_eq!(storage.name, "storage04");
    assert_eq!(storage.ssh.port, Some(2222));
    assert_eq!(storage.ssh.user.as_deref(), Some("ops"));
    assert_eq!(storage.preflight_ignore, ["firewalld", "mem", "swap"]);
    assert_eq!(storage.advertise_address, "192.0.2.24".parse().ok());

    let worker = &cluster.hosts[5];
    assert_eq!(worker.ssh.become_root, Some(false));
    assert_eq!(
        worker.ssh.private_key,
        Some(base.join("secrets/id_ed25519"))
    );
    assert_eq!(worker.sysctls["net.core.somaxconn"], "8192");
    assert_eq!(worker.taints[0].key, "example.com/web");
    assert_eq!(worker.kubelet_config["maxPods"], 200);
    assert_eq!(worker.kubelet_config["serializeImagePulls"], false);
}

/// A field that no example shows is a field that nobody will find.
#[test]
fn every_field_of_the_schema_has_an_example() {
    let schema = inventory::schema();
    let mut missing = BTreeSet::new();
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        for property in definition["properties"].as_object().into_iter().flatten() {
            missing.insert((name.clone(), property.0.clone()));
        }
    }
    assert!(
        missing.len() > 100,
        "the schema has {} fields",
        missing.len()
    );
    for name in ["full.yaml", "ha-external-etcd.yaml", "kube-vip.yaml"] {
        let text = fs::read_to_string(source().join(name)).unwrap();
        let tree: Value = serde_saphyr::from_str(&text).unwrap();
        visit(&schema, &schema, &tree, &mut missing);
    }
    assert!(missing.is_empty(), "in no example: {missing:?}");
}

fn visit(root: &Value, schema: &Value, value: &Value, missing: &mut BTreeSet<(String, String)>) {
    let name = schema["$ref"]
        .as_str()
        .map(|path| path.trim_start_matches("#/$defs/"));
    let schema = name.map_or(schema, |name| &root["$defs"][name]);
    for choice in schema["anyOf"].as_array().into_iter().flatten() {
        visit(root, choice, value, missing);
    }
    for item in value.as_array().into_iter().flatten() {
        visit(root, &schema["items"], item, missing);
    }
    for (key, value) in value.as_object().into_iter().flatten() {
        match schema["properties"].get(key) {
            Some(property) => {
                missing.remove(&(name.unwrap_or_default().to_owned(), key.clone()));
                visit(root, property, value, missing);
            }
            None => visit(root, &schema["additionalProperties"], value, missing),
        }
    }
}

/// Fields of the whole example without a class; the last step of each path is a leaf.
fn unclassified(root: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let schema = match schema["$ref"].as_str() {
        Some(path) => &root["$defs"][path.trim_start_matches("#/$defs/")],
        None => schema,
    };
    let mut choices = schema["anyOf"].as_array().into_iter().flatten();
    if let Some(choice) = choices.find(|choice| choice["$ref"].is_string()) {
        return unclassified(root, choice, value, at, found);
    }
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let at = format!("{at}.{name}");
                match schema["properties"].get(name) {
                    Some(field) if field["x-change"].is_string() => {}
                    Some(field) => unclassified(root, field, value, &at, found),
                    None => {
                        unclassified(root, &schema["additionalProperties"], value, &at, found);
                    }
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                unclassified(root, &schema["items"], item, at, found);
            }
        }
        _ => found.push(at.to_owned()),
    }
}

#[test]
fn every_field_says_how_it_may_change() {
    let schema = inventory::schema();
    let mut found = Vec::new();
    for name in ["full.yaml", "ha-external-etcd.yaml", "kube-vip.yaml"] {
        let text = fs::read_to_string(source().join(name)).unwrap();
        let tree: Value = serde_saphyr::from_str(&text).unwrap();
        unclassified(&schema, &schema, &tree, name, &mut found);
    }
    assert!(found.is_empty(), "without `x-change`: {found:?}");
    // What no example shows.
    let typed = schema["$defs"].as_object().unwrap();
    let lacks: Vec<&String> = ["SshSpec", "TimeoutsSpec", "NetworkingSpec", "FileSpec"]
        .iter()
        .flat_map(|name| typed[*name]["properties"].as_object().unwrap())
        .filter(|(_, field)| !field["x-change"].is_string() && !field["$ref"].is_string())
        .map(|(name, _)| name)
        .collect();
    assert!(lacks.is_empty(), "without `x-change`: {lacks:?}");
}

#[test]
fn the_committed_reference_is_the_current_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/fields.md");
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == inventory::field_reference(),
        "docs/fields.md is out of date; this rewrites it:\n\n    \
         cargo run -- schema fields > docs/fields.md\n"
    );
}

#[test]
fn the_committed_schema_is_the_current_one() {
    let path = source().join("inventory.schema.json");
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let current = serde_json::to_string_pretty(&inventory::schema()).unwrap() + "\n";
    assert!(
        committed == current,
        "inventory/inventory.schema.json is out of date; this rewrites it:\n\n    \
         cargo run -- schema > inventory/inventory.schema.json\n"
    );
}
