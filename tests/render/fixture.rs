//! Clusters to render, made by hand: loading inventories has its own tests.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clusterctl::host::{Address, Content, Facts, FileResource, Resource};
use clusterctl::inventory::spec::{
    ApiServer, ControlPlaneComponent, DnsSpec, Mirrors, Taint, TaintEffect,
};
use clusterctl::inventory::{
    Arg, ArtifactSource, Artifacts, Cluster, CniType, Containerd, EncryptionAlgorithm, Etcd, Host,
    ImagePullPolicy, LocalEtcd, Networking, Role, SshSettings, Timeouts, Tree, Version,
};
use clusterctl::kubernetes::anonymous::may_ask_health;
use clusterctl::kubernetes::{
    ClusterContext, ControlPlane, Endpoints, EtcdMember, KeyPair, KubernetesError, NodeContext,
    ObjectGroup, Patches, ResourceGroup, Templates, Token, TokenSecret, endpoint,
};
use serde_json::Value;

/// Stands for a certificate: rendering never looks inside.
pub const CA: &str = "-----BEGIN CERTIFICATE-----\nQ0E=\n-----END CERTIFICATE-----\n";

/// A cluster with what its hosts told, and what else rendering reads.
pub struct Fixture {
    pub cluster: Cluster,
    pub facts: BTreeMap<String, Facts>,
    pub templates: Templates,
    pub patches: Patches,
    pub tokens: Vec<TokenSecret>,
    pub etcd_members: Vec<EtcdMember>,
    pub external_ca: bool,
    pub bootstrap_token: Option<Token>,
    pub pod_cidrs: Vec<ipnet::IpNet>,
}

impl Fixture {
    /// The cluster of kubeadm's reference output with one worker beside, for
    /// `v1.<minor>.2`.
    pub fn new(minor: u32) -> Self {
        let hosts = [
            host("cp1", "192.0.2.11", Role::ControlPlane),
            host("worker1", "192.0.2.21", Role::Worker),
        ];
        let facts = hosts
            .iter()
            .map(|host| (host.name.clone(), facts(host)))
            .collect();
        Fixture {
            cluster: cluster(minor, hosts.into()),
            facts,
            templates: Templates::built_in().unwrap(),
            patches: Patches::default(),
            tokens: Vec::new(),
            etcd_members: Vec::new(),
            external_ca: false,
            bootstrap_token: None,
            pod_cidrs: Vec::new(),
        }
    }

    /// The same with another patch release.
    pub fn patch_release(mut self, patch: u32) -> Self {
        self.cluster.version.patch = patch;
        self
    }

    /// Adds a host.
    pub fn with_host(mut self, name: &str, address: &str, role: Role) -> Self {
        let host = host(name, address, role);
        self.facts.insert(host.name.clone(), facts(&host));
        self.cluster.hosts.push(host);
        self
    }

    pub fn host(&mut self, name: &str) -> &mut Host {
        self.cluster
            .hosts
            .iter_mut()
            .find(|host| host.name == name)
            .unwrap()
    }

    pub fn facts(&mut self, name: &str) -> &mut Facts {
        self.facts.get_mut(name).unwrap()
    }

    pub fn etcd(&mut self) -> &mut LocalEtcd {
        match &mut self.cluster.etcd {
            Etcd::Local(etcd) => etcd,
            Etcd::External(_) => panic!("etcd is external"),
        }
    }

    pub fn endpoints(&self) -> Result<Endpoints, KubernetesError> {
        Endpoints::from_facts(&self.cluster, |host| self.facts.get(&host.name))
    }

    /// Renders a host's resources.
    pub fn resources(&self, name: &str) -> Result<Vec<(ResourceGroup, Resource)>, KubernetesError> {
        self.node(name, clusterctl::kubernetes::node_resources)
    }

    /// Renders a file of the operator's own for the first control plane.
    pub fn render_file(&self, path: &Path, text: &str) -> Result<String, KubernetesError> {
        self.node("cp1", |ctx| ctx.render_file(path, text))
    }

    fn node<T>(
        &self,
        name: &str,
        render: impl FnOnce(&NodeContext<'_>) -> Result<T, KubernetesError>,
    ) -> Result<T, KubernetesError> {
        let host = self
            .cluster
            .hosts
            .iter()
            .find(|host| host.name == name)
            .unwrap();
        let pair = KeyPair {
            cert: "CERT\n",
            key: "KEY\n",
        };
        let first = self.cluster.control_planes().next().unwrap().name == name;
        let control_plane = host.is_control_plane().then_some(ControlPlane {
            admin: pair,
            super_admin: first.then_some(pair),
            controller_manager: pair,
            scheduler: pair,
            kubelet: pair,
            kubelet_ended: self.facts[name]
                .kubelet_has_ended("2026-11-27T00:00:00Z".parse().unwrap()),
            external_ca: self.external_ca,
            anonymous_health: may_ask_health(&self.cluster.api_server.extra_args, |_| None),
            etcd_members: &self.etcd_members,
            etcd_joins: !self.etcd_members.is_empty(),
        });
        render(&NodeContext {
            cluster: &self.cluster,
            host,
            facts: &self.facts[name],
            endpoints: &self.endpoints()?,
            ca: CA,
            control_plane,
            bootstrap_token: self.bootstrap_token.as_ref(),
            cni_bin_dir: "/opt/cni/bin",
            pod_cidrs: &self.pod_cidrs,
            templates: &self.templates,
            patches: &self.patches,
        })
    }

    /// The file that a host gets at a path.
    pub fn file(&self, name: &str, path: &str) -> FileResource {
        self.resources(name)
            .unwrap()
            .into_iter()
            .find_map(|(_, resource)| match resource {
                Resource::File(file) if file.path == path => Some(file),
                _ => None,
            })
            .unwrap_or_else(|| panic!("{name} gets no {path}"))
    }

    /// Its text.
    pub fn text(&self, name: &str, path: &str) -> String {
        text(&self.file(name, path))
    }

    /// A static pod's manifest on the first control plane.
    pub fn manifest(&self, component: &str) -> String {
        self.text(
            "cp1",
            &format!("/etc/kubernetes/manifests/{component}.yaml"),
        )
    }

    /// Renders the API objects.
    pub fn objects(&self) -> Result<Vec<(ObjectGroup, Value)>, KubernetesError> {
        let first = self.cluster.control_planes().next().unwrap();
        let facts = &self.facts[&first.name];
        clusterctl::kubernetes::objects(&ClusterContext {
            cluster: &self.cluster,
            endpoints: &self.endpoints()?,
            advertise_address: endpoint::advertise_address(first, facts)?,
            facts,
            ca: CA,
            tokens: &self.tokens,
            templates: &self.templates,
            patches: &self.patches,
        })
    }

    /// One of them.
    pub fn object(&self, kind: &str, name: &str) -> Value {
        self.objects()
            .unwrap()
            .into_iter()
            .map(|(_, object)| object)
            .find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
            .unwrap_or_else(|| panic!("there is no {kind} {name}"))
    }
}

pub fn text(file: &FileResource) -> String {
    match &file.content {
        Content::Bytes(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        Content::Local { path, .. } => panic!("{} is local", path.display()),
    }
}

pub fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn cluster(minor: u32, hosts: Vec<Host>) -> Cluster {
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    Cluster {
        name: "demo".into(),
        cluster_name: "demo".into(),
        version: Version {
            major: 1,
            minor,
            patch: 2,
        },
        control_plane_endpoint: None,
        load_balancer: Default::default(),
        rollout: Default::default(),
        bind_port: 6443,
        certificates_dir: "/etc/kubernetes/pki".into(),
        image_repository: "registry.k8s.io".into(),
        encryption_algorithm: EncryptionAlgorithm::EcdsaP256,
        external_ca: false,
        certificate_validity: hours(8760),
        certificate_renew_before: hours(720),
        ca_certificate_validity: hours(87600),
        feature_gates: BTreeMap::new(),
        networking: Networking {
            pod_subnets: vec!["10.244.0.0/16".parse().unwrap()],
            service_subnets: vec!["10.96.0.0/12".parse().unwrap()],
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
        dns: DnsSpec::default(),
        pause_image_tag: None,
        proxy_disabled: false,
        kube_proxy_config: Default::default(),
        kubelet_config: Default::default(),
        bootstrap_tokens: Vec::new(),
        certificate_key: None,
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
        artifacts: Artifacts {
            source: ArtifactSource::Online,
            path: None,
            mirrors: Mirrors::default(),
            checksums: Default::default(),
            checksums_file: None,
        },
        containerd: Containerd {
            managed: true,
            config: Default::default(),
        },
        hosts,
        removed_hosts: Vec::new(),
        base_dir: PathBuf::from("/inventory"),
    }
}

fn host(name: &str, address: &str, role: Role) -> Host {
    let taints = match role {
        Role::ControlPlane => vec![Taint {
            key: "node-role.kubernetes.io/control-plane".into(),
            value: None,
            effect: TaintEffect::NoSchedule,
        }],
        Role::Worker => Vec::new(),
    };
    Host {
        name: name.into(),
        node_name: name.into(),
        address: address.into(),
        roles: vec![role],
        labels: BTreeMap::new(),
        taints,
        advertise_address: None,
        cri_socket: "unix:///run/containerd/containerd.sock".into(),
        image_pull_policy: ImagePullPolicy::IfNotPresent,
        kubelet_extra_args: Vec::new(),
        kubelet_config: Default::default(),
        groups: Vec::new(),
        preflight_ignore: Vec::new(),
        sysctls: BTreeMap::new(),
        files: Vec::new(),
        ssh: SshSettings::default(),
    }
}

/// A Debian 12 host, as the one of kubeadm's reference output.
fn facts(host: &Host) -> Facts {
    let address: IpAddr = host.address.parse().unwrap();
    Facts {
        hostname: host.name.clone(),
        arch: "amd64".into(),
        os_id: "debian".into(),
        package_manager: "apt".into(),
        default_ip: Some(address),
        default_interface: "eth0".into(),
        addresses: vec![Address {
            interface: "eth0".into(),
            address,
            prefix: 24,
        }],
        ca_directories: [
            "/etc/ca-certificates",
            "/usr/share/ca-certificates",
            "/usr/local/share/ca-certificates",
        ]
        .map(str::to_owned)
        .into(),
        containerd_version: Some("2.1.9".into()),
        mtu: 1500,
        ..Facts::default()
    }
}

/// Arguments out of `name=value`.
pub fn args<const N: usize>(words: [&str; N]) -> Vec<Arg> {
    words
        .map(|word| word.split_once('=').unwrap())
        .map(|(name, value)| Arg {
            name: name.into(),
            value: value.into(),
        })
        .into()
}

pub fn tree(value: Value) -> Tree {
    match value {
        Value::Object(tree) => tree,
        other => panic!("{other} is no tree"),
    }
}
