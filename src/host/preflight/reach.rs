//! Whether hosts reach the ports of those that they need.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::finding::Finding;
use super::report::Report;
use super::subject::Subject;
use crate::host::error::HostError;
use crate::host::wire::Sections;
use crate::inventory::Cluster;
use crate::layout::components;
use ssh::Script;

/// A connection that a cluster needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connection {
    /// Name of the host that connects.
    pub from: String,
    /// Name of the host that listens.
    pub to: String,
    /// Address that it listens on.
    pub address: IpAddr,
    /// Port that it listens on.
    pub port: u16,
}

/// What became of an attempt to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// Something listens.
    Open,
    /// Nothing listens, but nothing is in between.
    Refused,
    /// No answer: a firewall, most likely.
    Timeout,
    /// Something in between says no.
    Unreachable,
}

/// The connections that hosts need among themselves, in a fixed order: every
/// host to every API server, control planes to etcd and to every kubelet.
pub fn required_connections(cluster: &Cluster, subjects: &[Subject<'_>]) -> Vec<Connection> {
    let mut connections = Vec::new();
    for from in subjects {
        for to in subjects {
            let Some(address) = to.advertised().filter(|_| from.host.name != to.host.name) else {
                continue;
            };
            let needed = |component| match component {
                components::API_SERVER => true,
                components::ETCD | components::KUBELET => from.host.is_control_plane(),
                _ => false,
            };
            let ports = cluster.listening_ports(to.host);
            let ports = ports.into_iter().filter(|port| needed(port.component));
            connections.extend(ports.map(|port| Connection {
                from: from.host.name.clone(),
                to: to.host.name.clone(),
                address,
                port: port.port,
            }));
        }
    }
    connections
}

/// The probe for one host: `connections` are those from it.
pub fn reachability<'a>(connections: impl IntoIterator<Item = &'a Connection>) -> Script {
    let targets: Vec<String> = connections
        .into_iter()
        .map(|connection| format!("{},{}", connection.address, connection.port))
        .collect();
    Script {
        name: "reach ports".into(),
        text: format!("targets='{}'\n", targets.join(" ")) + include_str!("../scripts/reach.sh"),
        input: Vec::new(),
    }
}

/// Reads what [`reachability`]'s script said. Empty if the host has nothing to
/// try it with.
///
/// # Errors
///
/// An answer that isn't one, or that was cut off.
pub fn parse_reachability(raw: &[u8]) -> Result<BTreeMap<(IpAddr, u16), Probe>, HostError> {
    let sections = Sections::parse(raw, "reach")?;
    let line = |line: &String| {
        let (target, verdict) = line.split_once(' ')?;
        let (address, port) = target.rsplit_once(',')?;
        let probe = match verdict {
            "open" => Probe::Open,
            "refused" => Probe::Refused,
            "unreachable" => Probe::Unreachable,
            "timeout" => Probe::Timeout,
            _ => return None,
        };
        Some(((address.parse().ok()?, port.parse().ok()?), probe))
    };
    Ok(sections.text("reach").iter().filter_map(line).collect())
}

/// Judges what one host reaches: `connections` are those from it.
pub fn check_reachability(
    subject: &Subject<'_>,
    connections: &[Connection],
    probes: &BTreeMap<(IpAddr, u16), Probe>,
) -> Vec<Finding> {
    const CHECK: &str = "PortReachable";
    let mut report = Report::new(subject.host);
    let own: Vec<&Connection> = connections
        .iter()
        .filter(|connection| connection.from == subject.host.name)
        .collect();
    let mut blocked: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for connection in &own {
        let probe = probes.get(&(connection.address, connection.port));
        if let Some(Probe::Timeout | Probe::Unreachable) = probe {
            blocked
                .entry(connection.port)
                .or_default()
                .push(&connection.to);
        }
    }
    if !blocked.is_empty() {
        let ports = blocked.iter().map(|(port, hosts)| match hosts.len() {
            0..=3 => format!("port {port} of {}", hosts.join(", ")),
            more => format!(
                "port {port} of {}, {}, {} and {} more",
                hosts[0],
                hosts[1],
                hosts[2],
                more - 3
            ),
        });
        report.error(
            CHECK,
            format!("can't reach {}", ports.collect::<Vec<_>>().join("; ")),
            "open the ports in the firewalls in between",
        );
    } else if probes.is_empty() && !own.is_empty() {
        report.info(CHECK, "not checked: the host has neither bash, nc nor curl");
    } else {
        report.pass(CHECK);
    }
    report.finish()
}
