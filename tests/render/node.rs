//! The kubelet and containerd on one host.

use clusterctl::inventory::spec::{Taint, TaintEffect};
use clusterctl::kubernetes::ResourceGroup;
use serde_json::{Value, json};

use super::fixture::{Fixture, args, tree, yaml};

#[test]
fn kubelet_fields_are_merged_per_host_and_cluster() {
    let mut fixture = Fixture::new(36);
    fixture.cluster.kubelet_config = tree(json!({"maxPods": 200, "rotateCertificates": false}));
    fixture.host("worker1").kubelet_config = tree(
        json!({"maxPods": 50, "authentication": {"anonymous": {"enabled": true}}, "memorySwap": null}),
    );
    fixture.facts("worker1").systemd_resolved = true;
    let worker = yaml(&fixture.text("worker1", "/var/lib/kubelet/config.yaml"));
    assert_eq!(worker["maxPods"], 50);
    assert_eq!(worker["authentication"]["anonymous"]["enabled"], true);
    assert_eq!(worker["authentication"]["webhook"]["enabled"], true);
    assert_eq!(worker["resolvConf"], "/run/systemd/resolve/resolv.conf");
    assert_eq!(worker["rotateCertificates"], true);
    assert_eq!(worker.get("memorySwap"), None);
    let shared = fixture.object("ConfigMap", "kubelet-config");
    assert_eq!(
        shared["metadata"].get("annotations"),
        None,
        "it is the operator's, not generated"
    );
    let shared = yaml(shared["data"]["kubelet"].as_str().unwrap());
    assert_eq!(shared["maxPods"], 200);
    assert_eq!(shared["containerRuntimeEndpoint"], "");
    assert_eq!(shared["rotateCertificates"], true);
    assert_eq!(shared.get("resolvConf"), None);
}

#[test]
fn an_own_resolv_conf_stays() {
    let mut fixture = Fixture::new(36);
    fixture.facts("cp1").systemd_resolved = true;
    fixture.host("cp1").kubelet_config = tree(json!({"resolvConf": "/etc/pods.conf"}));
    let config = yaml(&fixture.text("cp1", "/var/lib/kubelet/config.yaml"));
    assert_eq!(config["resolvConf"], "/etc/pods.conf");
}

#[test]
fn kubelet_flags() {
    let flags = |minor, change: &dyn Fn(&mut Fixture)| {
        let mut fixture = Fixture::new(minor);
        change(&mut fixture);
        fixture.text("worker1", "/var/lib/kubelet/kubeadm-flags.env")
    };
    assert_eq!(flags(36, &|_| ()), "KUBELET_KUBEADM_ARGS=\"\"\n");
    assert_eq!(
        flags(33, &|_| ()),
        "KUBELET_KUBEADM_ARGS=\"--container-runtime-endpoint=unix:///run/containerd/containerd.sock\"\n"
    );
    assert_eq!(
        flags(34, &|fixture| {
            fixture
                .cluster
                .feature_gates
                .insert("NodeLocalCRISocket".into(), false);
        }),
        "KUBELET_KUBEADM_ARGS=\"--container-runtime-endpoint=unix:///run/containerd/containerd.sock\"\n"
    );
    assert_eq!(
        flags(36, &|fixture| {
            let taint = |value: Option<&str>, effect| Taint {
                key: "gpu".into(),
                value: value.map(str::to_owned),
                effect,
            };
            let host = fixture.host("worker1");
            host.node_name = "w1.example".into();
            host.taints = vec![
                taint(Some("yes"), TaintEffect::NoExecute),
                taint(None, TaintEffect::PreferNoSchedule),
            ];
            host.kubelet_extra_args = args(["v=3", "node-labels=a=\"b\""]);
        }),
        "KUBELET_KUBEADM_ARGS=\"--hostname-override=w1.example \
         --register-with-taints=gpu=yes:NoExecute,gpu:PreferNoSchedule --v=3 \
         --node-labels=a=\\\"b\\\"\"\n"
    );
    // Two networks: the node is where the operator says, not where the default
    // route leads.
    assert_eq!(
        flags(36, &|fixture| {
            fixture.facts("worker1").default_ip = Some("10.0.2.15".parse().unwrap());
        }),
        "KUBELET_KUBEADM_ARGS=\"--node-ip=192.0.2.21\"\n"
    );
}

#[test]
fn control_planes_are_not_tainted_by_flag() {
    let flags = Fixture::new(36).text("cp1", "/var/lib/kubelet/kubeadm-flags.env");
    assert_eq!(flags, "KUBELET_KUBEADM_ARGS=\"\"\n");
}

#[test]
fn the_environment_file_is_where_the_distribution_has_it() {
    let mut fixture = Fixture::new(36);
    let path = "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf";
    assert!(
        fixture
            .text("cp1", path)
            .contains("EnvironmentFile=-/etc/default/kubelet\n")
    );
    fixture.facts("cp1").package_manager = "dnf".into();
    assert!(
        fixture
            .text("cp1", path)
            .contains("EnvironmentFile=-/etc/sysconfig/kubelet\n")
    );
}

#[test]
fn containerd_is_configured_in_its_own_words() {
    let text = |version: Option<&str>, theirs: Value| {
        let mut fixture = Fixture::new(36);
        fixture.facts("cp1").containerd_version = version.map(str::to_owned);
        fixture.cluster.containerd.config = tree(theirs);
        fixture.text("cp1", "/etc/containerd/config.toml")
    };
    let theirs = json!({
        "root": "/data/containerd",
        "plugins": {
            "io.containerd.cri.v1.images": {
                "snapshotter": "native",
                "max_concurrent_downloads": 9,
                "registry": {"config_path": "/etc/containerd/certs.d"},
            },
            "io.containerd.cri.v1.runtime": {
                "restrict_oom_score_adj": true,
                "containerd": {"runtimes": {
                    "runc": {"options": {"SystemdCgroup": false}},
                    "kata": {"runtime_type": "io.containerd.kata.v2", "sandboxer": "podsandbox"},
                }},
            },
            "io.containerd.grpc.v1.cri": {"stream_idle_timeout": "1h"},
            "io.containerd.gc.v1.scheduler": {"schedule_delay": "1s"},
        },
    });
    insta::assert_snapshot!("containerd_2_0", text(Some("2.0.5"), json!({})));
    insta::assert_snapshot!("containerd_2_1_merged", text(Some("2.1.9"), theirs.clone()));
    insta::assert_snapshot!("containerd_1_7", text(Some("1.7.27~ds1"), json!({})));
    insta::assert_snapshot!("containerd_1_6_merged", text(Some("1.6.20"), theirs));
    assert_eq!(
        text(None, json!({})),
        text(Some("1.7.0"), json!({})),
        "every containerd reads version 2"
    );
    // 2.1 refuses both, 2.0 knows one.
    let dirs = json!({"plugins": {"io.containerd.cri.v1.runtime": {"cni": {"bin_dir": null, "bin_dirs": ["/a", "/b"]}}}});
    assert!(text(Some("2.2.0"), dirs.clone()).contains("bin_dirs = [\"/a\", \"/b\"]"));
    assert!(!text(Some("2.2.0"), dirs.clone()).contains("bin_dir ="));
    assert!(text(Some("2.0.0"), dirs.clone()).contains("bin_dir = \"/a\""));
    assert!(text(Some("1.7.0"), dirs).contains("bin_dir = \"/a\""));
}

#[test]
fn cgroup_drivers_agree() {
    let mut fixture = Fixture::new(36);
    fixture.host("cp1").kubelet_config = tree(json!({"cgroupDriver": "cgroupfs"}));
    assert!(
        fixture
            .text("cp1", "/etc/containerd/config.toml")
            .contains("SystemdCgroup = false")
    );
    assert!(
        fixture
            .text("worker1", "/etc/containerd/config.toml")
            .contains("SystemdCgroup = true")
    );
}

#[test]
fn an_unmanaged_containerd_is_left_alone() {
    let mut fixture = Fixture::new(36);
    fixture.cluster.containerd.managed = false;
    let resources = fixture.resources("cp1").unwrap();
    assert!(
        resources
            .iter()
            .all(|(group, _)| *group != ResourceGroup::ContainerRuntime)
    );
}

#[test]
fn a_moved_certificate_directory_of_the_kubelet_is_obeyed() {
    let mut fixture = Fixture::new(36);
    fixture.host("cp1").kubelet_extra_args = args(["cert-dir=/srv/pki"]);
    let config = yaml(&fixture.text("cp1", "/etc/kubernetes/kubelet.conf"));
    assert_eq!(
        config["users"][0]["user"]["client-key"],
        "/srv/pki/kubelet-client-current.pem"
    );
    assert!(
        fixture
            .file("cp1", "/srv/pki/kubelet-client-bootstrap.pem")
            .seed
    );
}
