//! What kubelet and container runtime read beside what is ours, and what it may break.

use super::report::{HostCheck, Report};
use super::subject::Subject;
use crate::host::facts::ManifestFile;
use crate::inventory::{Cluster, CniType, Etcd, LoadBalancer};
use crate::layout::components::{ETCD, HAPROXY, KUBE_VIP, STATIC_PODS};
use crate::layout::paths;
use crate::layout::programs::Programs;

const MANIFEST: &str = "StrayManifest";
const NETWORK: &str = "OtherCNIConfiguration";
const UNIT: &str = "KubeletDropIn";
const ARGUMENTS: &str = "KubeletExtraArgs";

pub(super) const CHECK: HostCheck = HostCheck {
    names: &[MANIFEST, NETWORK, UNIT, ARGUMENTS],
    run: check_beside,
};

fn check_beside(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
    check_manifests(cluster, subject, report);
    check_networks(cluster, subject, report);
    check_kubelet(subject, report);
}

/// The static pods that this host should run.
fn components(cluster: &Cluster, subject: &Subject<'_>) -> Vec<&'static str> {
    if !subject.host.is_control_plane() {
        let haproxy = cluster.load_balancer.is_local().then_some(HAPROXY);
        return haproxy.into_iter().collect();
    }
    let is_local = matches!(cluster.etcd, Etcd::Local(_));
    let kube_vip = matches!(cluster.load_balancer, LoadBalancer::KubeVip { .. });
    let pods = STATIC_PODS.into_iter();
    pods.filter(|pod| *pod != ETCD || is_local)
        .chain(kube_vip.then_some(KUBE_VIP))
        .collect()
}

fn check_manifests(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
    let components = components(cluster, subject);
    let expected: Vec<String> = components.iter().map(|pod| paths::manifest(pod)).collect();
    // kubeadm's own are the matter of another check as long as the host is not ours.
    let known = |file: &ManifestFile| file.is_ours || expected.contains(&file.path);
    let manifests = subject.gathered.beside.manifests.iter();
    for file in manifests.filter(|file| !known(file)) {
        let path = &file.path;
        let second = file
            .component
            .as_deref()
            .filter(|name| components.contains(name));
        match second {
            Some(component) => report.error(
                MANIFEST,
                format!("{path} makes the kubelet run a second {component}"),
                "move it out of that directory: the kubelet runs every file there whose name \
                 does not start with a dot, whatever it ends with",
            ),
            None => report.warn(
                MANIFEST,
                format!("the kubelet runs {path}, which is not ours"),
                "move it out of that directory, unless it is meant to run",
            ),
        }
    }
}

fn check_networks(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
    if cluster.networking.cni != CniType::Bridge {
        return;
    }
    let networks = subject.gathered.beside.networks.iter();
    for name in networks.filter(|name| name.as_str() < paths::CNI_CONFLIST) {
        report.warn(
            NETWORK,
            format!(
                "{}/{name} sorts before {}, so that new pods get that network instead",
                paths::CNI_CONFIG_DIR,
                paths::CNI_CONFLIST
            ),
            "remove it, or rename it so that it comes later",
        );
    }
}

/// What changes the kubelet beside the inventory. The operator's own `files` are in it.
fn check_kubelet(subject: &Subject<'_>, report: &mut Report<'_>) {
    let places = Programs::of(subject.gathered.facts.uses_opt);
    let ours = [places.kubelet_unit, places.kubelet_drop_in];
    // What a package brought below /usr counts for nothing behind a file of that name in /etc.
    let hidden = |path: &str| {
        let below = path.strip_prefix(Programs::of(false).units);
        places.units != Programs::of(false).units
            && below.is_some_and(|rest| ours.contains(&format!("{}{rest}", places.units).as_str()))
    };
    let files = &subject.host.files;
    let known =
        |path: &str| ours.contains(&path) || files.iter().any(|file| file.destination == path);
    let beside = &subject.gathered.beside;
    let units = beside.units.iter();
    for path in units.filter(|path| !known(path) && !hidden(path)) {
        report.warn(
            UNIT,
            format!("{path} changes how the kubelet is started, and is not ours"),
            "remove it, or add it to `files`",
        );
    }
    let arguments = beside.arguments.iter();
    for (path, line) in arguments.filter(|(path, _)| !known(path)) {
        report.warn(
            ARGUMENTS,
            format!("{path} adds arguments to the kubelet's: {line}"),
            "move them to `nodeRegistration.kubeletExtraArgs`, or add the file to `files`",
        );
    }
}
