//! Components that must not even start.

use std::process::{Command, Output};

use rcgen::ExtendedKeyUsagePurpose as Eku;
use serde_json::{Value, json};

use crate::support::{Cluster, ca, host, kubelet_command, kubelet_config, standin, write};

fn fails(command: &mut Command) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    let text = String::from_utf8_lossy(&stderr).into_owned();
    assert!(!status.success(), "it ran: {text}");
    text
}

/// A component, a flag that replaces the good one, and what is said; PKI is a directory.
const REFUSALS: &str = "
kube-apiserver --no-such-flag=1: Error: unknown flag: --no-such-flag
kube-apiserver --client-ca-file=/nowhere: no such file or directory
kube-apiserver --authorization-mode=Nod,RBAC: not a valid mode
kube-apiserver --enable-admission-plugins=NodeRestrictions: is unknown
kube-apiserver --service-cluster-ip-range=10.0.0.0/8: too large
kube-apiserver --tls-private-key-file=PKI/front-proxy-client.key: private key does not match public key
kube-apiserver --service-account-signing-key-file=PKI/ca.crt: service-account-issuer-key-file
etcd --experimental-nonsense=1: flag provided but not defined: -experimental-nonsense
etcd --name=cp2: couldn't find local name
etcd --feature-gates=Nonsense=true: unrecognized feature gate
kube-controller-manager --cluster-signing-key-file=PKI/sa.key: private key does not match
kube-controller-manager --controllers=*,bootstrapsinger: is not in the list of known controllers
kube-controller-manager --kubeconfig=/nowhere: no such file or directory
kube-controller-manager --cluster-cidr=10.244.0.0: invalid CIDR address
";

#[test]
fn components_refuse_wrong_flags_and_files() {
    let cluster = Cluster::new();
    for line in REFUSALS.trim().lines() {
        let (call, what) = line.split_once(": ").unwrap();
        let (component, flag) = call.split_once(' ').unwrap();
        let (name, _) = flag.split_once('=').unwrap();
        let mut args = match component {
            "etcd" => cluster.etcd_args(),
            "kube-apiserver" => cluster.api_args(),
            _ => cluster.kcm_args(),
        };
        args.retain(|a| !a.starts_with(&format!("{name}=")));
        args.push(flag.replace("PKI", &cluster.cp.path("pki")));
        let text = fails(standin(&[component]).args(args));
        assert!(text.contains(what), "{call}: {text:?} lacks {what:?}");
    }
}

#[test]
fn the_kubelet_refuses_what_it_cannot_live_with() {
    let cluster = Cluster::new();
    write(cluster.cp.path("pki/ca.crt"), &cluster.ca.pem);
    let conf = format!("--kubeconfig={}", cluster.cp.path("kubelet.conf"));
    let good = kubelet_config(&cluster.cp);
    let refused = |pointer: &str, value: Value, args: &[&str], what: &str| {
        let mut config = good.clone();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        config.pointer_mut(parent).unwrap()[field] = value;
        let text = fails(&mut kubelet_command(&cluster.cp, &config, args));
        assert!(text.contains(what), "{text:?} lacks {what:?}");
    };
    for (args, what) in [
        (
            [conf.as_str(), "--pod-infra-container-image=pause"],
            "failed to parse kubelet flag: unknown flag: --pod-infra-container-image",
        ),
        (
            [&conf, "--node-labels=node-role.kubernetes.io/worker="],
            "unknown 'kubernetes.io' or 'k8s.io' labels",
        ),
        (["-v2", "--kubeconfig=/nowhere"], "invalid kubeconfig"),
    ] {
        refused("/kind", good["kind"].clone(), &args, what);
    }
    write(
        cluster.cp.path("proc/swaps"),
        "Filename Type\n/dev/sda2 partition\n",
    );
    for (pointer, value, what) in [
        ("/maxpods", json!(1), "unknown field \"maxpods\""),
        ("/maxPods", json!("1"), "cannot unmarshal string"),
        ("/cgroupDriver", json!("system"), "cgroupDriver"),
        (
            "/topologyManagerPolicy",
            json!("nonsense"),
            "topologyManagerPolicy",
        ),
        (
            "/containerRuntimeEndpoint",
            json!(""),
            "container runtime endpoint",
        ),
        (
            "/containerRuntimeEndpoint",
            json!("unix:///nowhere.sock"),
            "code = Unavailable",
        ),
        (
            "/authentication/x509/clientCAFile",
            json!("/nowhere"),
            "unable to load client CA file",
        ),
        (
            "/failSwapOn",
            json!(true),
            "running with swap on is not supported",
        ),
    ] {
        refused(pointer, value, &[&conf], what);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_without_its_etcd_is_not_ready() {
    let cluster = Cluster::new();
    // A certificate of the wrong CA: etcd hangs up, and the server never gets ready.
    let (cert, key) = ca("etcd-ca").leaf("kube-apiserver-etcd-client", "", &[], &[Eku::ClientAuth]);
    write(cluster.cp.path("wrong.crt"), &cert);
    write(cluster.cp.path("wrong.key"), &key);
    let etcd = standin(&["etcd"])
        .args(cluster.etcd_args())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let _etcd = crate::support::Running(etcd);
    let mut args = cluster.api_args();
    args.retain(|a| !a.starts_with("--etcd-certfile") && !a.starts_with("--etcd-keyfile"));
    args.push(format!("--etcd-certfile={}", cluster.cp.path("wrong.crt")));
    args.push(format!("--etcd-keyfile={}", cluster.cp.path("wrong.key")));
    let api = standin(&["kube-apiserver"])
        .args(args)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let _api = crate::support::Running(api);
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let client = cluster.client("super-admin.conf");
    assert!(client.get("/readyz").await.is_err());
}

#[test]
fn a_manifest_that_is_wrong_starts_nothing() {
    let root = tempfile::tempdir().unwrap();
    let host = host(root.path(), "n1");
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "etcd"}, "spec": {"containers": [{"name": "etcd", "image": "registry.k8s.io/etcd:3.6.8-0", "comand": ["etcd"]}]}});
    write(host.path("manifests/etcd.yaml"), &pod.to_string());
    write(
        host.path("manifests/other.yaml"),
        &pod.to_string()
            .replace("comand", "command")
            .replace("3.6.8-0", "9"),
    );
    let log = std::fs::File::create(host.path("log")).unwrap();
    let mut config = kubelet_config(&host);
    config["authentication"] = json!({});
    let running = crate::support::Running(
        kubelet_command(&host, &config, &[])
            .stderr(log)
            .spawn()
            .unwrap(),
    );
    std::thread::sleep(std::time::Duration::from_secs(1));
    drop(running);
    let log = std::fs::read_to_string(host.path("log")).unwrap();
    assert!(
        log.contains("unknown field \"spec.containers[0].comand\""),
        "{log}"
    );
    assert!(log.contains("ErrImagePull"), "{log}");
}
