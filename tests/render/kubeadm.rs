//! For the same configuration, what we render means what kubeadm wrote, for
//! several minors: equal parsed objects, in the same order, arguments in the
//! same order.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clusterctl::host::{Resource, SeedLink};
use clusterctl::inventory::{CniType, Endpoint, Etcd, ExternalEtcd, Tree};
use clusterctl::kubernetes::{Patches, Token, TokenSecret};
use serde_json::{Value, json};

use super::fixture::{CA, Fixture, text, yaml};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

fn reference(run: &str, file: &str) -> String {
    fs::read_to_string(format!("{FIXTURES}/{run}/{file}")).unwrap()
}

/// Configurations that kubeadm was run with, `kubeadm init --dry-run`, each with
/// the cluster that means the same. The directory holds its config.yaml.
fn runs() -> Vec<(&'static str, Fixture)> {
    vec![
        ("kubeadm-v1.33.13", Fixture::new(33).patch_release(13)),
        ("kubeadm-v1.35.6", Fixture::new(35).patch_release(6)),
        ("kubeadm-v1.36.2", Fixture::new(36)),
        (
            "kubeadm-v1.33.13-rich",
            rich(Fixture::new(33).patch_release(13), "3.5.99-0"),
        ),
        ("kubeadm-v1.36.2-rich", rich(Fixture::new(36), "3.6.99-0")),
        ("kubeadm-v1.36.2-ipv6", ipv6(Fixture::new(36))),
    ]
}

/// What the two `rich` config.yaml say.
fn rich(mut fixture: Fixture, etcd_tag: &str) -> Fixture {
    let patches = format!("{FIXTURES}/kubeadm-v1.36.2-rich/patches");
    fixture.patches = Patches::load(Some(Path::new(&patches))).unwrap();
    let cluster = &mut fixture.cluster;
    cluster.cluster_name = "my cluster: 1".into();
    cluster.bind_port = 7443;
    cluster.control_plane_endpoint = Some(Endpoint {
        host: "k8s.example.com".into(),
        port: 7443,
    });
    cluster.certificates_dir = "/etc/kubernetes/other-pki".into();
    cluster.image_repository = "mirror.example/k8s".into();
    cluster.certificate_validity = Duration::from_secs(1000 * 3600 + 1800);
    cluster.timeouts.control_plane_component_health_check = Duration::from_secs(301);
    cluster
        .feature_gates
        .insert("RootlessControlPlane".into(), false);
    cluster
        .networking
        .pod_subnets
        .push("fd00:10:244::/56".parse().unwrap());
    cluster
        .networking
        .service_subnets
        .push("fd00:10:96::/112".parse().unwrap());
    cluster.networking.dns_domain = "k8s.local".into();
    cluster.dns.image_tag = Some("v9.9.9".into());
    cluster.api_server = from(json!({
        "certSANs": ["api.example.com"],
        "extraArgs": [
            {"name": "v", "value": "4"},
            {"name": "feature-gates", "value": "B=true"},
            {"name": "feature-gates", "value": "A=true"},
            {"name": "authorization-config", "value": "/etc/authz.yaml"},
            {"name": "advertise-address", "value": "192.0.2.12"},
        ],
        "extraEnvs": [{"name": "B", "value": "b"}, {"name": "A", "value": "10"}],
        "extraVolumes": [
            {"name": "audit", "hostPath": "/var/log/audit", "mountPath": "/audit",
             "pathType": "DirectoryOrCreate"},
            {"name": "ca-certs", "hostPath": "/opt/certs", "mountPath": "/certs", "readOnly": true},
        ],
    }));
    cluster.controller_manager = from(json!({"extraArgs": [
        {"name": "bind-address", "value": "0.0.0.0"},
        {"name": "cluster-cidr", "value": "10.0.0.0/8"},
    ]}));
    cluster.scheduler = from(json!({
        "extraArgs": [{"name": "bind-address", "value": "192.0.2.11"}],
        "extraEnvs": [{"name": "Z", "value": "z"}, {"name": "A", "value": "1"}],
    }));
    let kubelet: Tree =
        from(json!({"maxPods": 99, "cgroupDriver": "cgroupfs", "rotateCertificates": false}));
    cluster.kubelet_config = kubelet.clone();
    cluster.kube_proxy_config = from(json!({"mode": "nftables", "conntrack": {"maxPerCore": 0}}));
    let etcd = fixture.etcd();
    etcd.data_dir = "/data/etcd".into();
    etcd.image_tag = Some(etcd_tag.into());
    etcd.extra_args = from(json!([
        {"name": "listen-metrics-urls", "value": "https://192.0.2.11:2999,http://127.0.0.1:2381"},
        {"name": "advertise-client-urls", "value": "https://192.0.2.50:2379"},
    ]));
    etcd.extra_envs = from(json!([{"name": "ETCD_X", "value": "true"}]));
    etcd.peer_cert_sans = vec!["peer.example.com".into()];
    let host = fixture.host("cp1");
    host.node_name = "node1".into();
    host.kubelet_config = kubelet;
    host.kubelet_extra_args = from(json!([
        {"name": "v", "value": "3"},
        {"name": "node-labels", "value": "a=b"},
        {"name": "cert-dir", "value": "/srv/pki"},
    ]));
    fixture
}

/// What config.yaml of `ipv6` says.
fn ipv6(mut fixture: Fixture) -> Fixture {
    let address = "2001:db8::16".parse().unwrap();
    fixture.host("cp1").address = "2001:db8::16".into();
    fixture.facts("cp1").default_ip = Some(address);
    fixture.facts("cp1").addresses[0].address = address;
    let cluster = &mut fixture.cluster;
    cluster.networking.cni = CniType::None;
    cluster.networking.pod_subnets = vec!["fd00:10:244::/56".parse().unwrap()];
    cluster.networking.service_subnets = vec!["fd00:10:96::/112".parse().unwrap()];
    cluster.proxy_disabled = true;
    cluster.etcd = Etcd::External(ExternalEtcd {
        endpoints: ["https://[2001:db8::31]:2379", "https://[2001:db8::32]:2379"]
            .map(str::to_owned)
            .into(),
        http_endpoints: Vec::new(),
        ca_file: Some("/home/me/ca.crt".into()),
        cert_file: Some("/home/me/client.crt".into()),
        key_file: Some("/home/me/client.key".into()),
    });
    fixture
}

fn from<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// Gives the fixture the token that the run made, so that its Secret compares.
fn with_token(mut fixture: Fixture, objects: &[Value]) -> Fixture {
    let secret = objects
        .iter()
        .find(|object| object["kind"] == "Secret")
        .unwrap();
    let data = |key: &str| {
        let encoded = secret["data"][key].as_str().unwrap();
        String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap()
    };
    let token: Token = format!("{}.{}", data("token-id"), data("token-secret"))
        .parse()
        .unwrap();
    let expiration = data("expiration").parse().unwrap();
    let mut secret = TokenSecret::for_join(token, expiration, "");
    secret.description = None;
    fixture.tokens.push(secret);
    fixture
}

/// `[dryrun] Would write file "path" with content:` blocks.
fn dry_run_files(run: &str) -> Vec<(String, String)> {
    let text = reference(run, "dry-run.txt");
    let blocks = text.split("[dryrun] Would write file \"").skip(1);
    blocks
        .map(|block| {
            let (path, rest) = block.split_once('"').unwrap();
            let content = rest.split_once("with content:\n").unwrap().1;
            let end = content.find("\n[").map_or(content.len(), |end| end + 1);
            (path.to_owned(), content[..end].to_owned())
        })
        .collect()
}

/// `Would perform action CREATE` blocks with their objects, in order.
fn dry_run_objects(run: &str) -> Vec<Value> {
    let text = reference(run, "dry-run.txt");
    let blocks = text.split("[dryrun] Would perform action CREATE ").skip(1);
    blocks
        .map(|block| {
            let object = block.split_once("[dryrun] Attached object:\n").unwrap().1;
            yaml(&object[..object.find("\n[").unwrap_or(object.len())])
        })
        .collect()
}

/// Where two trees differ, order included.
fn differences(place: &str, mine: &Value, theirs: &Value) -> Vec<String> {
    match (mine, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<_> = a.keys().chain(b.keys()).collect();
            keys.into_iter()
                .flat_map(|key| {
                    let of = |object: &serde_json::Map<_, _>| object.get(key).cloned();
                    match (of(a), of(b)) {
                        (Some(a), Some(b)) => differences(&format!("{place}/{key}"), &a, &b),
                        (a, b) => vec![format!("{place}/{key}: {a:?} for {b:?}")],
                    }
                })
                .collect()
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .flat_map(|(index, (a, b))| differences(&format!("{place}/{index}"), a, b))
            .collect(),
        (a, b) if a == b => Vec::new(),
        (a, b) => vec![format!("{place}: {a} for {b}")],
    }
}

/// Minors before 1.34 write `creationTimestamp: null`, which says nothing.
fn without_creation_timestamps(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|key, value| key != "creationTimestamp" || !value.is_null());
            object.values_mut().for_each(without_creation_timestamps);
        }
        Value::Array(items) => items.iter_mut().for_each(without_creation_timestamps),
        _ => {}
    }
}

/// Takes away the differences that don't matter, each for a reason.
fn normalize(mut object: Value) -> Value {
    without_creation_timestamps(&mut object);
    // Empty structs of Go that say nothing.
    if let Some(object) = object.as_object_mut() {
        object.remove("status");
    }
    if object["kind"] == "DaemonSet" {
        // By which pods follow their configuration.
        let pod = object["spec"]["template"]["metadata"]
            .as_object_mut()
            .unwrap();
        pod.remove("annotations");
        let container = &mut object["spec"]["template"]["spec"]["containers"][0];
        let resources = container.as_object_mut().unwrap().remove("resources");
        assert!(resources.is_none_or(|resources| resources == json!({})));
    }
    // kubeadm updates the Service with a PUT, which needs one; we apply it.
    if object["kind"] == "Service" {
        object["metadata"]
            .as_object_mut()
            .unwrap()
            .remove("resourceVersion");
    }
    // The CA is another one for each cluster.
    if object["metadata"]["name"] == "cluster-info" {
        let mut config = yaml(object["data"]["kubeconfig"].as_str().unwrap());
        config["clusters"][0]["cluster"]["certificate-authority-data"] = STANDARD.encode(CA).into();
        // Minors before 1.34 have an empty struct here.
        let preferences = config.as_object_mut().unwrap().remove("preferences");
        assert!(preferences.is_none_or(|preferences| preferences == json!({})));
        object["data"]["kubeconfig"] = config;
    }
    // Documents in ConfigMaps count by what they mean, not by their quoting.
    // So their hash differs; that it is right has its own test.
    if object["kind"] == "ConfigMap" {
        for (key, value) in object["data"].as_object_mut().unwrap() {
            if let (false, Some(text)) = (key == "Corefile", value.as_str()) {
                *value = yaml(text);
            }
        }
        if object["metadata"]["name"] == "coredns" {
            // By which an edit of the Corefile is noticed.
            object["metadata"]
                .as_object_mut()
                .unwrap()
                .remove("annotations");
        }
        if let Some(Value::Object(annotations)) = object["metadata"].get_mut("annotations") {
            let hash = annotations
                .get_mut("kubeadm.kubernetes.io/component-config.hash")
                .unwrap();
            assert!(hash.as_str().unwrap().starts_with("sha256:"));
            *hash = "sha256:…".into();
        }
    }
    object
}

#[test]
fn files_mean_what_kubeadm_wrote() {
    let mut found = Vec::new();
    for (run, fixture) in runs() {
        let files = dry_run_files(run);
        let pods = if run.ends_with("ipv6") { 3 } else { 4 };
        assert!(
            files.len() >= pods + 2,
            "static pods, the kubelet's configuration and flags"
        );
        for (path, theirs) in files {
            let mine = fixture.text("cp1", &path);
            if path.ends_with(".yaml") {
                let mut theirs = yaml(&theirs);
                without_creation_timestamps(&mut theirs);
                found.extend(differences(&format!("{run}:{path}"), &yaml(&mine), &theirs));
            } else {
                // A flag that does nothing since runtimes pin the image, and
                // that keeps kubelet v1.35 from starting.
                let theirs = theirs.replace(
                    " --pod-infra-container-image=registry.k8s.io/pause:3.10",
                    "",
                );
                let theirs = theirs.replace(
                    " --pod-infra-container-image=mirror.example/k8s/pause:3.10",
                    "",
                );
                assert_eq!(mine, theirs, "{run} {path}");
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn manifests_mean_what_kubeadm_wrote() {
    let fixture = Fixture::new(36);
    for component in [
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
    ] {
        let theirs = reference("kubeadm-v1.36.2", &format!("manifests/{component}.yaml"));
        assert_eq!(
            yaml(&fixture.manifest(component)),
            yaml(&theirs),
            "{component}"
        );
    }
}

#[test]
fn objects_mean_what_kubeadm_created_in_its_order() {
    let mut found = Vec::new();
    for (run, fixture) in runs() {
        let theirs = dry_run_objects(run);
        let fixture = with_token(fixture, &theirs);
        let theirs: Vec<Value> = theirs.into_iter().map(normalize).collect();
        let mine = fixture.objects().unwrap().into_iter();
        let mine: Vec<Value> = mine.map(|(_, object)| normalize(object)).collect();
        for (mine, theirs) in mine.iter().zip(&theirs) {
            let place = format!("{run}:{}/{}", theirs["kind"], theirs["metadata"]["name"]);
            found.extend(differences(&place, mine, theirs));
        }
        assert_eq!(mine.len(), theirs.len());
        assert_eq!(theirs.len(), if run.ends_with("ipv6") { 22 } else { 28 });
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn addons_mean_what_kubeadm_prints() {
    let objects = Fixture::new(36).objects().unwrap();
    let mut compared = 0;
    for file in ["addon-coredns.yaml", "addon-kube-proxy.yaml"] {
        let theirs: Vec<Value> =
            serde_saphyr::from_multiple(&reference("kubeadm-v1.36.2", file)).unwrap();
        for mut theirs in theirs.into_iter().filter(|object| !object.is_null()) {
            let mut mine = objects
                .iter()
                .map(|(_, object)| object)
                .find(|object| {
                    object["kind"] == theirs["kind"]
                        && object["metadata"]["name"] == theirs["metadata"]["name"]
                })
                .unwrap()
                .clone();
            // Printed manifests are not signed, and spell out a default.
            mine["metadata"]
                .as_object_mut()
                .unwrap()
                .remove("annotations");
            theirs["metadata"]
                .as_object_mut()
                .unwrap()
                .remove("annotations");
            if theirs["kind"] == "DaemonSet" {
                let container = &mut theirs["spec"]["template"]["spec"]["containers"][0];
                container["volumeMounts"][1]
                    .as_object_mut()
                    .unwrap()
                    .remove("readOnly");
            }
            assert_eq!(normalize(mine), normalize(theirs));
            compared += 1;
        }
    }
    assert_eq!(compared, 12);
}

#[test]
fn kubeconfigs_have_kubeadms_shape() {
    let fixture = Fixture::new(36);
    let listing = reference("kubeadm-v1.36.2", "pki-and-kubeconfigs.txt");
    let mut compared = 0;
    for block in listing
        .split("== ")
        .filter(|block| block.contains("kind: Config"))
    {
        let (header, rest) = block.split_once('\n').unwrap();
        let (name, mode) = header.split_once(' ').unwrap();
        let mut theirs = yaml(rest.split("subject=").next().unwrap());
        // X stands for the data, which differs for each cluster.
        theirs["clusters"][0]["cluster"]["certificate-authority-data"] = STANDARD.encode(CA).into();
        theirs["users"][0]["user"] = match name {
            // As kubeadm's kubelet-finalize leaves it.
            "kubelet.conf" => json!({
                "client-certificate": "/var/lib/kubelet/pki/kubelet-client-current.pem",
                "client-key": "/var/lib/kubelet/pki/kubelet-client-current.pem",
            }),
            _ => json!({
                "client-certificate-data": STANDARD.encode("CERT\n"),
                "client-key-data": STANDARD.encode("KEY\n"),
            }),
        };
        let file = fixture.file("cp1", &format!("/etc/kubernetes/{name}"));
        assert_eq!(yaml(&text(&file)), theirs, "{name}");
        assert_eq!(format!("{:o}", file.mode), mode, "{name}");
        compared += 1;
    }
    assert_eq!(compared, 5);
}

#[test]
fn the_kubelets_first_identity_is_where_it_looks() {
    let mut fixture = Fixture::new(36);
    let path = "/var/lib/kubelet/pki/kubelet-client-bootstrap.pem";
    let file = fixture.file("cp1", path);
    assert_eq!(text(&file), "CERT\nKEY\n");
    assert!(file.seed && file.secret && file.mode == 0o600);
    let link = |fixture: &Fixture| {
        let mut resources = fixture.resources("cp1").unwrap().into_iter();
        let link = resources.find_map(|(_, resource)| match resource {
            Resource::SeedLink(link) => Some(link),
            _ => None,
        });
        link.unwrap()
    };
    let SeedLink {
        path: current,
        target,
        replace,
    } = link(&fixture);
    assert_eq!(current, "/var/lib/kubelet/pki/kubelet-client-current.pem");
    assert_eq!((target.as_str(), replace), (path, false));
    // What the kubelet has made of it since has ended: it begins with ours again.
    fixture.facts("cp1").kubelet_certificate_end = Some("2026-01-01T00:00:00Z".parse().unwrap());
    assert!(link(&fixture).replace);
    let file = fixture.file("cp1", path);
    assert!(!file.seed && file.notify == ["kubelet.service"], "{file:?}");
}

#[test]
fn hashes_cover_the_documents() {
    use sha2::{Digest, Sha256};
    for (name, keys) in [
        ("kubelet-config", vec!["kubelet"]),
        ("kube-proxy", vec!["config.conf", "kubeconfig.conf"]),
    ] {
        let object = Fixture::new(36).object("ConfigMap", name);
        let mut hash = Sha256::new();
        for key in keys {
            hash.update(object["data"][key].as_str().unwrap());
        }
        let expected: String = hash
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            object["metadata"]["annotations"]["kubeadm.kubernetes.io/component-config.hash"],
            format!("sha256:{expected}")
        );
    }
}
