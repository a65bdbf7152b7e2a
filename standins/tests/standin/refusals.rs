//! Components that must not even start.

use std::process::{Command, Output};

use rcgen::ExtendedKeyUsagePurpose as Eku;
use serde_json::json;

use crate::support::{Cluster, ca, host, kubelet_command, kubelet_config, standin, write};

fn fails(command: &mut Command) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    let text = String::from_utf8_lossy(&stderr).into_owned();
    assert!(!status.success(), "it ran: {text}");
    text
}

fn with(component: &str, mut args: Vec<String>, flag: &str, value: &str) -> Command {
    args.retain(|a| !a.starts_with(&format!("{flag}=")));
    args.push(format!("{flag}={value}"));
    let mut command = standin(&[component]);
    command.args(args);
    command
}

#[test]
fn components_refuse_wrong_flags_and_files() {
    let cluster = Cluster::new();
    let api = |flag: &str, value: &str| {
        fails(&mut with("kube-apiserver", cluster.api_args(), flag, value))
    };
    let says = |text: String, what: &str| assert!(text.contains(what), "{text:?} lacks {what:?}");

    says(
        api("--no-such-flag", "1"),
        "Error: unknown flag: --no-such-flag",
    );
    says(
        api("--client-ca-file", "/nowhere"),
        "no such file or directory",
    );
    says(api("--authorization-mode", "Nod,RBAC"), "not a valid mode");
    says(
        api("--enable-admission-plugins", "NodeRestrictions"),
        "is unknown",
    );
    says(api("--service-cluster-ip-range", "10.0.0.0/8"), "too large");
    let other = cluster.cp.path("pki/front-proxy-client.key");
    says(
        api("--tls-private-key-file", &other),
        "private key does not match public key",
    );
    says(
        api(
            "--service-account-signing-key-file",
            &cluster.cp.path("pki/ca.crt"),
        ),
        "service-account-issuer-key-file",
    );

    let mut args = cluster.etcd_args();
    args.push("--experimental-nonsense".into());
    let mut etcd = standin(&["etcd"]);
    etcd.args(&args);
    says(
        fails(&mut etcd),
        "flag provided but not defined: -experimental-nonsense",
    );
    let wrong = with("etcd", cluster.etcd_args(), "--name", "cp2");
    says(fails(&mut { wrong }), "couldn't find local name");
    says(
        fails(&mut with(
            "etcd",
            cluster.etcd_args(),
            "--feature-gates",
            "Nonsense=true",
        )),
        "unrecognized feature gate",
    );

    let kcm = |flag: &str, value: &str| {
        fails(&mut with(
            "kube-controller-manager",
            cluster.kcm_args(),
            flag,
            value,
        ))
    };
    says(
        kcm("--cluster-signing-key-file", &cluster.cp.path("pki/sa.key")),
        "private key does not match",
    );
    says(
        kcm("--controllers", "*,bootstrapsinger"),
        "is not in the list of known controllers",
    );
    says(kcm("--kubeconfig", "/nowhere"), "no such file or directory");
    says(kcm("--cluster-cidr", "10.244.0.0"), "invalid CIDR address");
}

#[test]
fn the_kubelet_refuses_what_it_cannot_live_with() {
    let cluster = Cluster::new();
    write(cluster.cp.path("pki/ca.crt"), &cluster.ca.pem);
    let conf = format!("--kubeconfig={}", cluster.cp.path("kubelet.conf"));
    let good = kubelet_config(&cluster.cp);
    let refused = |change: &dyn Fn(&mut serde_json::Value), extra: &[&str], what: &str| {
        let mut config = good.clone();
        change(&mut config);
        let text = fails(&mut kubelet_command(&cluster.cp, &config, extra));
        assert!(text.contains(what), "{text:?} lacks {what:?}");
    };
    refused(
        &|_| {},
        &[&conf, "--pod-infra-container-image=pause"],
        "failed to parse kubelet flag: unknown flag: --pod-infra-container-image",
    );
    refused(
        &|_| {},
        &[&conf, "--node-labels=node-role.kubernetes.io/worker="],
        "unknown 'kubernetes.io' or 'k8s.io' labels",
    );
    refused(&|_| {}, &["--kubeconfig=/nowhere"], "invalid kubeconfig");
    refused(
        &|c| c["maxpods"] = 1.into(),
        &[&conf],
        "unknown field \"maxpods\"",
    );
    refused(
        &|c| c["maxPods"] = "1".into(),
        &[&conf],
        "cannot unmarshal string",
    );
    refused(
        &|c| c["cgroupDriver"] = "system".into(),
        &[&conf],
        "cgroupDriver",
    );
    refused(
        &|c| c["containerRuntimeEndpoint"] = "".into(),
        &[&conf],
        "container runtime endpoint",
    );
    refused(
        &|c| c["containerRuntimeEndpoint"] = "unix:///nowhere.sock".into(),
        &[&conf],
        "code = Unavailable",
    );
    refused(
        &|c| c["authentication"]["x509"]["clientCAFile"] = "/nowhere".into(),
        &[&conf],
        "unable to load client CA file",
    );
    write(
        cluster.cp.path("proc/swaps"),
        "Filename Type\n/dev/sda2 partition\n",
    );
    refused(
        &|c| c["failSwapOn"] = true.into(),
        &[&conf],
        "running with swap on is not supported",
    );
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
