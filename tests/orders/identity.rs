//! Which cluster runs is compared before anything else, whatever phases are selected.

use clusterctl::Error;
use clusterctl::host::Owner;
use clusterctl::remove::reset::ResetOptions;

use super::recorded::Cluster;

fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> (String, String) {
    let error = result.expect_err("a refusal");
    let hint = error.hint().unwrap_or_default();
    (error.to_string(), hint)
}

#[tokio::test(start_paused = true)]
async fn a_lost_state_directory_is_never_filled_with_a_new_ca() {
    let mut cluster = Cluster::running(1, 1).await;
    cluster.lose_state("");
    for skipped in [vec![], vec!["preflight".to_owned()]] {
        cluster.skipped = skipped;
        let (message, hint) = refused(cluster.apply().await);
        assert!(
            message.contains("cluster demo is running, but its CA is not in"),
            "{message}"
        );
        assert!(
            message.contains("cp1, w1: the CA in /etc/kubernetes/kubelet.conf"),
            "{message}"
        );
        assert!(message.contains("sha256:"), "{message}");
        assert!(hint.contains("clusterctl-rs state recover"), "{hint}");
    }
    assert!(cluster.lines().is_empty(), "nothing was changed");
}

#[tokio::test(start_paused = true)]
async fn a_ca_that_is_lost_is_missed_even_if_no_host_is_known() {
    let cluster = Cluster::running(1, 0).await;
    cluster.lose_state("pki");
    cluster.shared.lock().host("cp1").machine.reset();
    let (message, hint) = refused(cluster.apply().await);
    assert!(
        message.contains("ca.crt is missing, but the CA of cluster demo is sha256:"),
        "{message}"
    );
    assert!(hint.contains("delete"), "{hint}");
}

#[tokio::test(start_paused = true)]
async fn a_host_of_another_cluster_of_the_same_name_is_refused() {
    let cluster = Cluster::running(1, 1).await;
    let stranger = Owner {
        cluster: "demo".into(),
        cluster_id: "another".into(),
        ca: "sha256:00".into(),
    };
    cluster.set_owner("w1", stranger);
    let (message, _) = refused(cluster.apply().await);
    assert!(
        message.contains("w1: belongs to cluster `demo` (id another, CA sha256:00)"),
        "{message}"
    );
    let reset = cluster.reset(&["w1"], ResetOptions::default()).await;
    let error = reset[0]
        .outcome
        .as_ref()
        .expect_err("a refusal")
        .to_string();
    assert!(error.contains("id another"), "{error}");
    assert!(!cluster.has("w1: reset"));
}

#[tokio::test(start_paused = true)]
async fn another_clusters_authority_or_key_on_a_host_is_refused() {
    for (file, why) in [
        (
            "front-proxy-ca.crt",
            "/etc/kubernetes/pki/front-proxy-ca.crt is",
        ),
        ("sa.pub", "/etc/kubernetes/pki/sa.pub is another key"),
    ] {
        let cluster = Cluster::running(1, 0).await;
        let path = format!("/etc/kubernetes/pki/{file}");
        cluster.shared.lock().host("cp1").machine.tamper(&path);
        let (message, _) = refused(cluster.apply().await);
        assert!(message.contains(why), "{message}");
    }
    // A bare host with a key whose cluster is unknown.
    let cluster = Cluster::bare(1, 0);
    let key = "/etc/kubernetes/pki/ca.key";
    cluster.shared.lock().host("cp1").machine.write(key, "key");
    let (message, _) = refused(cluster.apply().await);
    assert!(
        message.contains("has a key of an unknown cluster"),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_reset_cluster_is_another_one_when_it_comes_back() {
    let cluster = Cluster::running(1, 0).await;
    let id = cluster.owner().expect("an owner").cluster_id;
    assert_eq!(id.len(), 32);
    cluster.apply().await.expect("nothing to do");
    assert_eq!(cluster.owner().expect("an owner").cluster_id, id);
    let receipt = cluster.shared.lock().host("cp1").machine.receipt.clone();
    assert_eq!(
        receipt.expect("a receipt").owner,
        cluster.owner().expect("an owner")
    );
}

#[tokio::test(start_paused = true)]
async fn receipts_of_before_there_were_ids_get_one() {
    let cluster = Cluster::running(1, 1).await;
    for host in ["cp1", "w1"] {
        cluster.set_owner(host, Owner::named("demo"));
    }
    cluster.lose_state("cluster.json");
    assert!(
        cluster.plan().await.changes == 0,
        "that alone changes nothing"
    );
    cluster
        .shared
        .lock()
        .host("w1")
        .machine
        .stop_unit("kubelet.service");
    cluster.apply().await.expect("an apply");
    let receipt = cluster.shared.lock().host("w1").machine.receipt.clone();
    assert_eq!(
        receipt.expect("a receipt").owner,
        cluster.owner().expect("an owner")
    );
}

#[tokio::test(start_paused = true)]
async fn clocks_that_are_far_apart_are_refused_in_both_directions() {
    for minutes in [-10, 10] {
        let mut cluster = Cluster::running(1, 1).await;
        cluster.skipped = vec!["preflight".into()];
        cluster.shared.lock().host("w1").clock_offset = minutes * 60_000_000_000;
        let (message, _) = refused(cluster.apply().await);
        assert!(message.contains("w1: the clock is 600.0 s"), "{message}");
        cluster.shared.lock().host("cp1").clock_offset = minutes * 60_000_000_000;
        let (_, hint) = refused(cluster.apply().await);
        assert!(hint.contains("this machine's clock"), "{hint}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_alone_is_not_enough_for_a_reset() {
    let cluster = Cluster::running(1, 1).await;
    cluster.set_owner("w1", Owner::named("demo"));
    let reset = cluster.reset(&["w1"], ResetOptions::default()).await;
    let error = reset[0].outcome.as_ref().expect_err("a refusal");
    assert!(error.to_string().contains("proves nothing"), "{error}");
    assert!(!cluster.has("w1: reset"));
}
