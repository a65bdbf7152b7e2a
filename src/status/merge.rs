//! Merges the answers of a round into a status. Pure.

use super::one_line::short;
use jiff::{Timestamp, Unit};
use k8s_openapi::api::core::v1::Node;
use pki::inspect;
use text::terminal::escape;

use super::certs::{Found, Place};
use super::drift::Drift;
use super::etcd::Member;
use super::host::{Told, component};
use super::model::{
    ApiStatus, CertificateStatus, ClusterStatus, ComponentStatus, DriftStatus, EndpointStatus,
    EtcdStatus, Health, HostDrift, HostStatus, NodeStatus, Validity,
};
use super::{certs, etcd};
use crate::inventory::{Cluster, Endpoint, Etcd, Host, Role};
use crate::kubernetes::api;
use crate::layout::names::NODE_ROLE_PREFIX;
use crate::layout::{components, paths};

/// The answers of one round.
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) time: Timestamp,
    /// By host, in the inventory's order.
    pub(super) hosts: Vec<Result<Told, String>>,
    /// The control plane through which the API was asked, and the Nodes.
    pub(super) api: Result<(String, Vec<Node>), String>,
    /// Whether the endpoint reaches the API, if there is an external one.
    pub(super) endpoint: Option<(Endpoint, Result<(), String>)>,
    /// etcd's members, unless it is external.
    pub(super) etcd: Result<Vec<Member>, String>,
    pub(super) drift: Result<Drift, String>,
    /// Certificates in the state directory.
    pub(super) operator: Vec<Found>,
}

/// Merges the answers.
pub(super) fn merge(cluster: &Cluster, answers: &Answers) -> ClusterStatus {
    let nodes = answers.api.as_ref().ok().map(|(_, nodes)| nodes.as_slice());
    let hosts: Vec<HostStatus> = cluster
        .hosts
        .iter()
        .zip(&answers.hosts)
        .map(|(host, told)| of_host(cluster, host, told, nodes, answers))
        .collect();
    let unknown_nodes: Vec<NodeStatus> = nodes
        .unwrap_or_default()
        .iter()
        .filter(|node| {
            let known = |host: &Host| Some(&host.node_name) == node.metadata.name.as_ref();
            !cluster.hosts.iter().any(known)
        })
        .map(of_node)
        .collect();
    let api = ApiStatus {
        reachable: answers.api.is_ok(),
        through: answers.api.as_ref().ok().map(|(host, _)| host.clone()),
        error: answers.api.as_ref().err().map(|why| short(why)),
        endpoint: answers
            .endpoint
            .as_ref()
            .map(|(endpoint, answer)| EndpointStatus {
                address: escape(&endpoint.to_string()).into_owned(),
                reachable: answer.is_ok(),
                error: answer.as_ref().err().map(|why| short(why)),
                held_by: cluster
                    .virtual_address()
                    .map(|_| holders(cluster, &answers.hosts)),
            }),
    };
    let leads_there = api.endpoint.as_ref().is_none_or(|one| one.reachable);
    let etcd = of_etcd(cluster, answers);
    let certificates = certs::merge(&certificates(cluster, answers), answers.time);
    let drift = of_drift(&hosts, &answers.drift);
    ClusterStatus {
        cluster: cluster.name.clone(),
        kubernetes_version: cluster.version.to_string(),
        time: answers.time,
        healthy: api.reachable
            && leads_there
            && hosts.iter().all(HostStatus::is_well)
            && unknown_nodes.iter().all(|node| node.ready)
            && etcd_is_well(&etcd)
            && certificates.iter().all(|one| one.state == Validity::Valid),
        drifted: drifted(&hosts, &drift),
        api,
        hosts,
        unknown_nodes,
        etcd,
        certificates,
        drift,
    }
}

/// The hosts that hold kube-vip's address.
fn holders(cluster: &Cluster, hosts: &[Result<Told, String>]) -> Vec<String> {
    let hosts = cluster.hosts.iter().zip(hosts);
    let has_it =
        |told: &Result<Told, String>| told.as_ref().is_ok_and(|told| told.vitals.virtual_address);
    hosts
        .filter(|(_, told)| has_it(told))
        .map(|(host, _)| host.name.clone())
        .collect()
}

fn of_host(
    cluster: &Cluster,
    host: &Host,
    told: &Result<Told, String>,
    nodes: Option<&[Node]>,
    answers: &Answers,
) -> HostStatus {
    let node = nodes.map(|nodes| {
        let same = |node: &&Node| node.metadata.name.as_ref() == Some(&host.node_name);
        nodes.iter().find(same)
    });
    let (ready, ready_reason) = match node {
        None => (None, None),
        Some(None) => (Some(false), Some("it has not registered".to_owned())),
        Some(Some(node)) => readiness(node),
    };
    let ready_reason = match (ready, told) {
        (Some(false), Ok(told)) => ended_certificate(told, answers.time).or(ready_reason),
        _ => ready_reason,
    };
    let node = node.flatten();
    let installed = told.as_ref().ok().map(|told| &told.vitals.kubelet_version);
    HostStatus {
        name: host.name.clone(),
        node_name: host.node_name.clone(),
        address: host.address.clone(),
        roles: host.roles.iter().map(|role| role_name(*role)).collect(),
        reachable: told.is_ok(),
        error: told.as_ref().err().cloned(),
        kubelet_version: node
            .and_then(kubelet_version)
            .or_else(|| installed.cloned().flatten()),
        ready,
        ready_reason,
        schedulable: node.map(schedulable),
        components: match told {
            Ok(told) => told.components.clone(),
            Err(_) => unknown_components(cluster, host),
        },
        drift: match (told, &answers.drift) {
            (Err(_), _) => HostDrift {
                changes: None,
                error: Some("the host is unreachable".into()),
            },
            (Ok(_), Err(why)) => HostDrift {
                changes: None,
                error: Some(why.clone()),
            },
            (Ok(_), Ok(drift)) => match drift.hosts.get(&host.name) {
                Some(changes) => HostDrift {
                    changes: Some(*changes),
                    error: None,
                },
                None => HostDrift {
                    changes: None,
                    error: Some("it could not be compared".into()),
                },
            },
        },
    }
}

/// Why a kubelet is down whose certificate has ended.
fn ended_certificate(told: &Told, now: Timestamp) -> Option<String> {
    let mut certificates = told.vitals.certificates.iter();
    let (_, pem) = certificates.find(|(path, _)| path.ends_with(paths::KUBELET_CLIENT_CURRENT))?;
    let end = inspect(pem).ok()?.not_after;
    (end <= now).then(|| {
        let end = end.round(Unit::Second).unwrap_or(end);
        format!("its certificate ended at {end}; run `clusterctl-rs apply`")
    })
}

fn role_name(role: Role) -> String {
    match role {
        Role::ControlPlane => "control-plane",
        Role::Worker => "worker",
    }
    .into()
}

/// The components expected on an unreachable host.
fn unknown_components(cluster: &Cluster, host: &Host) -> Vec<ComponentStatus> {
    let mut names = vec![components::KUBELET, "containerd"];
    if host.is_control_plane() {
        names.extend([
            components::API_SERVER,
            components::CONTROLLER_MANAGER,
            components::SCHEDULER,
        ]);
        if matches!(cluster.etcd, Etcd::Local(_)) {
            names.push(components::ETCD);
        }
    }
    let unknown = |name: &&str| component(name, Health::Unknown, Some("the host is unreachable"));
    names.iter().map(unknown).collect()
}

fn of_node(node: &Node) -> NodeStatus {
    let (ready, ready_reason) = readiness(node);
    let addresses = node.status.as_ref().and_then(|s| s.addresses.as_ref());
    let internal = addresses
        .into_iter()
        .flatten()
        .find(|address| address.type_ == "InternalIP");
    let clean = |text: &str| escape(text).into_owned();
    NodeStatus {
        name: clean(node.metadata.name.as_deref().unwrap_or_default()),
        address: internal.map(|address| clean(&address.address)),
        roles: node
            .metadata
            .labels
            .iter()
            .flat_map(|labels| labels.keys())
            .filter_map(|label| label.strip_prefix(NODE_ROLE_PREFIX))
            .map(clean)
            .collect(),
        kubelet_version: kubelet_version(node),
        ready: ready == Some(true),
        ready_reason,
        schedulable: schedulable(node),
    }
}

fn readiness(node: &Node) -> (Option<bool>, Option<String>) {
    match api::node_ready(node) {
        api::Health::Ok => (Some(true), None),
        api::Health::No(why) | api::Health::Never(why) => (Some(false), Some(short(&why))),
    }
}

fn kubelet_version(node: &Node) -> Option<String> {
    let info = node.status.as_ref()?.node_info.as_ref()?;
    let version = escape(&info.kubelet_version).into_owned();
    Some(version).filter(|version| !version.is_empty())
}

fn schedulable(node: &Node) -> bool {
    let spec = node.spec.as_ref();
    spec.and_then(|spec| spec.unschedulable) != Some(true)
}

fn of_etcd(cluster: &Cluster, answers: &Answers) -> EtcdStatus {
    let (external, endpoints) = match &cluster.etcd {
        Etcd::External(external) => (true, external.endpoints.clone()),
        Etcd::Local(_) => (false, Vec::new()),
    };
    let members = match &answers.etcd {
        Ok(members) => etcd::statuses(members),
        Err(_) => Vec::new(),
    };
    let leader = members.iter().find(|member| member.leader);
    EtcdStatus {
        external,
        endpoints,
        leader: leader.map(|member| member.name.clone()),
        error: match &answers.etcd {
            Err(why) if !external => Some(short(why)),
            _ => None,
        },
        members,
    }
}

fn certificates(cluster: &Cluster, answers: &Answers) -> Vec<Found> {
    let mut found = Vec::new();
    for (host, told) in cluster.hosts.iter().zip(&answers.hosts) {
        let Ok(told) = told else { continue };
        found.extend(told.vitals.certificates.iter().map(|(path, pem)| Found {
            name: certs::name(&cluster.certificates_dir, path),
            place: Place::Host(host.name.clone()),
            pem: pem.clone(),
        }));
    }
    found.extend(answers.operator.iter().cloned());
    found
}

fn of_drift(hosts: &[HostStatus], drift: &Result<Drift, String>) -> DriftStatus {
    match drift {
        Ok(drift) => {
            let known: Option<usize> = hosts.iter().map(|host| host.drift.changes).sum();
            DriftStatus {
                changes: known
                    .zip(drift.objects)
                    .map(|(hosts, objects)| hosts + objects + drift.operator),
                objects: drift.objects,
                operator: Some(drift.operator),
                checked_at: Some(drift.at),
                error: None,
            }
        }
        Err(why) => DriftStatus {
            error: Some(why.clone()),
            ..DriftStatus::default()
        },
    }
}

/// Drifted if any change is known; not drifted only if everything is known.
fn drifted(hosts: &[HostStatus], drift: &DriftStatus) -> Option<bool> {
    let known = hosts.iter().filter_map(|host| host.drift.changes);
    let some = known
        .chain(drift.objects)
        .chain(drift.operator)
        .sum::<usize>()
        > 0;
    match drift.changes {
        _ if some => Some(true),
        Some(_) => Some(false),
        None => None,
    }
}

/// An external etcd is not checked.
fn etcd_is_well(etcd: &EtcdStatus) -> bool {
    etcd.external
        || (etcd.error.is_none()
            && etcd.leader.is_some()
            && etcd.members.iter().all(|member| member.healthy))
}

impl HostStatus {
    /// Whether it is reachable and Ready, with all components healthy.
    pub fn is_well(&self) -> bool {
        let up = |one: &ComponentStatus| one.health == Health::Healthy;
        self.reachable && self.ready == Some(true) && self.components.iter().all(up)
    }
}

impl CertificateStatus {
    /// Its location, as shown in the table.
    pub fn place(&self) -> String {
        let mut places = self.hosts.clone();
        if self.operator && (places.is_empty() || self.ca) {
            places.push(match &self.owner {
                Some(owner) => format!("this machine, for {owner}"),
                None => "this machine".into(),
            });
        }
        places.join(", ")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn all_is_well_only_if_everything_is_known_to_be() {
        let cluster = samples::cluster();
        let well = |change: &dyn Fn(&mut Answers)| {
            let mut answers = samples::answers();
            change(&mut answers);
            let status = merge(&cluster, &answers);
            (status.healthy, status.drifted)
        };
        assert_eq!(well(&|_| {}), (true, Some(false)));
        assert_eq!(well(&|a| a.hosts[4] = Err("off".into())), (false, None));
        assert_eq!(well(&|a| a.drift = Err("why".into())), (true, None));
        assert!(!well(&|a| a.etcd = Err("silent".into())).0);
        let balancer = |answer: Result<(), &str>| {
            let endpoint = Endpoint {
                host: "k8s.example.com".into(),
                port: 6443,
            };
            Some((endpoint, answer.map_err(str::to_owned)))
        };
        assert!(well(&|a| a.endpoint = balancer(Ok(()))).0);
        assert!(!well(&|a| a.endpoint = balancer(Err("refused"))).0);
        assert!(!well(&|a| a.etcd.as_mut().unwrap()[0].said = Err("silent".into())).0);
        // One change is enough, whatever else isn't known.
        let drifted = well(&|a| {
            a.hosts[4] = Err("off".into());
            a.drift.as_mut().unwrap().hosts.insert("cp1".into(), 1);
        });
        assert_eq!(drifted, (false, Some(true)));
        // A Node that has gone, and one that never came.
        assert!(!well(&|a| drop(a.api.as_mut().unwrap().1.pop())).0);
    }

    #[test]
    fn a_certificate_is_one_row_wherever_it_is() {
        let status = samples::healthy();
        let rows: Vec<(String, String)> = status
            .certificates
            .iter()
            .map(|one| (one.name.clone(), one.place()))
            .collect();
        assert_eq!(
            rows,
            [
                ("apiserver".into(), "cp1".into()),
                ("ca".into(), "cp1, cp2, this machine".into())
            ]
        );
    }

    #[test]
    fn text_of_a_host_is_harmless() {
        let mut answers = samples::answers();
        let nodes = &mut answers.api.as_mut().unwrap().1;
        nodes[0].metadata.name = Some("evil\u{1b}[2J".into());
        answers.etcd.as_mut().unwrap()[0].listed.name = "cp1\u{7}".into();
        let status = merge(&samples::cluster(), &answers);
        let text = crate::report::status(&status, false);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
    }

    #[test]
    fn external_etcd_is_the_operators_to_watch() {
        let mut cluster = samples::cluster();
        cluster.etcd = Etcd::External(crate::inventory::ExternalEtcd {
            endpoints: vec!["https://192.0.2.50:2379".into()],
            http_endpoints: Vec::new(),
            ca_file: None,
            cert_file: None,
            key_file: None,
        });
        let mut answers = samples::answers();
        answers.etcd = Ok(Vec::new());
        let status = merge(&cluster, &answers);
        assert!(status.healthy && status.etcd.external);
        let text = crate::report::status(&status, false);
        assert!(text.contains("external etcd: https://192.0.2.50:2379"));
    }

    #[test]
    fn the_json_keeps_its_form() {
        let mut json = serde_json::to_value(samples::a_dead_worker()).unwrap();
        for one in json["certificates"].as_array_mut().unwrap() {
            one["serial"] = "…".into();
        }
        // Hosts alike, so one of each kind will do.
        let hosts = json["hosts"].as_array_mut().unwrap();
        hosts.drain(1..3);
        insta::assert_json_snapshot!(json);
    }
}
