//! What an inventory must not change while its cluster runs: it is refused before anything
//! is changed, whatever a run leaves out.

use clusterctl::Error;
use clusterctl::plan::draft::Draft;

use super::recorded::Cluster;

/// The error of an `apply` that is refused, as it is shown. Nothing was changed.
#[track_caller]
fn shown(result: Result<Vec<(String, String)>, Error>, cluster: &Cluster) -> String {
    let error = result.expect_err("a refusal");
    let text = error.render(false);
    let text = text.replace(&format!("{}/", cluster.directory()), "");
    assert_eq!(error.exit_status() as u8, 2, "{text}");
    assert_eq!(cluster.lines(), [""; 0], "{text}");
    text
}

/// An edit below `spec`, its field and what runs.
const EDITS: [(&str, &str, &str); 26] = [
    (
        "etcd: {local: {dataDir: /srv/etcd}}",
        "`spec.etcd.local.dataDir`",
        "/var/lib/etcd",
    ),
    (
        "networking: {podSubnet: 10.32.0.0/16}",
        "`spec.networking.podSubnet`",
        "10.244.0.0/16",
    ),
    (
        "networking: {podSubnet: 10.244.0.0/17}",
        "`spec.networking.podSubnet`",
        "10.244.0.0/16",
    ),
    (
        "networking: {serviceSubnet: 10.97.0.0/16}",
        "`spec.networking.serviceSubnet`",
        "10.96.0.0/12",
    ),
    (
        "networking: {dnsDomain: example.org}",
        "`spec.networking.dnsDomain`",
        "cluster.local",
    ),
    (
        "networking: {cni: {type: manifest, path: cni.yaml}}",
        "`spec.networking.cni.type`",
        "bridge",
    ),
    (
        "certificatesDir: /etc/pki/k8s",
        "`spec.certificatesDir`",
        "/etc/kubernetes/pki",
    ),
    ("clusterName: other", "`spec.clusterName`", "demo"),
    (
        "localAPIEndpoint: {bindPort: 7443}",
        "`spec.localAPIEndpoint.bindPort`",
        "6443",
    ),
    (
        "etcd: {external: {endpoints: ['https://192.0.2.99:2379']}}",
        "`spec.etcd.external`",
        "local",
    ),
    (
        "nodeRegistration: {criSocket: 'unix:///run/crio/crio.sock'}",
        "`spec.nodeRegistration.criSocket`",
        "unix:///var/run/containerd/containerd.sock",
    ),
    (
        "kubelet: {config: {cgroupDriver: cgroupfs}}",
        "`spec.kubelet.config.cgroupDriver`",
        "systemd",
    ),
    (
        "kubelet: {config: {clusterDomain: example.org}}",
        "`spec.kubelet.config.clusterDomain`",
        "cluster.local",
    ),
    (
        "kubelet: {config: {staticPodPath: /srv/pods}}",
        "`spec.kubelet.config.staticPodPath`",
        "/etc/kubernetes/manifests",
    ),
    (
        "apiServer: {extraArgs: [{name: service-cluster-ip-range, value: 10.97.0.0/16}]}",
        "`service-cluster-ip-range` in `spec.apiServer.extraArgs`",
        "10.96.0.0/12",
    ),
    (
        "apiServer: {extraArgs: [{name: etcd-prefix, value: /k8s}]}",
        "`etcd-prefix` in `spec.apiServer.extraArgs`",
        "/registry",
    ),
    (
        "apiServer: {extraArgs: [{name: service-account-issuer, value: 'https://example.org'}]}",
        "`service-account-issuer` in `spec.apiServer.extraArgs`",
        "https://kubernetes.default.svc.cluster.local",
    ),
    (
        "controllerManager: {extraArgs: [{name: cluster-cidr, value: 10.32.0.0/16}]}",
        "`cluster-cidr` in `spec.controllerManager.extraArgs`",
        "10.244.0.0/16",
    ),
    (
        "controllerManager: {extraArgs: [{name: node-cidr-mask-size, value: '25'}]}",
        "`node-cidr-mask-size` in `spec.controllerManager.extraArgs`",
        "24",
    ),
    (
        "etcd: {local: {extraArgs: [{name: data-dir, value: /srv/etcd}]}}",
        "`data-dir` in `spec.etcd.local.extraArgs`",
        "/var/lib/etcd",
    ),
    (
        "etcd: {local: {extraArgs: [{name: wal-dir, value: /srv/wal}]}}",
        "`wal-dir` in `spec.etcd.local.extraArgs`",
        "remove it",
    ),
    (
        "etcd: {local: {extraArgs: [{name: force-new-cluster, value: 'true'}]}}",
        "`force-new-cluster` in `spec.etcd.local.extraArgs`",
        "remove it",
    ),
    (
        "etcd: {local: {extraArgs: [{name: initial-cluster-token, value: x}]}}",
        "`initial-cluster-token` in `spec.etcd.local.extraArgs`",
        "etcd-cluster",
    ),
    (
        "etcd: {local: {imageTag: 3.5.24-0}}",
        "`spec.etcd.local.imageTag`",
        "3.6.",
    ),
    (
        "nodeRegistration: {kubeletExtraArgs: [{name: root-dir, value: /srv/kubelet}]}",
        "`root-dir` in `spec.nodeRegistration.kubeletExtraArgs`",
        "/var/lib/kubelet",
    ),
    (
        "runtime: {containerd: {config: {root: /srv/containerd}}}",
        "`spec.runtime.containerd.config.root`",
        "/var/lib/containerd",
    ),
];

#[tokio::test(start_paused = true)]
async fn each_edit_is_refused_on_one_and_on_three_control_planes() {
    for control_planes in [1, 3] {
        let mut cluster = Cluster::running(control_planes, 1).await;
        cluster.write(
            "cni.yaml",
            "{apiVersion: v1, kind: Namespace, metadata: {name: x}}\n",
        );
        for (edit, field, runs) in EDITS {
            cluster.spec = format!("  {edit}\n");
            let text = shown(cluster.apply().await, &cluster);
            let first = text.lines().next().unwrap_or_default();
            assert!(first.contains(field), "{edit}: {text}");
            assert!(text.contains(runs), "{edit}: {text}");
            assert!(text.contains("inventory.yaml:7:"), "{edit}: {text}");
        }
        // The inventory as it was asks for nothing.
        cluster.spec.clear();
        assert_eq!(cluster.apply().await.unwrap(), []);
        assert_eq!(cluster.lines(), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn another_version_is_refused_up_and_down_by_minors_and_patches() {
    for control_planes in [1, 3] {
        let mut cluster = Cluster::running(control_planes, 1).await;
        for version in ["v1.36.3", "v1.36.1", "v1.37.0", "v1.35.6", "v1.33.1"] {
            cluster.version = version;
            let text = shown(cluster.apply().await, &cluster);
            assert!(
                text.contains("`spec.kubernetesVersion` cannot change on a running cluster")
                    && text.contains("inventory.yaml:5:22")
                    && text.contains("set it back to `v1.36.2`"),
                "{text}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_a_hosts_own_is_refused_for_that_host() {
    for (host, fields, refused) in [
        (
            "w1",
            "name: w1, address: 192.0.2.21, roles: [worker], nodeRegistration: {name: other}",
            "`spec.hosts[1].nodeRegistration.name` cannot change while w1 is part",
        ),
        (
            "w1",
            "name: w1, address: 192.0.2.21, roles: [control-plane]",
            "`spec.hosts[1].roles` cannot change while w1 is part",
        ),
        (
            "cp1",
            "name: cp1, address: 192.0.2.11, roles: [control-plane], localAPIEndpoint: \
             {advertiseAddress: 192.0.2.77}",
            "`spec.hosts[0].localAPIEndpoint.advertiseAddress` cannot change while cp1 is part",
        ),
        (
            "w1",
            "name: w1, address: 192.0.2.21, roles: [worker], kubelet: {config: {cgroupDriver: \
             cgroupfs}}",
            "`spec.hosts[1].kubelet.config.cgroupDriver` cannot change while w1 is part",
        ),
        (
            "w1",
            "name: w1, address: 192.0.2.21, roles: [worker], nodeRegistration: \
             {kubeletExtraArgs: [{name: node-ip, value: 192.0.2.77}]}",
            "`node-ip` in `spec.hosts[1].nodeRegistration.kubeletExtraArgs` cannot change while \
             w1 is part",
        ),
    ] {
        let mut cluster = Cluster::bare(1, 1);
        cluster.spec = "  loadBalancer: {type: local}\n".into();
        cluster.start().await;
        cluster.hosts.insert(host, fields);
        let text = shown(cluster.apply().await, &cluster);
        assert!(text.contains(refused), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_control_plane_cannot_become_a_worker() {
    let mut cluster = Cluster::running(3, 0).await;
    let fields = "name: cp3, address: 192.0.2.13, roles: [worker]";
    cluster.hosts.insert("cp3", fields);
    let text = shown(cluster.apply().await, &cluster);
    assert!(text.contains("`spec.hosts[2].roles`"), "{text}");
    assert!(text.contains("set it back to `control-plane`"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn all_refusals_come_at_once_with_their_lines() {
    let mut cluster = Cluster::running(3, 1).await;
    cluster.version = "v1.35.6";
    cluster.spec = "  networking:\n    podSubnet: 10.32.0.0/16\n    dnsDomain: example.org\n  \
                    etcd: {local: {dataDir: /srv/etcd}}\n"
        .into();
    let fields = "name: w1, address: 192.0.2.21, roles: [worker], nodeRegistration: {name: db}";
    cluster.hosts.insert("w1", fields);
    insta::assert_snapshot!(shown(cluster.apply().await, &cluster));
}

#[tokio::test(start_paused = true)]
async fn a_field_that_left_the_inventory_is_named_with_its_default() {
    let mut cluster = Cluster::bare(1, 0);
    cluster.spec = "  networking: {podSubnet: 10.32.0.0/16}\n".into();
    cluster.start().await;
    cluster.spec.clear();
    insta::assert_snapshot!(shown(cluster.apply().await, &cluster));
}

#[tokio::test(start_paused = true)]
async fn nothing_waives_it() {
    let mut cluster = Cluster::running(1, 2).await;
    cluster.spec = "  networking: {podSubnet: 10.32.0.0/16}\n  preflight: {ignore: [all]}\n".into();
    let refused = |text: String| assert!(text.contains("podSubnet"), "{text}");
    refused(shown(cluster.apply_plan(&["w1"], None).await, &cluster));
    let phases = clusterctl::run::phase::PHASES.iter();
    for kept in phases.clone().map(|info| info.name) {
        let others = phases.clone().map(|info| info.name);
        let others = others.filter(|name| *name != kept);
        cluster.skipped = others.map(str::to_owned).collect();
        refused(shown(cluster.apply().await, &cluster));
    }
    cluster.skipped.clear();
    // A plan asks first, too.
    let run = cluster.run(&[]);
    let error = Box::pin(Draft::new(&run)).await.err().expect("a refusal");
    refused(error.render(false));
}

#[tokio::test(start_paused = true)]
async fn a_patch_is_named_that_changes_what_must_stay() {
    let mut cluster = Cluster::running(1, 1).await;
    let patch = "patches/kubeletconfiguration.yaml";
    cluster.write(patch, "clusterDomain: example.org\n");
    cluster.spec = "  patches: {directory: patches}\n".into();
    let text = shown(cluster.apply().await, &cluster);
    assert!(
        text.contains("`spec.patches.directory` cannot change")
            && text.contains("a file there sets the kubelet's `clusterDomain`"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_same_written_otherwise_is_no_change() {
    let mut cluster = Cluster::running(1, 1).await;
    for edit in [
        "networking: {podSubnet: ' 10.244.0.0/16', serviceSubnet: 10.96.0.0/12}",
        "etcd: {local: {dataDir: /var/lib/etcd/}}",
        "clusterName: demo",
        "localAPIEndpoint: {bindPort: 6443}",
        "certificatesDir: /etc/kubernetes/pki/",
    ] {
        cluster.spec = format!("  {edit}\n");
        assert_eq!(cluster.apply().await.unwrap(), [], "{edit}");
        assert_eq!(cluster.lines(), [""; 0], "{edit}");
    }
    for edit in [
        "nodeRegistration: {criSocket: 'unix:///run/containerd/containerd.sock'}",
        "apiServer: {extraArgs: [{name: etcd-prefix, value: /registry}]}",
        "controllerManager: {extraArgs: [{name: node-cidr-mask-size, value: '24'}]}",
        "etcd: {local: {extraArgs: [{name: initial-cluster-token, value: etcd-cluster}]}}",
    ] {
        cluster.spec = format!("  {edit}\n");
        assert_eq!(cluster.apply().await.unwrap(), [], "{edit}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_network_may_grow() {
    let mut cluster = Cluster::running(3, 1).await;
    cluster.spec = "  networking: {podSubnet: 10.240.0.0/12, serviceSubnet: 10.96.0.0/12}\n".into();
    assert_eq!(cluster.apply().await.unwrap(), []);
    cluster.assert_order(&["cp1: converge", "cp1: healthy", "cp2: converge"]);
    cluster.shared.clear();
    assert_eq!(cluster.apply().await.unwrap(), []);
    assert_eq!(cluster.lines(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_first_apply_that_never_came_up_may_be_corrected() {
    let mut cluster = Cluster::bare(3, 1);
    cluster.spec = "  networking: {podSubnet: 10.32.0.0/16}\n".into();
    for name in ["cp1", "cp2", "cp3"] {
        cluster.shared.lock().host(name).sick = true;
    }
    cluster.apply().await.unwrap_err();
    assert!(cluster.has("cp1: converged"), "{:?}", cluster.lines());
    for name in ["cp1", "cp2", "cp3"] {
        cluster.shared.lock().host(name).sick = false;
    }
    // etcd starts now, but no API server ever has.
    cluster.shared.lock().host("cp1").api_dies = true;
    cluster.shared.lock().host("cp2").api_dies = true;
    cluster.shared.lock().host("cp3").api_dies = true;
    cluster.shared.lock().settle();
    cluster.spec = "  networking: {dnsDomain: example.org}\n".into();
    cluster.apply().await.unwrap_err();
    cluster.spec.clear();
    cluster.shared.clear();
    cluster.apply().await.unwrap_err();
    assert!(cluster.has("cp1: converged"), "{:?}", cluster.lines());
    for name in ["cp1", "cp2", "cp3"] {
        cluster.shared.lock().host(name).api_dies = false;
    }
    cluster.start().await;
    // From here on it is a cluster, even while its API servers are down.
    for name in ["cp1", "cp2", "cp3"] {
        cluster.shared.lock().host(name).api_dies = true;
    }
    cluster.spec = "  networking: {dnsDomain: example.org}\n".into();
    let text = shown(cluster.apply().await, &cluster);
    assert!(text.contains("dnsDomain"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_added_gets_what_the_cluster_has() {
    let mut cluster = Cluster::running(1, 1).await;
    cluster.add(0, 1);
    cluster.version = "v1.36.3";
    let text = shown(cluster.apply_plan(&["w2"], None).await, &cluster);
    assert!(text.contains("kubernetesVersion"), "{text}");
    // Its own fields are free until it has joined.
    cluster.version = "v1.36.2";
    let fields = "name: w2, address: 192.0.2.22, roles: [worker], kubelet: {config: \
                  {cgroupDriver: cgroupfs}}";
    cluster.hosts.insert("w2", fields);
    assert_eq!(cluster.apply_plan(&["w2"], None).await.unwrap(), []);
    assert!(cluster.has("w2: joined"));
}

#[tokio::test(start_paused = true)]
async fn another_endpoint_needs_every_worker() {
    let mut cluster = Cluster::bare(1, 2);
    cluster.spec = "  controlPlaneEndpoint: 192.0.2.98\n  loadBalancer: {type: kube-vip}\n".into();
    cluster.hold_address("cp1");
    cluster.start().await;
    cluster.spec = cluster.spec.replace("98", "99");
    let text = shown(cluster.apply_plan(&["cp1", "w1"], None).await, &cluster);
    assert!(
        text.contains("`spec.controlPlaneEndpoint`") && text.contains("does not change w2"),
        "{text}"
    );
    assert_eq!(cluster.apply().await.unwrap(), []);
}
