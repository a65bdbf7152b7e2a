//! Files of a cluster that the host is part of already, or of the remains of one.

use super::report::{HostCheck, Report, path_check};
use super::subject::Subject;
use crate::host::facts::data_dir;
use crate::inventory::{Cluster, Etcd};
use crate::layout::components::STATIC_PODS;
use crate::layout::paths;

pub(super) const CHECK: HostCheck = HostCheck {
    names: &["OtherCluster", "FileAvailable-*", "DirAvailable-*"],
    run: check_remains,
};

fn check_remains(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
    let remedy =
        "if nothing on this host is still needed, reset it (kubeadm reset, or clusterctl-rs reset)";
    let gathered = subject.gathered;
    let control_plane = subject.host.is_control_plane();
    if let Some(other) = gathered
        .receipt_owner
        .as_ref()
        .filter(|owner| owner.cluster != cluster.name)
    {
        report.error(
            "OtherCluster",
            format!("the host belongs to cluster {other}"),
            "reset it from that cluster first, or take it out of the inventory",
        );
    }
    let mut paths: Vec<String> = ["kubelet", "bootstrap-kubelet"]
        .iter()
        .map(|name| format!("/etc/kubernetes/{name}.conf"))
        .collect();
    if control_plane {
        let pods = STATIC_PODS
            .iter()
            .filter(|pod| **pod != "etcd" || matches!(cluster.etcd, Etcd::Local(_)));
        paths.extend(pods.map(|pod| paths::manifest(pod)));
    } else {
        paths.push(format!("{}/ca.crt", cluster.certificates_dir));
    }
    for path in paths {
        report.demand(
            &path_check("FileAvailable", &path),
            subject.owned || !gathered.present.contains(&path),
            format!("{path} is there already"),
            remedy,
        );
    }
    if control_plane && matches!(cluster.etcd, Etcd::Local(_)) {
        let path = data_dir(cluster);
        report.demand(
            &path_check("DirAvailable", path),
            subject.owned || !gathered.filled.contains(path),
            format!("{path} is not empty"),
            remedy,
        );
    }
}
