//! A small cluster for this module's tests.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::inventory::*;

/// One control plane, `cp1`, and one worker, `w1`.
pub(super) fn cluster() -> Cluster {
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    Cluster {
        name: "demo".into(),
        cluster_name: "demo".into(),
        version: Version {
            major: 1,
            minor: 36,
            patch: 2,
        },
        control_plane_endpoint: Some(Endpoint {
            host: "k8s.example.com".into(),
            port: 6443,
        }),
        bind_port: 6443,
        certificates_dir: "/etc/kubernetes/pki".into(),
        image_repository: "registry.k8s.io".into(),
        encryption_algorithm: EncryptionAlgorithm::EcdsaP256,
        certificate_validity: Duration::from_secs(3600 * 8760),
        certificate_renew_before: Duration::from_secs(3600 * 720),
        ca_certificate_validity: Duration::from_secs(3600 * 87600),
        feature_gates: BTreeMap::new(),
        networking: Networking {
            pod_subnets: vec![net("10.244.0.0/16")],
            service_subnets: vec![net("10.96.0.0/12")],
            dns_domain: "cluster.local".into(),
            cni: CniType::Bridge,
            cni_manifest: None,
        },
        api_server: ApiServer::default(),
        controller_manager: ControlPlaneComponent::default(),
        scheduler: ControlPlaneComponent::default(),
        etcd: Etcd::Local(LocalEtcd {
            data_dir: "/var/lib/etcd".into(),
            image_repository: None,
            image_tag: None,
            extra_args: Vec::new(),
            extra_envs: Vec::new(),
            server_cert_sans: Vec::new(),
            peer_cert_sans: Vec::new(),
        }),
        dns: spec::DnsSpec::default(),
        pause_image_tag: None,
        proxy_disabled: false,
        kube_proxy_config: Tree::new(),
        kubelet_config: Tree::new(),
        bootstrap_tokens: Vec::new(),
        certificate_key: None,
        external_ca: false,
        skip_phases: Vec::new(),
        patches_dir: None,
        templates_dir: None,
        timeouts: Timeouts {
            control_plane_component_health_check: minutes(4),
            kubelet_health_check: minutes(4),
            kubernetes_api_call: minutes(1),
            etcd_api_call: minutes(2),
            tls_bootstrap: minutes(5),
            node_ready: minutes(5),
        },
        rollout: Default::default(),
        load_balancer: Default::default(),
        artifacts: Artifacts {
            source: ArtifactSource::Online,
            path: None,
            mirrors: Mirrors::default(),
            checksums: Default::default(),
            checksums_file: None,
        },
        containerd: Containerd {
            managed: true,
            config: Tree::new(),
        },
        hosts: vec![
            host("cp1", "192.0.2.11", Role::ControlPlane),
            host("w1", "192.0.2.21", Role::Worker),
        ],
        removed_hosts: Vec::new(),
        base_dir: "/inventory".into(),
    }
}

/// A network.
pub(super) fn net(text: &str) -> ipnet::IpNet {
    text.parse().expect("a network")
}

fn host(name: &str, address: &str, role: Role) -> Host {
    Host {
        name: name.into(),
        node_name: name.into(),
        address: address.into(),
        roles: vec![role],
        labels: BTreeMap::new(),
        taints: Vec::new(),
        advertise_address: address.parse().ok(),
        cri_socket: "unix:///var/run/containerd/containerd.sock".into(),
        image_pull_policy: ImagePullPolicy::default(),
        kubelet_extra_args: Vec::new(),
        kubelet_config: Tree::new(),
        groups: Vec::new(),
        preflight_ignore: Vec::new(),
        sysctls: BTreeMap::new(),
        files: Vec::new(),
        ssh: SshSettings::default(),
    }
}
