//! One run at a time: who has the lock, who takes it over, and what hosts refuse.

use std::time::Duration;

use clusterctl::host::{HostError, RunOwner, Turn};
use clusterctl::remove::node::RemoveOptions;
use clusterctl::remove::reset::ResetOptions;
use clusterctl::{Error, ExitStatus};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::recorded::Cluster;
use super::recorded::api::RUN_LEASE;

/// A setting that changes something on every host.
const CHANGE: &str = "  kubelet: {config: {maxPods: 99}}\n";

/// A run on another workstation.
fn alice() -> RunOwner {
    RunOwner {
        holder: "alice@laptop".into(),
        verb: "apply".into(),
        since: Timestamp::now(),
        process: "elsewhere/1/42/7".into(),
    }
}

/// Alice's run has the lock, and was last heard of some time ago.
fn hold(cluster: &Cluster, number: u64, ago: SignedDuration) {
    let mut world = cluster.shared.lock();
    let renewed = Timestamp::now() - ago;
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"namespace": "kube-system", "name": "clusterctl-rs",
            "annotations": {"clusterctl.rs/owner": alice().to_line()}},
        "spec": {"holderIdentity": "alice@laptop 42 apply", "leaseTransitions": number,
            "renewTime": renewed.to_string(), "acquireTime": renewed.to_string()}});
    world.objects.put(RUN_LEASE, lease);
}

fn lease(cluster: &Cluster) -> Value {
    let world = cluster.shared.lock();
    world.objects.get(RUN_LEASE).cloned().unwrap_or_default()["spec"].clone()
}

fn number(cluster: &Cluster) -> u64 {
    lease(cluster)["leaseTransitions"].as_u64().unwrap_or(0)
}

fn number_on(cluster: &Cluster, host: &str) -> u64 {
    let mut world = cluster.shared.lock();
    let turn = world.host(host).machine.turn.clone();
    turn.map_or(0, |(turn, _)| turn.number)
}

#[tokio::test(start_paused = true)]
async fn each_run_has_a_greater_number_and_frees_the_lock() {
    let mut cluster = Cluster::running(1, 1).await;
    assert_eq!(number(&cluster), 1);
    assert_eq!(lease(&cluster)["holderIdentity"], Value::Null);
    assert_eq!(
        [number_on(&cluster, "cp1"), number_on(&cluster, "w1")],
        [1, 1]
    );
    // One that changes nothing needs no lock.
    cluster.apply().await.unwrap();
    assert_eq!(number(&cluster), 1);
    cluster.spec += CHANGE;
    cluster.apply().await.unwrap();
    assert_eq!(number(&cluster), 2);
    assert_eq!(lease(&cluster)["holderIdentity"], Value::Null);
    assert_eq!(
        [number_on(&cluster, "cp1"), number_on(&cluster, "w1")],
        [2, 2]
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_is_refused_while_another_one_has_the_lock_and_told_whose_it_is() {
    let mut cluster = Cluster::running(1, 1).await;
    cluster.spec += CHANGE;
    hold(&cluster, 7, SignedDuration::from_secs(30));
    let error = cluster.apply().await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Locked);
    let text = error.to_string();
    assert!(text.contains("apply by alice@laptop, since "), "{text}");
    assert!(error.hint().unwrap().contains("lock break"));
    assert_eq!(cluster.lines(), [""; 0]);
    let options = RemoveOptions {
        timeout: Duration::from_secs(300),
        force: false,
        unreachable: false,
    };
    let error = cluster.remove(&["w1"], options).await.unwrap_err();
    assert!(matches!(error, Error::Held { .. }), "{error}");
    assert_eq!(cluster.lines(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_not_heard_of_loses_the_lock_to_the_next() {
    let mut cluster = Cluster::running(1, 1).await;
    cluster.spec += CHANGE;
    hold(&cluster, 7, SignedDuration::from_mins(10));
    cluster.apply().await.unwrap();
    assert_eq!(number(&cluster), 8);
    assert_eq!(number_on(&cluster, "w1"), 8);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_loses_its_lock_changes_nothing_more() {
    let mut cluster = Cluster::running(3, 0).await;
    cluster.spec += CHANGE;
    let taken = async {
        tokio::time::sleep(Duration::from_secs(12)).await;
        hold(&cluster, 9, SignedDuration::ZERO);
    };
    let (result, ()) = tokio::join!(cluster.apply(), taken);
    let error = result.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Locked, "{error}");
    assert!(error.to_string().contains("alice@laptop has it"), "{error}");
    assert!(cluster.has("cp1: converged") && !cluster.has("cp3: converge"));
    assert_eq!(lease(&cluster)["holderIdentity"], "alice@laptop 42 apply");
}

#[tokio::test(start_paused = true)]
async fn a_host_refuses_a_run_that_a_later_one_has_overtaken() {
    let mut cluster = Cluster::running(3, 0).await;
    cluster.spec += CHANGE;
    let overtaken = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let turn = Turn {
            number: 99,
            owner: alice(),
        };
        cluster.shared.lock().host("cp2").machine.turn = Some((turn, 0));
    };
    let (result, ()) = tokio::join!(cluster.apply(), overtaken);
    let error = result.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Locked, "{error}");
    assert!(error.to_string().contains("alice@laptop"), "{error}");
    assert!(!cluster.has("cp2: converge") && !cluster.has("cp3: converge"));
    // Its own lock is free again, and the next run's number is greater than all.
    assert_eq!(lease(&cluster)["holderIdentity"], Value::Null);
    let world = || cluster.shared.lock();
    world().host("cp2").machine.turn.as_mut().unwrap().1 = 3600;
    cluster.apply().await.unwrap();
    assert_eq!(number(&cluster), 100);
}

#[tokio::test(start_paused = true)]
async fn before_there_is_an_api_each_host_keeps_the_lock() {
    let cluster = Cluster::bare(1, 0);
    let turn = Turn {
        number: 3,
        owner: alice(),
    };
    let set = |age| cluster.shared.lock().host("cp1").machine.turn = Some((turn.clone(), age));
    set(60);
    let error = cluster.apply().await.unwrap_err();
    assert!(matches!(error, Error::Held { .. }), "{error}");
    assert!(error.to_string().contains("on cp1 60 s ago"), "{error}");
    assert_eq!(cluster.lines(), [""; 0]);
    // Its run has been gone for an hour. The cluster's lock goes on from its number.
    set(3600);
    cluster.apply().await.unwrap();
    assert_eq!((number(&cluster), number_on(&cluster, "cp1")), (4, 4));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_fails_frees_the_lock() {
    let mut cluster = Cluster::running(1, 0).await;
    cluster.spec += CHANGE;
    cluster.shared.lock().host("cp1").fails.insert("converge");
    cluster.apply().await.unwrap_err();
    assert_eq!(number(&cluster), 2);
    assert_eq!(lease(&cluster)["holderIdentity"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_refused_on_a_host_that_another_run_is_at() {
    let cluster = Cluster::running(1, 1).await;
    let turn = Turn {
        number: 50,
        owner: alice(),
    };
    cluster.shared.lock().host("w1").machine.turn = Some((turn, 5));
    let hosts = cluster.reset(&["w1"], ResetOptions::default()).await;
    let error = hosts[0].outcome.as_ref().unwrap_err();
    assert!(matches!(error, Error::Held { .. }), "{error}");
    assert!(!cluster.has("w1: reset"));
    cluster
        .shared
        .lock()
        .host("w1")
        .machine
        .turn
        .as_mut()
        .unwrap()
        .1 = 3600;
    let hosts = cluster.reset(&["w1"], ResetOptions::default()).await;
    hosts[0].outcome.as_ref().unwrap();
}

#[test]
fn a_refusal_of_a_host_ends_with_the_status_of_a_lock() {
    let error = Error::from(HostError::Superseded {
        number: 8,
        owner: Box::new(alice()),
    });
    assert_eq!(error.on("cp1").exit_status(), ExitStatus::Locked);
}
