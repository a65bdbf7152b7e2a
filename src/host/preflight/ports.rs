//! The ports that the host needs for itself.

use super::report::{HostCheck, Report};
use super::subject::Subject;
use crate::inventory::{Cluster, Etcd, LoadBalancer};

/// Ports of every node.
pub(super) const KUBELET_PORT: u16 = 10250;

/// Ports of a control plane beside the API server's.
const CONTROL_PLANE_PORTS: [u16; 2] = [10259, 10257];

/// etcd's ports for clients and for peers.
pub(super) const ETCD_PORTS: [u16; 2] = [2379, 2380];

pub(super) const CHECK: HostCheck = HostCheck {
    names: &["Port-*", "Firewalld"],
    run: check_ports,
};

/// The ports that a host's pieces listen on.
fn own_ports(cluster: &Cluster, subject: &Subject<'_>) -> Vec<u16> {
    let mut ports = Vec::new();
    if subject.host.is_control_plane() {
        ports.push(cluster.bind_port);
        ports.extend(CONTROL_PLANE_PORTS);
        if let Etcd::Local(_) = cluster.etcd {
            ports.extend(ETCD_PORTS);
        }
    }
    if cluster.load_balancer.is_local() && !subject.host.is_control_plane() {
        ports.extend([cluster.bind_port, LoadBalancer::HEALTH_PORT]);
    }
    ports.push(KUBELET_PORT);
    ports
}

fn check_ports(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
    for port in own_ports(cluster, subject) {
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
                    [] => "another process".to_owned(),
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
        let ports: Vec<String> = own_ports(cluster, subject)
            .iter()
            .map(ToString::to_string)
            .collect();
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
