//! The ports that the host needs for itself.

use super::report::{HostCheck, Report};
use super::subject::Subject;
use crate::inventory::Cluster;

pub(super) const CHECK: HostCheck = HostCheck {
    names: &["Port-*", "Firewalld"],
    run: check_ports,
};

fn check_ports(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
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
