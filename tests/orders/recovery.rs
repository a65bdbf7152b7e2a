//! A lost state directory is fetched back: afterwards, nothing is left to change.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use clusterctl::Error;
use clusterctl::recover::find_state;

use super::recorded::Cluster;

const CA: &str = "/etc/kubernetes/pki/ca.crt";
const CA_KEY: &str = "/etc/kubernetes/pki/ca.key";

async fn recover(cluster: &Cluster, replace: bool) -> Result<Vec<String>, Error> {
    let run = cluster.run(&[]);
    let recovery = find_state(&run).await?;
    let mut warnings = recovery.warnings.clone();
    warnings.extend(recovery.write(&run, replace)?.notes);
    Ok(warnings)
}

#[tokio::test(start_paused = true)]
async fn after_a_recovery_nothing_is_left_to_change() {
    let cluster = Cluster::running(3, 1).await;
    let state = cluster.state_dir();
    let kubeconfig = fs::read(state.join("kubeconfig")).unwrap();
    fs::remove_dir_all(&state).unwrap();
    assert_eq!(recover(&cluster, false).await.unwrap(), [""; 0]);
    assert_eq!(cluster.lines(), [""; 0], "no host is changed");
    assert_eq!(fs::read(state.join("kubeconfig")).unwrap(), kubeconfig);
    for (file, mode) in [
        ("pki/ca.key", 0o600),
        ("pki/ca.crt", 0o644),
        ("kubeconfig", 0o600),
    ] {
        let metadata = fs::metadata(state.join(file)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{file}");
    }
    let plan = cluster.plan().await;
    assert_eq!(plan.changes, 0, "{}", plan.render(false));
    // And again: all of it is there.
    let again = find_state(&cluster.run(&[])).await.unwrap();
    assert_eq!(again.changes, []);
}

#[tokio::test(start_paused = true)]
async fn one_control_plane_that_is_out_of_reach_is_left_out_and_named() {
    let cluster = Cluster::running(3, 0).await;
    fs::remove_dir_all(cluster.state_dir()).unwrap();
    cluster.shared.lock().host("cp2").unreachable = true;
    let warnings = recover(&cluster, false).await.unwrap();
    assert!(warnings[0].starts_with("cp2: "), "{warnings:?}");
    cluster.shared.lock().host("cp2").unreachable = false;
    assert_eq!(recover(&cluster, false).await.unwrap(), [""; 0]);
    assert_eq!(cluster.plan().await.changes, 0);
}

#[tokio::test(start_paused = true)]
async fn control_planes_of_two_clusters_are_refused_with_both_fingerprints() {
    let cluster = Cluster::running(2, 0).await;
    let other = Cluster::without_certificates(1, 0);
    other.start().await;
    let [ca, key] = [CA, CA_KEY].map(|path| other.shared.lock().host("cp1").machine.text(path));
    fs::remove_dir_all(cluster.state_dir()).unwrap();
    {
        let mut world = cluster.shared.lock();
        let machine = &mut world.host("cp2").machine;
        machine.write(CA, &ca);
        machine.write(CA_KEY, &key);
    }
    let error = recover(&cluster, false).await.unwrap_err().to_string();
    assert!(error.contains("cp1: sha256:"), "{error}");
    assert!(error.contains("cp2: sha256:"), "{error}");
    assert!(!cluster.state_dir().join("pki").exists());
}

#[tokio::test(start_paused = true)]
async fn another_clusters_keys_are_never_overwritten_but_moved_if_asked() {
    let cluster = Cluster::running(1, 0).await;
    let other = Cluster::without_certificates(1, 0);
    other.start().await;
    let state = cluster.state_dir();
    fs::remove_dir_all(&state).unwrap();
    super::recorded::cluster::copy(&other.state_dir(), &state);
    let theirs = fs::read(state.join("pki/ca.key")).unwrap();
    let error = recover(&cluster, false).await.unwrap_err().to_string();
    assert!(error.contains("pki/ca.crt is sha256:"), "{error}");
    assert_eq!(fs::read(state.join("pki/ca.key")).unwrap(), theirs);
    assert_eq!(recover(&cluster, true).await.unwrap(), [""; 0]);
    assert_ne!(fs::read(state.join("pki/ca.key")).unwrap(), theirs);
    let moved = fs::read_dir(&state).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        path.display()
            .to_string()
            .contains("replaced-")
            .then_some(path)
    });
    let kept = moved.unwrap().join("pki/ca.key");
    assert_eq!(fs::read(kept).unwrap(), theirs);
    assert_eq!(cluster.plan().await.changes, 0);
}

#[tokio::test(start_paused = true)]
async fn a_ca_key_that_is_on_no_host_is_said_to_be_missing() {
    let cluster = Cluster::running(1, 0).await;
    fs::remove_dir_all(cluster.state_dir()).unwrap();
    cluster.shared.lock().host("cp1").machine.remove(CA_KEY);
    let run = cluster.run(&[]);
    let recovery = find_state(&run).await.unwrap();
    assert!(!recovery.authorities[0].has_key);
    let warning = &recovery.warnings[0];
    assert!(
        warning.contains("no control plane has pki/ca.key"),
        "{warning}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_does_not_exist_has_nothing_to_recover() {
    let cluster = Cluster::bare(1, 0);
    let error = recover(&cluster, false).await.unwrap_err().to_string();
    assert!(error.contains("nothing to recover"), "{error}");
}
