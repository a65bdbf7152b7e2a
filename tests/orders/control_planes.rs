//! Control planes: how many are down at once, and when etcd's members change.

use super::recorded::Cluster;
use super::recorded::host::LEASE;

const ETCD_MANIFEST: &str = "/etc/kubernetes/manifests/etcd.yaml";

/// A setting of the API server: each control plane's manifest changes.
const CHANGE: &str = "  apiServer: {extraArgs: [{name: profiling, value: 'false'}]}\n";

#[tokio::test(start_paused = true)]
async fn a_new_clusters_control_planes_come_up_side_by_side() {
    let cluster = Cluster::bare(3, 0);
    cluster.apply().await.unwrap();
    let lines = cluster.lines();
    assert_eq!(
        lines[..3],
        ["cp1: converge", "cp2: converge", "cp3: converge"]
    );
    assert!(!cluster.has("etcd: add learner"), "they form etcd at once");
    assert_eq!(cluster.shared.lock().etcd.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_change_takes_control_planes_one_at_a_time_each_healthy_before_the_next() {
    let mut cluster = Cluster::running(3, 0).await;
    cluster.spec += CHANGE;
    cluster.apply().await.unwrap();
    let of_hosts: Vec<String> = cluster.lines();
    let of_hosts = of_hosts.iter().filter(|line| line.starts_with("cp"));
    let expected: Vec<String> = ["cp1", "cp2", "cp3"]
        .iter()
        .flat_map(|cp| ["converge", "converged", "healthy"].map(|what| format!("{cp}: {what}")))
        .collect();
    assert_eq!(
        of_hosts.collect::<Vec<_>>(),
        expected.iter().collect::<Vec<_>>()
    );
}

#[tokio::test(start_paused = true)]
async fn certificates_are_renewed_before_their_end_one_control_plane_at_a_time() {
    let mut cluster = Cluster::running(3, 0).await;
    // Those that are there have less than this left, which those to come don't.
    cluster.spec += "  certificateValidityPeriod: 9000h\n  certificateRenewBefore: 8800h\n";
    let plan = cluster.plan().await;
    let renewed: Vec<&pki::Decision> = plan
        .certificates
        .iter()
        .filter(|decision| decision.action == pki::Action::Reissued)
        .collect();
    assert!(
        renewed
            .iter()
            .all(|decision| decision.why.ends_with(", within 8800 hours")),
        "{renewed:?}"
    );
    let is_renewed = |file: &str| renewed.iter().any(|decision| decision.file == file);
    assert!(is_renewed("hosts/cp2/pki/apiserver.crt"));
    assert!(
        !is_renewed("hosts/cp2/pki/kubeconfig/kubelet.crt"),
        "the kubelet has its next"
    );
    let path = "/etc/kubernetes/pki/apiserver.crt";
    let before = cluster.shared.lock().host("cp2").machine.text(path);
    cluster.apply().await.unwrap();
    assert_ne!(cluster.shared.lock().host("cp2").machine.text(path), before);
    let lines = cluster.lines();
    let of_hosts: Vec<&String> = lines.iter().filter(|line| line.starts_with("cp")).collect();
    let expected: Vec<String> = ["cp1", "cp2", "cp3"]
        .iter()
        .flat_map(|cp| ["converge", "converged", "healthy"].map(|what| format!("{cp}: {what}")))
        .collect();
    assert_eq!(of_hosts, expected.iter().collect::<Vec<_>>());
    cluster.shared.clear();
    assert_eq!(cluster.plan().await.changes, 0);
}

#[tokio::test(start_paused = true)]
async fn no_control_plane_is_taken_down_while_another_is_unhealthy() {
    let mut cluster = Cluster::running(3, 0).await;
    cluster.spec += CHANGE;
    cluster.shared.lock().host("cp3").sick = true;
    let error = cluster.apply().await.unwrap_err().to_string();
    assert!(
        error.starts_with("cp1: ") && error.contains("cp3"),
        "{error}"
    );
    assert_eq!(
        cluster.lines(),
        [""; 0],
        "nothing is changed on any of them"
    );
}

#[tokio::test(start_paused = true)]
async fn no_control_plane_is_taken_down_while_another_is_out_of_reach() {
    let mut cluster = Cluster::running(3, 0).await;
    cluster.spec += CHANGE;
    cluster.shared.lock().host("cp2").unreachable = true;
    let error = cluster.apply().await.unwrap_err().to_string();
    assert!(error.contains("1 unreachable"), "{error}");
    assert!(!cluster.has("cp"), "{:?}", cluster.lines());
}

#[tokio::test(start_paused = true)]
async fn a_control_plane_that_is_down_is_repaired_before_another_is_taken_down() {
    let mut cluster = Cluster::running(3, 0).await;
    cluster.spec += CHANGE;
    cluster
        .shared
        .lock()
        .host("cp3")
        .machine
        .stop_unit("kubelet.service");
    cluster.apply().await.unwrap();
    cluster.assert_order(&[
        "cp3: healthy",
        "cp1: converge",
        "cp1: healthy",
        "cp2: converge",
    ]);
}

#[tokio::test(start_paused = true)]
async fn a_control_plane_that_fails_keeps_the_next_as_it_is() {
    let mut cluster = Cluster::running(3, 1).await;
    cluster.spec += CHANGE;
    cluster.shared.lock().host("cp2").fails.insert("converge");
    let error = cluster.apply().await.unwrap_err().to_string();
    assert!(error.starts_with("cp2: "), "{error}");
    cluster.assert_order(&["cp1: healthy", "cp2: converge", "cp2: converge failed"]);
    assert!(!cluster.has("cp3"), "{:?}", cluster.lines());
}

#[tokio::test(start_paused = true)]
async fn a_control_plane_that_never_gets_healthy_keeps_the_next_as_it_is() {
    let mut cluster = Cluster::running(3, 0).await;
    cluster.spec += CHANGE;
    cluster.shared.lock().host("cp1").kubelet_dies = true;
    // The kubelet starts with another configuration, and ends.
    cluster.spec += "  kubelet: {config: {maxPods: 99}}\n";
    let error = cluster.apply().await.unwrap_err().to_string();
    assert!(error.contains("crash-looping"), "{error}");
    assert!(
        !cluster.has("cp2") && !cluster.has("cp3"),
        "{:?}",
        cluster.lines()
    );
}

#[tokio::test(start_paused = true)]
async fn a_joining_control_plane_is_a_learner_first_and_has_its_vote_before_the_next_begins() {
    let mut cluster = Cluster::running(1, 0).await;
    cluster.add(2, 0);
    cluster.apply().await.unwrap();
    let steps = |name: &str| {
        [
            format!("etcd: add learner {name}"),
            format!("{name}: converge"),
            format!("{name}: converged"),
            format!("etcd: promote {name}"),
            format!("{name}: healthy"),
        ]
    };
    let expected = [steps("cp2"), steps("cp3")].concat();
    let lines = cluster.lines();
    let of_new: Vec<&String> = lines
        .iter()
        .filter(|line| expected.contains(line))
        .collect();
    // What comes after that is their pod network, side by side.
    assert_eq!(of_new[..10], expected.iter().collect::<Vec<_>>());
    // The one that runs gets a certificate that names its balancer, before etcd changes.
    cluster.assert_order(&["cp1: converged", "etcd: add learner cp2"]);
}

#[tokio::test(start_paused = true)]
async fn a_learner_that_never_starts_keeps_the_next_from_joining() {
    let mut cluster = Cluster::running(1, 0).await;
    cluster.add(2, 0);
    cluster.shared.lock().host("cp2").sick = true;
    let error = cluster.apply().await.unwrap_err().to_string();
    assert!(
        error.starts_with("cp2: ") && error.contains("not started"),
        "{error}"
    );
    assert!(
        !cluster.has("etcd: promote") && !cluster.has("cp3"),
        "{:?}",
        cluster.lines()
    );
    // Once it starts, the next run goes on where this one ended.
    cluster.shared.lock().host("cp2").sick = false;
    cluster.apply().await.unwrap();
    cluster.assert_order(&[
        "etcd: promote cp2",
        "etcd: add learner cp3",
        "etcd: promote cp3",
    ]);
}

#[tokio::test(start_paused = true)]
async fn kube_vips_address_moves_before_its_holder_restarts() {
    let mut cluster = Cluster::bare(3, 0);
    cluster.spec += "  controlPlaneEndpoint: 192.0.2.10\n  loadBalancer: {type: kube-vip}\n";
    cluster.hold_address("cp1");
    cluster.start().await;
    cluster.spec += CHANGE;
    cluster.apply().await.unwrap();
    let given = format!("api: replace {LEASE}");
    cluster.assert_order(&[
        &given,
        "cp1: address gone",
        "cp1: converge",
        "cp1: healthy",
        "cp2: converge",
        "cp2: healthy",
        // It had gone to the last one, whose turn it is now.
        &given,
        "cp3: address gone",
        "cp3: converge",
    ]);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_lost_its_data_is_replaced() {
    let cluster = Cluster::running(3, 0).await;
    cluster.shared.lock().host("cp2").lose_etcd_data();
    cluster.apply().await.expect("an apply");
    cluster.assert_order(&[
        "etcd: remove cp2",
        "etcd: add learner cp2",
        "cp2: converge",
        "etcd: promote cp2",
    ]);
    assert!(!cluster.has("cp1: converge") && !cluster.has("cp3: converge"));
    assert_eq!(cluster.shared.lock().etcd.len(), 3);
    let manifest = cluster
        .shared
        .lock()
        .host("cp2")
        .machine
        .text(ETCD_MANIFEST);
    assert!(
        manifest.contains("--initial-cluster-state=existing"),
        "{manifest}"
    );
    assert_eq!(cluster.plan().await.changes, 0);
}

#[tokio::test(start_paused = true)]
async fn a_member_without_quorum_beside_it_is_not_replaced() {
    let cluster = Cluster::running(3, 0).await;
    cluster.shared.lock().host("cp2").lose_etcd_data();
    cluster.shared.lock().host("cp3").lose_etcd_data();
    let _ = cluster.apply().await;
    assert!(!cluster.has("etcd: remove"), "{:#?}", cluster.lines());
    let warned = cluster.warnings().join("\n");
    assert!(
        warned.contains("cp2: its etcd member has lost its data"),
        "{warned}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_etcd_manifest_that_changes_anyway_can_start_no_second_etcd() {
    let mut cluster = Cluster::running(1, 0).await;
    cluster.add(2, 0);
    cluster.start().await;
    let manifest = |cluster: &Cluster| {
        cluster
            .shared
            .lock()
            .host("cp1")
            .machine
            .text(ETCD_MANIFEST)
    };
    assert!(
        !manifest(&cluster).contains("existing"),
        "not restarted for that"
    );
    cluster.spec +=
        "  etcd: {local: {extraArgs: [{name: quota-backend-bytes, value: '4294967296'}]}}\n";
    cluster.start().await;
    let changed = manifest(&cluster);
    assert!(
        changed.contains("--initial-cluster-state=existing"),
        "{changed}"
    );
    for member in ["cp1=", "cp2=", "cp3="] {
        assert!(changed.contains(member), "{changed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_whose_host_left_the_inventory_is_refused_by_name() {
    let mut cluster = Cluster::running(3, 0).await;
    cluster.shared.lock().host("cp3").unreachable = true;
    cluster.forget_last_control_plane();
    let error = cluster.apply().await.expect_err("a refusal");
    assert!(
        error.to_string().contains("cp3 (https://192.0.2.13:2380)"),
        "{error}"
    );
    assert!(
        error
            .hint()
            .unwrap()
            .contains("remove-node cp3 --unreachable")
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_api_is_not_taken_for_no_cluster() {
    let cluster = Cluster::running(3, 0).await;
    for name in ["cp1", "cp2", "cp3"] {
        let path = "/etc/kubernetes/manifests/kube-apiserver.yaml";
        cluster.shared.lock().host(name).machine.tamper(path);
        cluster.shared.lock().host(name).api_is_down = true;
    }
    cluster.apply().await.expect("an apply");
    // One after another: etcd works, and must go on to.
    cluster.assert_order(&[
        "cp1: converge",
        "cp1: healthy",
        "cp2: converge",
        "cp2: healthy",
        "cp3: converge",
        "cp3: healthy",
    ]);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_does_not_come_up_is_undone_by_the_same_run() {
    let mut cluster = Cluster::running(1, 1).await;
    let healthy = cluster.spec.clone();
    cluster.spec += "  apiServer: {extraArgs: [{name: no-such-flag, value: 'x'}]}\n";
    cluster.shared.lock().host("cp1").refused = Some("no-such-flag");
    let began = tokio::time::Instant::now();
    let error = cluster.apply().await.unwrap_err().to_string();
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(
        lines[0], "cp1: kube-apiserver: unknown flag: --no-such-flag",
        "{error}"
    );
    assert!(lines[1].contains("inventory.yaml:7:34"), "{error}");
    assert!(
        lines[2].starts_with("  the previous configuration is back and healthy"),
        "{error}"
    );
    assert!(began.elapsed().as_secs() < 45, "{:?}", began.elapsed());
    cluster.assert_order(&["cp1: converged", "cp1: put back", "cp1: healthy"]);
    assert!(
        cluster
            .shared
            .lock()
            .host("cp1")
            .machine
            .previous
            .is_empty()
    );
    // The same change is still to be done, and the inventory of before has nothing to do.
    let changes = cluster.changes().await;
    assert!(
        changes.contains(&"update file /etc/kubernetes/manifests/kube-apiserver.yaml".to_owned()),
        "{changes:?}"
    );
    cluster.spec = healthy;
    assert_eq!(cluster.changes().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_first_control_plane_that_does_not_come_up_stops_the_roll() {
    let mut cluster = Cluster::running(3, 0).await;
    cluster.spec += "  apiServer: {extraArgs: [{name: no-such-flag, value: 'x'}]}\n";
    cluster.shared.lock().host("cp1").refused = Some("no-such-flag");
    let error = cluster.apply().await.unwrap_err().to_string();
    assert!(
        error.starts_with("cp1: kube-apiserver: unknown flag"),
        "{error}"
    );
    assert!(
        !cluster.has("cp2") && !cluster.has("cp3"),
        "{:?}",
        cluster.lines()
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_killed_run_replaced_is_confirmed_or_undone_by_the_next() {
    let mut cluster = Cluster::running(3, 0).await;
    cluster.spec += CHANGE;
    let killed = tokio::time::timeout(std::time::Duration::from_secs(12), cluster.apply()).await;
    assert!(killed.is_err(), "it is at work");
    assert!(
        !cluster
            .shared
            .lock()
            .host("cp1")
            .machine
            .previous
            .is_empty()
    );
    let changes = cluster.changes().await;
    let confirm = "confirm file /etc/kubernetes/manifests/kube-apiserver.yaml".to_owned();
    assert!(changes.contains(&confirm), "{changes:?}");
    cluster.apply().await.unwrap();
    assert!(
        cluster
            .shared
            .lock()
            .host("cp1")
            .machine
            .previous
            .is_empty()
    );
    assert_eq!(cluster.changes().await, [""; 0]);
}
