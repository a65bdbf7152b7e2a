//! What a file means once it is resolved.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use clusterctl::inventory::{self, Cluster, CniType, EncryptionAlgorithm, Etcd, Role};

/// A cluster with these lines under `spec`, and these hosts.
fn cluster(spec: &str, hosts: &str) -> Cluster {
    cluster_in(Path::new("/base"), spec, hosts)
}

/// The same in another directory.
fn cluster_in(base: &Path, spec: &str, hosts: &str) -> Cluster {
    let mut text = "apiVersion: clusterctl.rs/v1alpha1\nkind: Cluster\nmetadata: {name: demo}\n\
                    spec:\n  kubernetesVersion: v1.36.2\n"
        .to_owned();
    for line in spec.lines() {
        text.push_str(&format!("  {line}\n"));
    }
    text.push_str("  hosts:\n");
    for line in hosts.lines() {
        text.push_str(&format!("    {line}\n"));
    }
    let parsed = inventory::parse(&text, "inventory.yaml", base);
    parsed.unwrap_or_else(|error| panic!("{error}")).0
}

const ONE: &str = "- {name: cp1, address: 192.0.2.11, roles: [control-plane, worker]}";

#[test]
fn certificates_that_are_valid_for_weeks_are_renewed_in_their_last_third() {
    let cluster = cluster("certificateValidityPeriod: 240h", ONE);
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    assert_eq!(cluster.certificate_renew_before, hours(80));
}

#[test]
fn the_least_file_has_kubeadms_defaults() {
    let cluster = cluster("", ONE);
    assert_eq!(cluster.name, "demo");
    assert_eq!(cluster.cluster_name, "demo");
    assert_eq!(cluster.version.to_string(), "v1.36.2");
    assert_eq!(cluster.bind_port, 6443);
    assert_eq!(cluster.certificates_dir, "/etc/kubernetes/pki");
    assert_eq!(cluster.image_repository, "registry.k8s.io");
    assert_eq!(cluster.encryption_algorithm, EncryptionAlgorithm::EcdsaP256);
    assert_eq!(
        cluster.certificate_validity,
        Duration::from_secs(8760 * 3600)
    );
    assert_eq!(
        cluster.ca_certificate_validity,
        Duration::from_secs(87600 * 3600)
    );
    assert_eq!(
        cluster.certificate_renew_before,
        Duration::from_secs(720 * 3600)
    );
    assert_eq!(cluster.networking.pod_subnet(), "10.244.0.0/16");
    assert_eq!(cluster.networking.service_subnet(), "10.96.0.0/12");
    assert_eq!(cluster.networking.dns_domain, "cluster.local");
    assert_eq!(cluster.networking.cni, CniType::Bridge);
    assert!(matches!(&cluster.etcd, Etcd::Local(etcd) if etcd.data_dir == "/var/lib/etcd"));
    assert_eq!(
        cluster.timeouts.kubernetes_api_call,
        Duration::from_secs(60)
    );
    assert!(cluster.containerd.managed);
    assert_eq!(cluster.state_dir(), Path::new("/base/.clusterctl/demo"));

    let host = &cluster.hosts[0];
    assert_eq!(
        (host.name.as_str(), host.node_name.as_str()),
        ("cp1", "cp1")
    );
    assert_eq!(host.roles, [Role::ControlPlane, Role::Worker]);
    assert_eq!(
        host.cri_socket,
        "unix:///var/run/containerd/containerd.sock"
    );
    assert_eq!(host.ssh.port, None);
    assert!(host.ssh.agent && host.ssh.use_ssh_config && host.ssh.become_root.is_none());
    // Else ConnectTimeout in ~/.ssh/config would count for nothing.
    assert_eq!(host.ssh.connect_timeout, None);
}

#[test]
fn the_endpoint_is_the_operators_alone() {
    let endpoint = |spec: &str, hosts: &str| {
        let endpoint = cluster(spec, hosts).control_plane_endpoint;
        endpoint.map(|endpoint| endpoint.to_string())
    };
    // As with kubeadm: an endpoint that nobody chose is not written down.
    assert_eq!(endpoint("", ONE), None);
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        endpoint("controlPlaneEndpoint: k8s.example.com", ONE),
        some("k8s.example.com:6443")
    );

    assert_eq!(
        endpoint("controlPlaneEndpoint: k8s.example.com:8443", ONE),
        some("k8s.example.com:8443")
    );
}

#[test]
fn only_pure_control_planes_are_tainted() {
    let taints = |host: &str| {
        let hosts = format!("{host}\n- {{name: w1, roles: [worker]}}");
        let cluster = cluster("", &hosts);
        assert!(cluster.hosts[1].taints.is_empty());
        cluster.hosts[0].taints.len()
    };
    assert_eq!(taints("- {name: cp1, roles: [control-plane]}"), 1);
    assert_eq!(taints("- {name: cp1, roles: [control-plane, worker]}"), 0);
    assert_eq!(
        taints("- {name: cp1, roles: [control-plane], taints: []}"),
        0
    );
}

#[test]
fn hosts_may_share_an_address_behind_ports() {
    let hosts = "- {name: cp1, address: 127.0.0.1, roles: [control-plane], ssh: {port: 2201}}\n\
                 - {name: w1, address: 127.0.0.1, roles: [worker], ssh: {port: 2202}}";
    let cluster = cluster("", hosts);
    assert_eq!(cluster.hosts[1].advertise_address, None);
    assert_eq!(cluster.hosts[1].ssh.port, Some(2202));
}

#[test]
fn yaml_is_read_as_version_1_2() {
    let cluster = cluster(
        "sysctls: {a.no: no, a.yes: true, a.octal: 0644, a.hex: 0x10, a.text: \"08\", a.big: -5}\n\
         kubelet: {config: {nothing: null, float: 1.5, list: [1, a], on: off}}\n\
         clusterName: 'no'",
        ONE,
    );
    let sysctls = &cluster.hosts[0].sysctls;
    assert_eq!(sysctls["a.no"], "no");
    assert_eq!(sysctls["a.yes"], "1");
    assert_eq!(sysctls["a.octal"], "644");
    assert_eq!(sysctls["a.hex"], "16");
    assert_eq!(sysctls["a.text"], "08");
    assert_eq!(sysctls["a.big"], "-5");
    assert_eq!(cluster.cluster_name, "no");
    let config = serde_json::Value::Object(cluster.kubelet_config);
    assert_eq!(
        config,
        serde_json::json!({"nothing": null, "float": 1.5, "list": [1, "a"], "on": "off"})
    );
}

#[test]
fn anchors_and_merge_keys_work() {
    let cluster = cluster(
        "",
        "- &first\n  name: cp1\n  roles: [control-plane]\n  ssh: &ssh {user: ops, port: 2222}\n\
         - <<: *first\n  name: w1\n  roles: [worker]\n  ssh: {<<: *ssh, port: 22}",
    );
    let worker = &cluster.hosts[1];
    assert_eq!(worker.name, "w1");
    assert_eq!(worker.roles, [Role::Worker]);
    assert_eq!(worker.ssh.user.as_deref(), Some("ops"));
    assert_eq!(worker.ssh.port, Some(22));
}

#[test]
fn a_field_that_is_null_is_not_there() {
    let cluster = cluster("networking:\nclusterName: ~\nssh: {port: null}", ONE);
    assert_eq!(cluster.cluster_name, "demo");
    assert_eq!(cluster.hosts[0].ssh.port, None);
}

#[test]
fn a_later_file_replaces_one_with_its_destination() {
    let root = env!("CARGO_MANIFEST_DIR");
    let spec = format!("files: [{{source: {root}/Cargo.toml, destination: /etc/a}}]");
    let host = format!(
        "- name: cp1\n  roles: [control-plane, worker]\n  files:\n  - {{source: {root}/Cargo.lock, \
         destination: /etc/a, mode: \"0600\", owner: ops}}"
    );
    let cluster = cluster(&spec, &host);
    let files = &cluster.hosts[0].files;
    assert_eq!(files.len(), 1);
    assert!(files[0].source.ends_with("Cargo.lock"));
    assert_eq!((files[0].mode, files[0].owner.as_str()), (0o600, "ops:ops"));
}

#[test]
fn a_secret_file_is_its_owners_alone_unless_the_inventory_says_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("token"), "x").unwrap();
    let files = "files:
- {source: token, destination: /etc/a}
- {source: token, destination: /etc/b, secret: true}
- {source: token, destination: /etc/c, secret: true, mode: '0640'}";
    let cluster = cluster_in(dir.path(), files, ONE);
    let modes = cluster.hosts[0].files.iter().map(|file| file.mode);
    assert_eq!(modes.collect::<Vec<u32>>(), [0o644, 0o600, 0o640]);
}
