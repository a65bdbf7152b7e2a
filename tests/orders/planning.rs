//! Planning: how often hosts are asked, and when nothing may be changed.

use clusterctl::Error;
use clusterctl::host::{Owner, Receipt};
use clusterctl::status::Watch;

use super::recorded::Cluster;

/// A setting that changes something on every host.
const CHANGE: &str = "  kubelet: {config: {maxPods: 99}}\n";

#[tokio::test(start_paused = true)]
async fn a_second_apply_asks_each_host_twice_and_changes_nothing() {
    let cluster = Cluster::running(3, 2).await;
    assert_eq!(cluster.apply().await.unwrap(), []);
    assert_eq!(cluster.lines(), [""; 0]);
    let mut operations = cluster.shared.lock().operations.clone();
    operations.sort();
    let hosts = ["cp1", "cp2", "cp3", "w1", "w2"];
    let expected = hosts.iter().flat_map(|host| {
        let host = (*host).to_owned();
        [(host.clone(), "gather"), (host, "observe")]
    });
    assert_eq!(operations, expected.collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_plan_changes_nothing_and_is_the_same_each_time() {
    let cluster = Cluster::bare(1, 1);
    let plan = cluster.plan().await;
    assert!(plan.changes > 10, "{}", plan.changes);
    assert_eq!(plan, cluster.plan().await);
    assert_eq!(cluster.lines(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_is_out_of_date_is_refused_before_anything_is_changed() {
    let mut cluster = Cluster::running(1, 2).await;
    cluster.spec += CHANGE;
    let kept = cluster.plan().await;
    let config = "/var/lib/kubelet/config.yaml";
    cluster.shared.lock().host("w2").machine.tamper(config);
    match cluster.apply_plan(&[], Some(&kept)).await {
        Err(Error::Moved { moved }) => {
            assert!(
                moved.iter().all(|line| line.starts_with("w2: ")),
                "{moved:?}"
            );
            assert!(moved[0].contains(config), "{moved:?}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(cluster.lines(), [""; 0]);
    // One of what there is now is applied.
    let kept = cluster.plan().await;
    assert_eq!(cluster.apply_plan(&[], Some(&kept)).await.unwrap(), []);
    assert!(cluster.has("w2: converged"));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_changed_if_the_only_control_plane_is_out_of_reach() {
    let mut cluster = Cluster::running(1, 2).await;
    cluster.spec += CHANGE;
    cluster.shared.lock().host("cp1").unreachable = true;
    let error = cluster.apply().await.unwrap_err().to_string();
    assert!(error.contains("cp1"), "{error}");
    assert_eq!(cluster.lines(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_host_of_another_cluster_is_refused_before_anything_is_changed() {
    let mut cluster = Cluster::bare(1, 1);
    cluster.shared.lock().host("w1").machine.receipt = Some(Receipt::new(&Owner::named("other")));
    // By its check, and by the plan where checks are left out.
    for skipped in [vec![], vec!["preflight".to_owned()]] {
        cluster.skipped = skipped;
        let error = cluster.apply().await.unwrap_err().to_string();
        assert!(error.contains("w1: ") && error.contains("other"), "{error}");
    }
    assert_eq!(cluster.lines(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn status_goes_through_the_next_control_plane_if_the_first_is_unhealthy() {
    let cluster = Cluster::running(3, 1).await;
    cluster.shared.lock().host("cp1").sick = true;
    let run = cluster.run(&[]);
    let watch = Watch::new(&run);
    let status = Box::pin(watch.query_cluster()).await;
    assert_eq!(status.api.through.as_deref(), Some("cp2"));
    let healthy: Vec<bool> = status.etcd.members.iter().map(|one| one.healthy).collect();
    assert_eq!(healthy, [false, true, true]);
    assert_eq!(cluster.lines(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_healthy_and_answers_nothing_is_not_planned_with() {
    let cluster = Cluster::running(3, 0).await;
    cluster.shared.lock().host("cp1").api_hangs = true;
    assert_eq!(cluster.plan().await.changes, 0);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_of_another_ca_is_not_waited_for() {
    let cluster = Cluster::running(1, 0).await;
    cluster.shared.lock().host("cp1").api_is_strange = true;
    let began = tokio::time::Instant::now();
    cluster.plan().await;
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
}
