//! Checks of what stands where the node's pieces will stand, and of its
//! network.

use super::proxy::proxy_for;
use super::{Report, Subject, path_check};
use crate::host::Runtime;
use crate::host::gather::{MANIFESTS, STATIC_PODS, data_dir};
use crate::inventory::{Cluster, Etcd};

pub(super) fn check(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
    ports(cluster, subject, report);
    files(cluster, subject, report);
    runtime(cluster, subject, report);
    names(cluster, subject, report);
    proxies(cluster, subject, report);
}

fn ports(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
    let own = cluster.listening_ports(subject.host);
    for port in own.iter().map(|own| own.port) {
        let check = format!("Port-{port}");
        let listener = subject
            .gathered
            .listeners
            .iter()
            .find(|listener| listener.port == port);
        let is_ours =
            |name: &String| name == "etcd" || name == "haproxy" || name.starts_with("kube");
        let ours = |names: &[String]| names.is_empty() || names.iter().any(is_ours);
        match listener {
            None => report.pass(&check),
            Some(listener) if subject.owned && ours(&listener.processes) => report.pass(&check),
            Some(listener) => {
                let who = match listener.processes.as_slice() {
                    [] => "somebody".to_owned(),
                    names => names.join(", "),
                };
                report.error(
                    &check,
                    format!("{who} listens on port {port}"),
                    "stop what listens there, or reset the host if it is part of another cluster",
                );
            }
        }
    }
    let firewalld = subject.gathered.units.get("firewalld.service");
    if firewalld.is_some_and(|unit| unit.active == "active") {
        let ports: Vec<String> = own.iter().map(|own| own.port.to_string()).collect();
        report.warn(
            "Firewalld",
            format!(
                "firewalld is active: ports {} have to be open",
                ports.join(", ")
            ),
            "open them (firewall-cmd --add-port=…/tcp --permanent), or disable firewalld",
        );
    } else {
        report.pass("Firewalld");
    }
}

/// Files of a cluster that the host is part of already, or of the remains of
/// one.
fn files(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
    let remedy =
        "if nothing on this host is still needed, reset it (kubeadm reset, or clusterctl-rs reset)";
    let gathered = subject.gathered;
    let control_plane = subject.host.is_control_plane();
    if let Some(other) = gathered
        .receipt_cluster
        .as_ref()
        .filter(|name| **name != cluster.name)
    {
        report.error(
            "OtherCluster",
            format!("the host belongs to cluster `{other}`"),
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
        paths.extend(pods.map(|pod| format!("{MANIFESTS}/{pod}.yaml")));
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

fn runtime(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
    let gathered = subject.gathered;
    let socket = &subject.host.cri_socket;
    let managed = cluster.containerd.managed && socket.contains("containerd");
    let fault = match gathered.runtime {
        Runtime::Ready => None,
        Runtime::Absent => Some(format!("there is no container runtime at {socket}")),
        Runtime::Silent => Some(format!("the container runtime at {socket} doesn't answer")),
        Runtime::NoCri => Some(format!(
            "the container runtime at {socket} doesn't serve the CRI"
        )),
    };
    let installed = gathered.commands.contains("containerd");
    match fault {
        None => report.pass("CRI"),
        Some(fault) if !managed => report.error(
            "CRI",
            fault,
            "start and configure it, or let us manage containerd (runtime.containerd.managed)",
        ),
        Some(_) if installed => report.info("CRI", "containerd will be configured and started"),
        Some(_) if gathered.facts.package_manager.is_empty() => report.error(
            "CRI",
            "there is no containerd, and no package manager that we know (apt, dnf, yum, zypper)",
            "install containerd",
        ),
        Some(_) => report.info(
            "CRI",
            format!(
                "containerd will be installed by {}",
                gathered.facts.package_manager
            ),
        ),
    }
    match &gathered.facts.containerd_version {
        Some(version) if version.starts_with("1.") || version.starts_with("0.") => report.warn(
            "ContainerRuntimeVersion",
            format!("containerd {version} doesn't tell the kubelet its cgroup driver, which v1.38 demands"),
            "plan an upgrade to containerd 2",
        ),
        Some(_) => report.pass("ContainerRuntimeVersion"),
        None => {}
    }
}

fn names(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
    let (facts, gathered) = (&subject.gathered.facts, subject.gathered);
    match &gathered.hostname_addresses {
        Some(addresses) if addresses.is_empty() => report.warn(
            "Hostname",
            format!("the host can't resolve its own name `{}`", facts.hostname),
            "add it to DNS or to /etc/hosts",
        ),
        _ => report.pass("Hostname"),
    }
    let endpoint = cluster.control_plane_endpoint.as_ref();
    if let Some(endpoint) = endpoint.filter(|endpoint| endpoint.ip().is_none()) {
        match &gathered.endpoint_addresses {
            Some(addresses) if addresses.is_empty() => report.error(
                "EndpointResolution",
                format!("`{}` (controlPlaneEndpoint) doesn't resolve", endpoint.host),
                "add it to DNS or to the host's /etc/hosts",
            ),
            Some(_) => report.pass("EndpointResolution"),
            None => report.info("EndpointResolution", "not checked: the host has no getent"),
        }
    }
    let loopback: Vec<String> = facts
        .nameservers
        .iter()
        .filter(|server| server.is_loopback())
        .map(ToString::to_string)
        .collect();
    if cluster.dns.disabled {
        report.pass("LoopbackResolvConf");
    } else if facts.nameservers.is_empty() {
        report.warn(
            "LoopbackResolvConf",
            "resolv.conf names no server: CoreDNS would have nobody to ask, and exit",
            "name a server there, or point kubelet.config.resolvConf to a file that does",
        );
    } else if loopback.is_empty() {
        report.pass("LoopbackResolvConf");
    } else {
        report.warn(
            "LoopbackResolvConf",
            format!(
                "resolv.conf names {}: CoreDNS would forward to itself, see a loop and exit",
                loopback.join(", ")
            ),
            "name a server that isn't loopback there, or point kubelet.config.resolvConf to a file that does",
        );
    }
}

fn proxies(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
    let facts = &subject.gathered.facts;
    let endpoint = cluster.control_plane_endpoint.as_ref();
    let address = if subject.host.is_control_plane() {
        subject.host.advertise_address.or(facts.default_ip)
    } else {
        let resolved = subject.gathered.endpoint_addresses.as_ref();
        endpoint
            .and_then(|endpoint| endpoint.ip())
            .or_else(|| resolved?.first().copied())
    };
    let remedy = "add it to NO_PROXY in /etc/environment";
    match address.filter(|address| proxy_for(&facts.proxy_env, *address).is_some()) {
        Some(address) => report.warn(
            "HTTPProxy",
            format!("{address} would be reached through a proxy"),
            remedy,
        ),
        None => report.pass("HTTPProxy"),
    }
    if !subject.host.is_control_plane() {
        return;
    }
    let networking = &cluster.networking;
    let proxied: Vec<String> = networking
        .service_subnets
        .iter()
        .chain(&networking.pod_subnets)
        .filter(|net| {
            let first = net.hosts().next().unwrap_or(net.network());
            proxy_for(&facts.proxy_env, first).is_some()
        })
        .map(ToString::to_string)
        .collect();
    match proxied.is_empty() {
        true => report.pass("HTTPProxyCIDR"),
        false => report.warn(
            "HTTPProxyCIDR",
            format!("{} would be reached through a proxy", proxied.join(" and ")),
            remedy,
        ),
    }
}
