//! Workers: when they join, and how many are disturbed at once.

use std::time::Duration;

use super::recorded::Cluster;

/// A setting of every kubelet: each has to restart.
const CHANGE: &str = "  kubelet: {config: {maxPods: 99}}\n";

/// Positions of a line in the log.
fn positions(cluster: &Cluster, line: &str) -> Vec<usize> {
    let lines = cluster.lines();
    let found = lines.iter().enumerate().filter(|(_, one)| *one == line);
    found.map(|(at, _)| at).collect()
}

/// Workers on which something was changed, in the order in which that began.
fn changed(cluster: &Cluster) -> Vec<String> {
    let lines = cluster.lines();
    let begun = lines
        .iter()
        .filter_map(|line| line.strip_suffix(": converge"));
    begun
        .filter(|host| host.starts_with('w'))
        .map(str::to_owned)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn workers_join_once_the_api_holds_what_they_need() {
    let cluster = Cluster::bare(1, 2);
    cluster.apply().await.unwrap();
    for worker in ["w1", "w2"] {
        let [prepare, join, _] = positions(&cluster, &format!("{worker}: converge"))[..] else {
            panic!("prepare, join, network: {:#?}", cluster.lines());
        };
        assert!(
            prepare < cluster.position("cp1: healthy"),
            "beside the control plane"
        );
        let lines = cluster.lines();
        for needed in [
            "cp1: healthy",
            "api: apply /api/v1/namespaces/kube-system/configmaps/kubeadm-config",
            "api: apply /api/v1/namespaces/kube-system/configmaps/kubelet-config",
            "api: apply /api/v1/namespaces/kube-public/configmaps/cluster-info",
            "api: apply /api/v1/namespaces/kube-system/secrets/bootstrap-token-",
        ] {
            let at = lines.iter().position(|line| line.starts_with(needed));
            assert!(at.is_some_and(|at| at < join), "{needed} in {lines:#?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_certificate_has_ended_joins_again() {
    const BOOTSTRAP: &str = "/etc/kubernetes/bootstrap-kubelet.conf";
    let cluster = Cluster::running(1, 2).await;
    {
        let mut world = cluster.shared.lock();
        world.host("w1").certificate_ended = true;
        world.host("w1").machine.stop_unit("kubelet.service");
        world.settle();
    }
    assert!(cluster.plan().await.join_token);
    cluster.apply().await.unwrap();
    cluster.assert_order(&["w1: converge", "w1: joined"]);
    assert!(!cluster.has("w2: converge") && !cluster.has("cp1: converge"));
    let has_bootstrap = cluster.shared.lock().host("w1").machine.has_file(BOOTSTRAP);
    assert!(!has_bootstrap, "it holds a token");
    assert_eq!(cluster.plan().await.changes, 0);
}

#[tokio::test(start_paused = true)]
async fn workers_do_not_join_a_cluster_whose_control_plane_failed() {
    let cluster = Cluster::bare(1, 2);
    cluster.shared.lock().host("cp1").fails.insert("converge");
    let error = cluster.apply().await.unwrap_err().to_string();
    assert!(error.starts_with("cp1: "), "{error}");
    assert!(
        !cluster.has("api:") && !cluster.has("w1: joined"),
        "{:?}",
        cluster.lines()
    );
    assert!(changed(&cluster).len() <= 2, "they were prepared, no more");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_its_change_breaks_keeps_the_others_as_they_are_in_this_run_and_the_next() {
    let mut cluster = Cluster::running(1, 3).await;
    cluster.spec += CHANGE;
    cluster.shared.lock().host("w1").kubelet_dies = true;
    let aside = cluster.apply().await.unwrap();
    assert_eq!(changed(&cluster), ["w1"]);
    let names: Vec<&str> = aside.iter().map(|(host, _)| host.as_str()).collect();
    assert_eq!(names, ["w1", "w2", "w3"]);
    assert!(aside[0].1.contains("crash-looping"), "{aside:?}");
    assert!(
        aside[1].1.contains("w1") && aside[2].1.contains("w1"),
        "{aside:?}"
    );

    cluster.shared.clear();
    let aside = cluster.apply().await.unwrap();
    assert_eq!(
        changed(&cluster),
        ["w1"],
        "it is repaired first, and that fails"
    );
    assert_eq!(aside.len(), 3);

    cluster.shared.clear();
    cluster.shared.lock().host("w1").kubelet_dies = false;
    assert_eq!(cluster.apply().await.unwrap(), []);
    assert_eq!(changed(&cluster), ["w1", "w2", "w3"]);
}

#[tokio::test(start_paused = true)]
async fn a_broken_node_is_repaired_before_any_other_is_disturbed() {
    let mut cluster = Cluster::running(1, 3).await;
    cluster.spec += CHANGE;
    cluster
        .shared
        .lock()
        .host("w3")
        .machine
        .stop_unit("kubelet.service");
    cluster.apply().await.unwrap();
    assert_eq!(changed(&cluster)[0], "w3");
    cluster.assert_order(&[
        "w3: converged",
        "w1: converge",
        "w1: converged",
        "w2: converge",
    ]);
}

#[tokio::test(start_paused = true)]
async fn no_more_workers_are_disturbed_at_once_than_max_unavailable() {
    for (spec, most) in [("", 1), ("  rollout: {maxUnavailable: 2}\n", 2)] {
        let mut cluster = Cluster::running(1, 5).await;
        cluster.spec += spec;
        cluster.spec += CHANGE;
        let order = cluster.plan().await.order;
        let turns = format!("workers with restarts {most} at a time");
        assert!(order[0].how.ends_with(&turns), "{order:?}");
        cluster.apply().await.unwrap();
        let (mut now, mut seen) = (0, 0);
        for line in cluster.lines().iter().filter(|line| line.starts_with('w')) {
            if line.ends_with(": converge") {
                now += 1;
            } else if line.ends_with(": converged") {
                now -= 1;
            }
            seen = seen.max(now);
        }
        assert_eq!(changed(&cluster).len(), 5);
        assert_eq!(seen, most, "{:#?}", cluster.lines());
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_out_of_reach_is_set_aside_and_told() {
    let mut cluster = Cluster::running(1, 3).await;
    cluster.spec += CHANGE;
    cluster.shared.lock().host("w2").unreachable = true;
    let aside = cluster.apply().await.unwrap();
    assert_eq!(aside.len(), 1);
    assert!(
        aside[0].0 == "w2" && aside[0].1.contains("no route"),
        "{aside:?}"
    );
    assert_eq!(changed(&cluster), ["w1", "w3"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_cut_off_is_carried_on_by_the_next() {
    let cluster = Cluster::bare(1, 2);
    // In the middle of the first changes.
    let cut = tokio::time::timeout(Duration::from_secs(5), cluster.apply());
    assert!(cut.await.is_err());
    assert!(cluster.has("cp1: converge") && !cluster.has("cp1: converged"));
    assert_eq!(cluster.apply().await.unwrap(), []);
    cluster.shared.clear();
    assert_eq!(cluster.apply().await.unwrap(), []);
    assert_eq!(cluster.lines(), [""; 0]);
}

/// A worker is set aside in the phase in which it failed, once, and the phases that it will not
/// take part in end with those that do.
#[tokio::test(start_paused = true)]
async fn a_failure_is_told_once_in_its_phase() {
    const PHASES: [&str; 4] = ["hosts", "join", "network", "nodes"];
    let cluster = Cluster::bare(1, 3);
    for worker in ["w1", "w2"] {
        cluster.shared.lock().host(worker).fails.insert("converge");
    }
    cluster.apply().await.unwrap();
    let told = cluster.told_of(&PHASES);
    let count = |line: &str| told.iter().filter(|one| *one == line).count();
    for phase in PHASES {
        assert_eq!(count(&format!("[{phase}] begins")), 1, "{phase}: {told:#?}");
        assert_eq!(count(&format!("[{phase}] ends")), 1, "{phase}: {told:#?}");
    }
    for worker in ["w1", "w2"] {
        let failed = told
            .iter()
            .position(|line| *line == format!("[hosts] {worker} failed"));
        let ended = told.iter().position(|line| line == "[hosts] ends");
        assert!(failed.unwrap() < ended.unwrap(), "{told:#?}");
        let all = told
            .iter()
            .filter(|line| line.contains(&format!("{worker} failed")));
        assert_eq!(all.count(), 1, "{told:#?}");
    }

    // Without any worker left, nothing is said of what none of them does.
    let cluster = Cluster::bare(1, 1);
    cluster.shared.lock().host("w1").fails.insert("converge");
    cluster.apply().await.unwrap();
    let told = cluster.told_of(&["join"]);
    assert_eq!(told, [""; 0]);
}
