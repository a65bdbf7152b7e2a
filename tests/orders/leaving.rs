//! Hosts that leave: what has to be over before they are reset.

use std::time::Duration;

use clusterctl::Error;
use clusterctl::host::{HostError, Owner, Receipt};
use clusterctl::remove::node::RemoveOptions;
use clusterctl::remove::reset::{Outcome, ResetHost, ResetOptions};

use super::recorded::Cluster;
use super::recorded::api::node_path;

const OPTIONS: RemoveOptions = RemoveOptions {
    timeout: Duration::from_secs(300),
    force: false,
    unreachable: false,
};

fn is_clean(host: &ResetHost) -> bool {
    matches!(host.outcome, Ok(Outcome::Clean { .. }))
}

#[tokio::test(start_paused = true)]
async fn a_worker_is_drained_before_its_node_goes_and_its_node_before_it_is_reset() {
    let cluster = Cluster::running(1, 2).await;
    cluster.run_pod("w1", "web", true);
    let removal = cluster.remove(&["w1"], OPTIONS).await.unwrap();
    assert!(removal.failed.is_none(), "{:?}", removal.failed);
    cluster.assert_order(&[
        "api: patch /api/v1/nodes/w1",
        "api: evict /api/v1/namespaces/default/pods/web",
        "api: delete /api/v1/nodes/w1",
        "w1: reset",
    ]);
    assert!(
        !cluster.has("etcd:") && !cluster.has("w2"),
        "{:?}",
        cluster.lines()
    );
}

#[tokio::test(start_paused = true)]
async fn a_control_plane_leaves_etcd_after_its_pods_and_before_its_node() {
    let cluster = Cluster::running(3, 0).await;
    cluster.run_pod("cp3", "web", true);
    let removal = cluster.remove(&["cp3"], OPTIONS).await.unwrap();
    assert!(removal.failed.is_none(), "{:?}", removal.failed);
    cluster.assert_order(&[
        "api: patch /api/v1/nodes/cp3",
        "api: evict /api/v1/namespaces/default/pods/web",
        "etcd: remove cp3",
        "api: delete /api/v1/nodes/cp3",
        "cp3: reset",
    ]);
    assert_eq!(cluster.shared.lock().etcd.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_etcd_keeps_keeps_its_host_which_takes_pods_again() {
    let cluster = Cluster::running(3, 0).await;
    cluster.shared.lock().etcd_refuses = Some("etcdserver: unhealthy cluster".into());
    let removal = cluster.remove(&["cp3"], OPTIONS).await.unwrap();
    let error = removal.failed.unwrap().to_string();
    assert!(error.contains("unhealthy cluster"), "{error}");
    assert!(removal.removed.is_empty());
    assert!(
        !cluster.has("cp3: reset") && !cluster.has("api: delete"),
        "{:?}",
        cluster.lines()
    );
    let world = cluster.shared.lock();
    let node = world.objects.get(&node_path("cp3")).unwrap();
    assert!(node["spec"]["unschedulable"].is_null(), "{node}");
}

#[tokio::test(start_paused = true)]
async fn the_last_majority_of_etcd_is_kept_before_anything_is_changed() {
    let cluster = Cluster::running(3, 0).await;
    cluster.shared.lock().host("cp2").sick = true;
    match cluster.remove(&["cp3"], OPTIONS).await {
        Err(Error::Refused { message, .. }) => assert!(message.contains("quorum"), "{message}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(cluster.lines(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn pods_that_would_be_lost_keep_every_host_before_anything_is_changed() {
    let cluster = Cluster::running(1, 2).await;
    cluster.run_pod("w2", "bare", false);
    let error = cluster.remove(&["w1", "w2"], OPTIONS).await.unwrap_err();
    assert!(error.to_string().contains("default/bare"), "{error}");
    assert_eq!(cluster.lines(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_get_empty_takes_pods_again_and_keeps_its_host() {
    let cluster = Cluster::running(1, 1).await;
    cluster.run_pod("w1", "web", true);
    cluster.shared.lock().evictions_refused = true;
    let removal = cluster.remove(&["w1"], OPTIONS).await.unwrap();
    let error = removal.failed.unwrap().to_string();
    assert!(error.contains("default/web"), "{error}");
    assert!(
        !cluster.has("w1: reset") && !cluster.has("api: delete"),
        "{:?}",
        cluster.lines()
    );
    let world = cluster.shared.lock();
    let node = world.objects.get(&node_path("w1")).unwrap();
    assert!(node["spec"]["unschedulable"].is_null(), "{node}");
}

#[tokio::test(start_paused = true)]
async fn a_control_plane_leaves_etcd_before_it_is_reset() {
    let cluster = Cluster::running(3, 0).await;
    let hosts = cluster.reset(&["cp3"], ResetOptions::default()).await;
    assert!(hosts.iter().all(is_clean), "{hosts:?}");
    cluster.assert_order(&[
        "etcd: remove cp3",
        "cp3: reset",
        "api: delete /api/v1/nodes/cp3",
    ]);
}

#[tokio::test(start_paused = true)]
async fn etcd_is_not_asked_where_none_of_it_stays() {
    let cluster = Cluster::running(3, 1).await;
    let asked = cluster.shared.lock().etcd_requests;
    let hosts = cluster.reset(&[], ResetOptions::default()).await;
    assert!(hosts.len() == 4 && hosts.iter().all(is_clean), "{hosts:?}");
    assert_eq!(cluster.shared.lock().etcd_requests, asked);
    assert!(
        !cluster.has("api:") && !cluster.has("etcd:"),
        "{:?}",
        cluster.lines()
    );
}

#[tokio::test(start_paused = true)]
async fn a_member_that_etcd_keeps_is_reset_only_by_force() {
    let cluster = Cluster::running(3, 0).await;
    cluster.shared.lock().etcd_refuses = Some("etcdserver: unhealthy cluster".into());
    let hosts = cluster.reset(&["cp3"], ResetOptions::default()).await;
    assert!(
        matches!(hosts[0].outcome, Err(Error::Quorum { .. })),
        "{hosts:?}"
    );
    assert!(!cluster.has("cp3: reset"));
    let force = ResetOptions {
        force: true,
        ..ResetOptions::default()
    };
    let hosts = cluster.reset(&["cp3"], force).await;
    assert!(is_clean(&hosts[0]) && cluster.has("cp3: reset"));
    let warnings = cluster.warnings();
    assert!(
        warnings.iter().any(|text| text.contains("cp3")),
        "{warnings:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_host_of_another_cluster_is_not_reset() {
    let cluster = Cluster::running(1, 2).await;
    cluster.shared.lock().host("w1").machine.receipt = Some(Receipt::new(&Owner::named("other")));
    let hosts = cluster.reset(&["w1", "w2"], ResetOptions::default()).await;
    let refused = matches!(
        hosts[0].outcome,
        Err(Error::Host(HostError::OtherCluster { .. }))
    );
    assert!(refused && is_clean(&hosts[1]), "{hosts:?}");
    assert!(!cluster.has("w1: reset") && !cluster.has("api: delete /api/v1/nodes/w1"));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_works_is_not_given_up_as_unreachable() {
    let cluster = Cluster::running(1, 2).await;
    let unreachable = RemoveOptions {
        unreachable: true,
        ..OPTIONS
    };
    let error = cluster.remove(&["w1"], unreachable).await.unwrap_err();
    assert!(error.to_string().contains("Ready"), "{error}");
    assert_eq!(cluster.lines(), [""; 0]);
    // Once it is gone, nothing but its Node is left to remove.
    cluster.shared.lock().host("w1").unreachable = true;
    cluster.shared.lock().host("w1").machine.reset();
    let removal = cluster.remove(&["w1"], unreachable).await.unwrap();
    assert!(removal.failed.is_none(), "{:?}", removal.failed);
    assert_eq!(cluster.lines(), ["api: delete /api/v1/nodes/w1"]);
}
