//! A cluster that is recorded instead of reached.

pub mod api;
pub mod cluster;
pub mod etcd;
pub mod host;
pub mod machine;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clusterctl::host::{Crashes, PodLife, UnitLife};
use jiff::Timestamp;
use serde_json::json;
use tokio::time::Instant;

use api::{Objects, node_path};
use etcd::EtcdMember;
use machine::Machine;

pub use cluster::Cluster;

/// How long a host takes for its changes.
pub const CONVERGE: Duration = Duration::from_secs(10);
/// How long the components of a control plane take to be healthy after a change.
const RESTART: Duration = Duration::from_secs(7);

/// Why a request is not answered.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Nothing listens on the port.
    #[error("connection refused")]
    Closed,
    /// What listens there is not of the cluster.
    #[error("invalid certificate")]
    Stranger(#[source] rustls::Error),
}

/// Everything there is.
#[derive(Debug, Default)]
pub struct World {
    /// By name.
    pub hosts: BTreeMap<String, Host>,
    pub objects: Objects,
    pub etcd: Vec<EtcdMember>,
    /// Why etcd refuses every change, if it does.
    pub etcd_refuses: Option<String>,
    /// How often any member was asked anything.
    pub etcd_requests: usize,
    /// Whether a budget forbids every eviction.
    pub evictions_refused: bool,
    /// What was changed, in order.
    lines: Vec<String>,
    /// Every operation on a host, reading ones included: host and operation.
    pub operations: Vec<(String, &'static str)>,
}

/// A host, and what runs on it.
#[derive(Debug)]
pub struct Host {
    pub node: String,
    pub address: IpAddr,
    pub machine: Machine,
    /// Operations that fail from now on.
    pub fails: BTreeSet<&'static str>,
    /// Whether no connection to it comes about.
    pub unreachable: bool,
    /// Whether its control plane never gets healthy.
    pub sick: bool,
    /// Whether its API server ends whenever it is started.
    pub api_dies: bool,
    /// Whether its kubelet ends whenever it is started.
    pub kubelet_dies: bool,
    /// Whether its API server is down until its control plane is changed.
    pub api_is_down: bool,
    /// Whether its API server is healthy, and answers nothing.
    pub api_hangs: bool,
    /// Whether the certificate of its API server is another CA's.
    pub api_is_strange: bool,
    /// Whether its sshd lets no connection through.
    pub forwards_nothing: bool,
    /// Whether it reaches no registry.
    pub has_no_way_out: bool,
    /// Nanoseconds that its clock is ahead.
    pub clock_offset: i128,
    /// Whether its etcd has data.
    pub has_etcd_data: bool,
    /// Whether its etcd had data that is gone.
    pub lost_etcd_data: bool,
    /// An argument that makes its API server end whenever it is started.
    pub refused: Option<&'static str>,
    /// Whether its kubelet's certificate has ended.
    pub certificate_ended: bool,
    restarting_until: Option<Instant>,
    /// Whether the log says that its control plane is healthy since it changed.
    told_healthy: bool,
    kubelet_started: Timestamp,
    /// Whether its kubelet has registered since it started: it does so once.
    registered: bool,
}

impl Host {
    fn new(node: &str, address: IpAddr) -> Self {
        Host {
            node: node.to_owned(),
            address,
            machine: Machine::bare(),
            fails: BTreeSet::new(),
            unreachable: false,
            sick: false,
            api_dies: false,
            kubelet_dies: false,
            api_is_down: false,
            api_hangs: false,
            api_is_strange: false,
            forwards_nothing: false,
            has_no_way_out: false,
            clock_offset: 0,
            has_etcd_data: false,
            lost_etcd_data: false,
            refused: None,
            certificate_ended: false,
            restarting_until: None,
            told_healthy: false,
            kubelet_started: Timestamp::UNIX_EPOCH,
            registered: false,
        }
    }

    /// When its kubelet's certificate ends, if it has one.
    fn certificate_end(&self) -> Option<Timestamp> {
        let day = Duration::from_secs(24 * 3600);
        let has_one = self.machine.has_file("/etc/kubernetes/kubelet.conf");
        has_one.then(|| match self.certificate_ended {
            true => Timestamp::now() - day,
            false => Timestamp::now() + 300 * day,
        })
    }

    fn start_kubelet(&mut self) {
        self.kubelet_started = Timestamp::now();
        self.registered = false;
    }

    pub fn kubelet_runs(&self) -> bool {
        self.machine.is_active("kubelet.service")
    }

    fn static_pod_runs(&self, name: &str) -> bool {
        let restarts = self
            .restarting_until
            .is_some_and(|end| Instant::now() < end);
        let manifest = format!("/etc/kubernetes/manifests/{name}.yaml");
        let ends = self
            .refused
            .is_some_and(|argument| self.machine.text(&manifest).contains(argument));
        self.machine.has_file(&manifest) && self.kubelet_runs() && !self.sick && !restarts && !ends
    }

    /// What a look for crashes finds: the number of attempts is that of seconds.
    fn crashes(&self) -> Crashes {
        let mut crashes = Crashes::default();
        if self.kubelet_dies && !self.kubelet_runs() {
            let life = UnitLife {
                restarts: 3,
                ended: true,
                said: vec!["E1127 1 run.go:72] \"command failed\" err=\"no maxPodz\"".into()],
            };
            crashes.units.insert("kubelet.service".into(), life);
        }
        let manifest = self
            .machine
            .text("/etc/kubernetes/manifests/kube-apiserver.yaml");
        if let Some(argument) = self.refused.filter(|argument| manifest.contains(argument)) {
            let life = PodLife {
                place: argument.to_owned(),
                attempt: 0,
                ended: true,
                said: vec![format!("Error: unknown flag: --{argument}")],
            };
            crashes.pods.insert("kube-apiserver".into(), life);
        }
        crashes
    }

    pub fn etcd_runs(&self) -> bool {
        self.static_pod_runs("etcd") && self.has_etcd_data
    }

    /// Takes etcd's data away. Its member can't start again with the same number.
    pub fn lose_etcd_data(&mut self) {
        self.has_etcd_data = false;
        self.lost_etcd_data = true;
    }
}

impl World {
    pub fn log(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    pub fn host(&mut self, name: &str) -> &mut Host {
        self.hosts.get_mut(name).expect("a host")
    }

    /// Whether the API server on a host answers: its etcd has to have a vote and a quorum.
    pub fn api_runs(&self, host: &str) -> bool {
        let host = &self.hosts[host];
        let own = self.etcd.iter().find(|member| member.name == host.node);
        !host.api_dies
            && host.static_pod_runs("kube-apiserver")
            && !host.api_is_down
            && own.is_some_and(|member| !member.is_learner)
            && self.has_quorum()
    }

    /// Says once after each change that a control plane is healthy.
    fn tell_healthy(&mut self, name: &str) {
        let host = self.host(name);
        if !host.told_healthy {
            host.told_healthy = true;
            self.log(format!("{name}: healthy"));
        }
    }

    fn host_at(&self, url: &str) -> String {
        let named = self
            .hosts
            .iter()
            .find(|(_, host)| url.contains(&format!("//{}:", host.address)));
        named.map_or_else(|| url.to_owned(), |(name, _)| name.clone())
    }

    /// What kubelets and etcd members do by themselves.
    pub fn settle(&mut self) {
        let names: Vec<String> = self.hosts.keys().cloned().collect();
        for name in &names {
            self.start_etcd(name);
        }
        let api = names.iter().any(|name| self.api_runs(name));
        for name in &names {
            if api {
                self.bootstrap(name);
                self.report_node(name);
            }
        }
    }

    /// A new member forms etcd with those that its manifest lists, or joins them.
    fn start_etcd(&mut self, name: &str) {
        let host = &self.hosts[name];
        let (node, url) = (host.node.clone(), format!("https://{}:2380", host.address));
        let manifest = host.machine.text("/etc/kubernetes/manifests/etcd.yaml");
        let known = self.etcd.iter().any(|member| member.name == node);
        if !host.static_pod_runs("etcd") {
            return;
        }
        if known {
            let host = self.host(name);
            host.has_etcd_data |= !host.lost_etcd_data;
            return;
        }
        if let Some(member) = self.etcd.iter_mut().find(|member| member.peer_url == url) {
            member.name = node;
            let host = self.host(name);
            (host.has_etcd_data, host.lost_etcd_data) = (true, false);
            return;
        }
        let flag = |name: &str| {
            let line = manifest.lines().find_map(|line| line.split_once(name));
            line.map(|(_, value)| value.trim().to_owned())
        };
        if flag("--initial-cluster-state=").as_deref() == Some("existing") || !self.etcd.is_empty()
        {
            return;
        }
        let listed = flag("--initial-cluster=").expect("a list of members");
        self.host(name).has_etcd_data = true;
        for (id, member) in (1..).zip(listed.split(',')) {
            let (name, url) = member.split_once('=').expect("a member");
            self.etcd.push(EtcdMember {
                id,
                name: name.to_owned(),
                peer_url: url.to_owned(),
                is_learner: false,
            });
        }
    }

    /// A kubelet with a token gets its certificate.
    fn bootstrap(&mut self, name: &str) {
        const KUBECONFIG: &str = "/etc/kubernetes/kubelet.conf";
        let tokens = self.objects.paths("/secrets/bootstrap-token-").count();
        let host = self.host(name);
        let bootstrap = host.machine.text("/etc/kubernetes/bootstrap-kubelet.conf");
        if tokens == 0
            || bootstrap.is_empty()
            || !host.kubelet_runs()
            || host.machine.has_file(KUBECONFIG) && !host.certificate_ended
        {
            return;
        }
        host.machine.write(KUBECONFIG, &bootstrap);
        host.certificate_ended = false;
        self.log(format!("{name}: joined"));
    }

    /// A kubelet registers its Node, and says how it is. The node controller speaks for one
    /// that doesn't run.
    fn report_node(&mut self, name: &str) {
        let host = &self.hosts[name];
        let path = node_path(&host.node);
        let has_certificate =
            host.machine.has_file("/etc/kubernetes/kubelet.conf") && !host.certificate_ended;
        let runs = host.kubelet_runs() && has_certificate;
        let started = host.kubelet_started.strftime("%Y-%m-%dT%H:%M:%SZ");
        let status = if runs { "True" } else { "Unknown" };
        let condition = json!({"type": "Ready", "status": status, "reason": "Kubelet",
            "message": "kubelet", "lastHeartbeatTime": started.to_string(),
            "lastTransitionTime": started.to_string()});
        let mut node = match self.objects.get(&path) {
            Some(node) => node.clone(),
            None if !runs || host.registered => return,
            None => {
                let subnet = format!("10.244.{}.0/24", self.objects.paths("/nodes/").count());
                json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": host.node},
                    "spec": {"podCIDR": subnet, "podCIDRs": [subnet]}})
            }
        };
        self.host(name).registered |= runs;
        if node["status"]["conditions"][0] != condition {
            node["status"] = json!({"conditions": [condition]});
            self.objects.put(&path, node);
        }
    }
}

/// A world that several speak to.
#[derive(Debug, Clone, Default)]
pub struct Shared(Arc<Mutex<World>>);

impl Shared {
    pub fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was changed so far.
    pub fn lines(&self) -> Vec<String> {
        self.lock().lines.clone()
    }

    /// Forgets what was changed and asked so far.
    pub fn clear(&self) {
        let mut world = self.lock();
        world.lines.clear();
        world.operations.clear();
    }
}
