//! Golden files: everything that a host gets, and every API object, by minor
//! and by kind of cluster.

use std::fmt::Write;

use clusterctl::host::{Absent, Directory, Resource, SeedLink, SelfCheck, Unit};
use clusterctl::inventory::{CniType, Endpoint, Etcd, ExternalEtcd, Role};
use clusterctl::kubernetes::{EtcdMember, TokenSecret, to_yaml_documents};

use super::fixture::{Fixture, text};

/// Every resource of a host in one text.
fn host(fixture: &Fixture, name: &str) -> String {
    let mut all = String::new();
    let mut group = None;
    for (next, resource) in fixture.resources(name).unwrap() {
        if group.replace(next) != Some(next) {
            writeln!(all, "##### {next:?}").unwrap();
        }
        match &resource {
            Resource::File(file) => {
                let mut notes = format!("{:04o} {}", file.mode, file.owner);
                for (set, note) in [(file.secret, "secret"), (file.seed, "seed")] {
                    notes += if set { " " } else { "" };
                    notes += if set { note } else { "" };
                }
                for unit in &file.notify {
                    write!(notes, " → {unit}").unwrap();
                }
                writeln!(all, "=== {} ({notes})\n{}", file.path, text(file)).unwrap();
            }
            Resource::Directory(Directory { path, mode, owner }) => {
                writeln!(all, "=== {path}/ ({mode:04o} {owner})").unwrap();
            }
            Resource::SeedLink(SeedLink { path, target, .. }) => {
                writeln!(all, "=== {path} → {target} (seed)").unwrap()
            }
            Resource::Absent(Absent { path, .. }) => writeln!(all, "=== {path} (absent)").unwrap(),
            Resource::SelfCheck(SelfCheck { script, unit }) => {
                writeln!(all, "=== {script} (checks {unit})").unwrap();
            }
            Resource::Unit(Unit {
                name,
                enabled,
                active,
            }) => {
                writeln!(all, "=== {name} (enabled: {enabled}, active: {active})").unwrap();
            }
            other => panic!("rendering makes no {other:?}"),
        }
    }
    all
}

/// The manifests of a control plane in one text.
fn manifests(fixture: &Fixture, name: &str) -> String {
    let all = host(fixture, name);
    let sections = all
        .split("\n=== ")
        .filter(|section| section.starts_with("/etc/kubernetes/manifests/"));
    sections
        .map(|section| section.split("\n#####").next().unwrap())
        .collect::<Vec<_>>()
        .join("\n=== ")
}

fn objects(fixture: &Fixture) -> String {
    let objects = fixture.objects().unwrap();
    to_yaml_documents(objects.iter().map(|(_, object)| object)).unwrap()
}

/// Three control planes behind an endpoint.
fn high_availability() -> Fixture {
    let mut fixture = Fixture::new(36)
        .with_host("cp2", "192.0.2.12", Role::ControlPlane)
        .with_host("cp3", "192.0.2.13", Role::ControlPlane);
    fixture.cluster.control_plane_endpoint = Some(Endpoint {
        host: "k8s.example.com".into(),
        port: 8443,
    });
    fixture.etcd_members = ["cp1=https://192.0.2.11:2380", "cp2=https://192.0.2.12:2380"]
        .map(|member| member.split_once('=').unwrap())
        .map(|(name, url)| EtcdMember {
            name: name.into(),
            peer_url: url.into(),
        })
        .into();
    fixture
}

#[test]
fn control_plane_by_minor() {
    for minor in 33..=37 {
        insta::assert_snapshot!(
            format!("control_plane_1_{minor}"),
            host(&Fixture::new(minor), "cp1")
        );
    }
}

#[test]
fn worker_by_minor() {
    for minor in [33, 36] {
        let mut fixture = Fixture::new(minor);
        fixture.bootstrap_token = Some("abcdef.0123456789abcdef".parse().unwrap());
        fixture.pod_cidrs = vec!["10.244.1.0/24".parse().unwrap()];
        insta::assert_snapshot!(format!("worker_1_{minor}"), host(&fixture, "worker1"));
    }
}

#[test]
fn a_worker_that_has_joined_keeps_no_token() {
    let mut fixture = Fixture::new(36);
    fixture.facts("worker1").joined = true;
    let all = host(&fixture, "worker1");
    assert!(all.contains("/etc/kubernetes/bootstrap-kubelet.conf (absent)"));
    assert!(all.contains("=== kubelet.service (enabled: true, active: true)"));
}

#[test]
fn objects_by_minor() {
    for minor in 33..=37 {
        let mut fixture = Fixture::new(minor);
        fixture.tokens.push(TokenSecret::for_join(
            "abcdef.0123456789abcdef".parse().unwrap(),
            "2026-01-02T03:04:05Z".parse().unwrap(),
            "for this run",
        ));
        insta::assert_snapshot!(format!("objects_1_{minor}"), objects(&fixture));
    }
}

#[test]
fn a_control_plane_that_joins() {
    insta::assert_snapshot!(host(&high_availability(), "cp2"));
}

#[test]
fn what_is_rendered_twice_is_the_same() {
    let (one, two) = (high_availability(), high_availability());
    assert_eq!(host(&one, "cp2"), host(&two, "cp2"));
    assert_eq!(objects(&one), objects(&two));
}

#[test]
fn members_that_a_manifest_lists_are_found_again() {
    let fixture = high_availability();
    let manifest = fixture.text("cp2", "/etc/kubernetes/manifests/etcd.yaml");
    // As the facts of a host tell it.
    let list = manifest
        .lines()
        .find_map(|line| line.trim().strip_prefix("- --initial-cluster="))
        .unwrap();
    let members = clusterctl::kubernetes::etcd::parse_members(list);
    assert_eq!(members.as_ref(), Some(&fixture.etcd_members));
    assert_eq!(clusterctl::kubernetes::etcd::parse_members("{"), None);
}

#[test]
fn an_external_etcd() {
    let mut fixture = Fixture::new(36);
    fixture.cluster.etcd = Etcd::External(ExternalEtcd {
        endpoints: vec![
            "https://192.0.2.31:2379".into(),
            "https://192.0.2.32:2379".into(),
        ],
        http_endpoints: vec!["https://192.0.2.31:2378".into()],
        ca_file: Some("/home/me/etcd-ca.crt".into()),
        cert_file: Some("/home/me/etcd.crt".into()),
        key_file: Some("/home/me/etcd.key".into()),
    });
    insta::assert_snapshot!("external_etcd_manifests", manifests(&fixture, "cp1"));
    let config = fixture.object("ConfigMap", "kubeadm-config");
    insta::assert_snapshot!(
        "external_etcd_config",
        config["data"]["ClusterConfiguration"].as_str().unwrap()
    );
}

#[test]
fn an_external_etcd_without_tls() {
    let mut fixture = Fixture::new(34);
    fixture.cluster.etcd = Etcd::External(ExternalEtcd {
        endpoints: vec!["http://192.0.2.31:2379".into()],
        http_endpoints: vec!["http://192.0.2.31:2378".into()],
        ca_file: None,
        cert_file: None,
        key_file: None,
    });
    let manifest = fixture.manifest("kube-apiserver");
    let flags: Vec<&str> = manifest
        .lines()
        .filter(|line| line.contains("--etcd"))
        .collect();
    assert_eq!(flags, ["    - --etcd-servers=http://192.0.2.31:2379"]);
    let config = fixture.object("ConfigMap", "kubeadm-config");
    insta::assert_snapshot!(config["data"]["ClusterConfiguration"].as_str().unwrap());
}

#[test]
fn dual_stack() {
    let mut fixture = Fixture::new(36);
    let networking = &mut fixture.cluster.networking;
    networking
        .pod_subnets
        .push("fd00:10:244::/56".parse().unwrap());
    networking
        .service_subnets
        .push("fd00:10:96::/112".parse().unwrap());
    fixture.pod_cidrs = vec![
        "10.244.0.0/24".parse().unwrap(),
        "fd00:10:244::/64".parse().unwrap(),
    ];
    insta::assert_snapshot!("dual_stack_control_plane", host(&fixture, "cp1"));
    insta::assert_snapshot!("dual_stack_objects", objects(&fixture));
}

#[test]
fn ipv6_only() {
    let mut fixture = Fixture::new(36).with_host("cp6", "2001:db8::16", Role::ControlPlane);
    fixture.cluster.hosts.retain(|host| host.name == "cp6");
    let networking = &mut fixture.cluster.networking;
    networking.pod_subnets = vec!["fd00:10:244::/56".parse().unwrap()];
    networking.service_subnets = vec!["fd00:10:96::/112".parse().unwrap()];
    networking.cni = CniType::None;
    insta::assert_snapshot!("ipv6_control_plane", host(&fixture, "cp6"));
    insta::assert_snapshot!("ipv6_objects", objects(&fixture));
}
