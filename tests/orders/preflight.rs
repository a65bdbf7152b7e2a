//! What preflight refuses before anything is changed.

use clusterctl::Error;
use clusterctl::plan::preflight::{UNCHECKED, report_findings};

use super::recorded::Cluster;

/// The findings that stopped a run.
async fn refused(cluster: &Cluster) -> Vec<String> {
    match cluster.apply().await {
        Err(Error::Preflight { findings, .. }) => findings
            .iter()
            .filter(|finding| finding.severity == clusterctl::host::preflight::Severity::Error)
            .map(|finding| format!("{} {}", finding.host, finding.check))
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn control_planes_that_forward_nothing_are_refused_before_anything_is_installed() {
    let cluster = Cluster::bare(3, 1);
    for host in ["cp2", "w1"] {
        cluster.shared.lock().host(host).forwards_nothing = true;
    }
    assert_eq!(refused(&cluster).await, ["cp2 TCPForwarding"]);
    assert_eq!(cluster.lines(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_running_cluster_is_not_left_half_changed_where_forwarding_was_switched_off() {
    let mut cluster = Cluster::running(3, 1).await;
    cluster.spec += "  kubelet: {config: {maxPods: 99}}\n";
    cluster.shared.lock().host("cp3").forwards_nothing = true;
    assert_eq!(refused(&cluster).await, ["cp3 TCPForwarding"]);
    assert_eq!(cluster.lines(), [""; 0]);
    cluster.spec += "  preflight: {ignore: [TCPForwarding]}\n";
    cluster.apply().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn preflight_says_why_a_host_could_not_be_checked() {
    let cluster = Cluster::bare(1, 2);
    for host in ["cp1", "w2"] {
        cluster.shared.lock().host(host).unreachable = true;
    }
    let report = report_findings(&cluster.run(&[])).await.unwrap();
    let unchecked = report.findings.iter();
    let unchecked = unchecked.filter(|finding| finding.check == UNCHECKED);
    let told: Vec<&str> = unchecked.map(|finding| finding.host.as_str()).collect();
    assert_eq!(told, ["cp1", "w2"]);
    assert!(report.findings[0].message.contains("no route"));
    assert_eq!(report.hosts, ["w1"]);
}

#[tokio::test(start_paused = true)]
async fn images_that_no_archive_has_need_a_way_out() {
    let mut cluster = Cluster::bare(1, 1);
    cluster.shared.lock().host("w1").has_no_way_out = true;
    assert_eq!(refused(&cluster).await, ["w1 ImagePull"]);
    assert_eq!(cluster.lines(), [""; 0]);
    // Whoever brings them by other means is not asked.
    cluster.spec += "  nodeRegistration: {imagePullPolicy: Never}\n";
    cluster.plan().await;
}
