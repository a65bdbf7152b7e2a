//! Clusters in good and bad states, for tests.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use serde_json::json;

use super::certs::{Found, Place};
use super::drift::Drift;
use super::etcd::Member;
use super::host::{Told, component};
use super::merge::{Answers, merge};
use super::model::{ClusterStatus, ComponentStatus, Health};
use crate::host::Vitals;
use crate::inventory;
use crate::inventory::Cluster;

const INVENTORY: &str = "
apiVersion: clusterctl.rs/v1alpha1
kind: Cluster
metadata: {name: demo}
spec:
  kubernetesVersion: v1.36.2
  controlPlaneEndpoint: k8s.example.com
  hosts:
    - {name: 'cp[1:3]', address: '192.0.2.[11:13]', roles: [control-plane]}
    - {name: 'w[1:2]', address: '192.0.2.[21:22]', roles: [worker]}
";

/// Three control planes and two workers.
pub(crate) fn cluster() -> Cluster {
    inventory::parse(INVENTORY, "inventory.yaml", Path::new("/"))
        .unwrap()
        .0
}

fn now() -> Timestamp {
    "2026-11-21T06:30:00Z".parse().unwrap()
}

/// A certificate that expires in so many days of a year.
pub(super) fn certificate(name: &str, days: i64) -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    let at = |days: i64| {
        time::OffsetDateTime::from_unix_timestamp(now().as_second() + days * 86400).unwrap()
    };
    if name == "kubernetes" {
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    }
    params.not_before = at(days - 365);
    params.not_after = at(days);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    params.self_signed(&key).unwrap().pem()
}

fn well(name: &str) -> ComponentStatus {
    component(name, Health::Healthy, None)
}

fn told(control_plane: bool) -> Told {
    let mut components = vec![well("kubelet"), well("containerd")];
    if control_plane {
        components.extend([
            well("kube-apiserver"),
            well("kube-controller-manager"),
            well("kube-scheduler"),
            well("etcd"),
        ]);
    }
    Told {
        vitals: Vitals {
            kubelet_version: Some("v1.36.2".into()),
            ..Vitals::default()
        },
        components,
    }
}

fn node(name: &str, ready: &str) -> Node {
    serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {"node-role.kubernetes.io/old": ""}},
        "status": {
            "nodeInfo": {
                "kubeletVersion": "v1.36.2", "architecture": "", "bootID": "",
                "containerRuntimeVersion": "", "kernelVersion": "", "kubeProxyVersion": "",
                "machineID": "", "operatingSystem": "", "osImage": "", "systemUUID": ""
            },
            "addresses": [{"type": "InternalIP", "address": "192.0.2.99"}],
            "conditions": [{
                "type": "Ready", "status": ready,
                "reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status."
            }]
        }
    }))
    .unwrap()
}

pub(super) fn member(id: u64, leader: u64) -> Member {
    Member {
        listed: serde_json::from_value(json!({"ID": id.to_string(), "name": format!("cp{id}")}))
            .unwrap(),
        said: Ok(serde_json::from_value(
            json!({"leader": leader.to_string(), "dbSize": "5242880"}),
        )
        .unwrap()),
    }
}

/// Everything answers, and is as it should be.
pub(super) fn answers() -> Answers {
    let cluster = cluster();
    let names: Vec<String> = cluster.hosts.iter().map(|host| host.name.clone()).collect();
    let mut hosts: Vec<Result<Told, String>> = cluster
        .hosts
        .iter()
        .map(|host| Ok(told(host.is_control_plane())))
        .collect();
    let (ca, apiserver) = (certificate("kubernetes", 3000), certificate("api", 300));
    for told in hosts.iter_mut().take(2).flatten() {
        told.vitals.certificates = vec![("/etc/kubernetes/pki/ca.crt".into(), ca.clone())];
    }
    if let Ok(told) = &mut hosts[0] {
        told.vitals.certificates.push((
            "/etc/kubernetes/pki/apiserver.crt".into(),
            apiserver.clone(),
        ));
    }
    Answers {
        time: now(),
        hosts,
        api: Ok((
            "cp1".into(),
            names.iter().map(|name| node(name, "True")).collect(),
        )),
        endpoint: None,
        etcd: Ok(vec![member(1, 2), member(2, 2), member(3, 2)]),
        drift: Ok(Drift {
            hosts: names.into_iter().map(|name| (name, 0)).collect(),
            objects: Some(0),
            operator: 0,
            at: now(),
        }),
        operator: vec![
            Found {
                name: "ca".into(),
                place: Place::Operator(None),
                pem: ca,
            },
            Found {
                name: "apiserver".into(),
                place: Place::Operator(Some("cp1".into())),
                pem: apiserver,
            },
        ],
    }
}

/// As [`answers`] has it.
pub(crate) fn healthy() -> ClusterStatus {
    merge(&cluster(), &answers())
}

/// w1 is off, w2's kubelet is stopped, a file was edited on cp3; a Node
/// that is not in the inventory, and certificates that end.
pub(crate) fn a_dead_worker() -> ClusterStatus {
    let mut answers = answers();
    answers.hosts[3] = Err("cannot connect to 192.0.2.21:22: No route to host".into());
    if let Ok(told) = &mut answers.hosts[4] {
        told.components[0] = component("kubelet", Health::Unhealthy, Some("inactive"));
        told.vitals.certificates = vec![
            (
                "/var/lib/kubelet/pki/kubelet-client-current.pem".into(),
                certificate("system:node:w2", -3),
            ),
            (
                "/etc/kubernetes/kubelet.conf".into(),
                certificate("system:node:w2", 20),
            ),
        ];
    }
    if let Ok((_, nodes)) = &mut answers.api {
        nodes[3] = node("w1", "Unknown");
        nodes[4] = node("w2", "False");
        let mut cordoned = node("w9", "True");
        cordoned.spec.get_or_insert_default().unschedulable = Some(true);
        nodes.push(cordoned);
    }
    if let Ok(drift) = &mut answers.drift {
        drift.hosts.insert("cp3".into(), 2);
        drift.hosts.remove("w1");
    }
    merge(&cluster(), &answers)
}

/// Two of three control planes are gone, and with them etcd's quorum.
pub(crate) fn a_lost_leader() -> ClusterStatus {
    let mut answers = answers();
    for gone in [1, 2] {
        answers.hosts[gone] = Err("cannot connect to it: timed out".into());
    }
    if let Ok(told) = &mut answers.hosts[0] {
        told.components[2] = component(
            "kube-apiserver",
            Health::Unhealthy,
            Some("[-]etcd failed: reason withheld"),
        );
        told.components[5] = component("etcd", Health::Unhealthy, Some("RAFT NO LEADER"));
    }
    answers.api = Err("through cp1: timed out after 5 s".into());
    answers.drift = Err("cp2 is unreachable".into());
    let gone = |id| Member {
        said: Err("the host cannot connect".into()),
        ..member(id, 0)
    };
    answers.etcd = Ok(vec![member(1, 0), gone(2), gone(3)]);
    merge(&cluster(), &answers)
}

/// Bare hosts.
pub(crate) fn nothing_yet() -> ClusterStatus {
    let mut answers = answers();
    for told in answers.hosts.iter_mut().flatten() {
        told.vitals = Vitals::default();
        told.components = vec![
            component("kubelet", Health::Unhealthy, Some("not installed")),
            well("containerd"),
        ];
    }
    answers.api = Err("there is no admin kubeconfig yet".into());
    answers.etcd = Err("no control plane is reachable".into());
    answers.operator = Vec::new();
    answers.drift = Ok(Drift {
        hosts: cluster()
            .hosts
            .into_iter()
            .map(|host| (host.name, 40))
            .collect::<BTreeMap<_, _>>(),
        objects: None,
        operator: 20,
        at: now(),
    });
    merge(&cluster(), &answers)
}
