//! A recorded host, as a run speaks to it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use clusterctl::Error;
use clusterctl::host::preflight::{Connection, Probe, Registry, Way};
use clusterctl::host::{
    Action, Cleaned, Crashes, Facts, Fetched, FoundTurn, Gathered, HostError, HostPlan, Kind,
    Observed, Reset, Resource, Runtime, Turn, Vitals,
};
use clusterctl::inventory::{self, Cluster};
use clusterctl::kubernetes::api::{ApiError, EtcdClient, Health, Identity};
use clusterctl::kubernetes::health::HealthEndpoint;
use clusterctl::layout::ports;
use clusterctl::run::events::Events;
use clusterctl::run::remote::{
    Answer, ConnectHosts, Converging, Ownership, Remote, RemoteHost, Server,
};
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use kube::client::Body;
use ssh::SshError;
use tokio::time::Instant;

use super::api::Asked;
use super::machine::Machine;
use super::{CONVERGE, RESTART, Refusal, Shared, api, etcd};

/// What kube-vips take turns at.
pub const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/plndr-cp-lock";

/// Connects to recorded hosts.
#[derive(Debug)]
pub struct RecordedHosts(pub Shared);

impl ConnectHosts for RecordedHosts {
    fn connect<'a>(&'a self, host: &'a inventory::Host, _: &'a Events) -> Answer<'a, Remote> {
        async move {
            if self.0.lock().host(&host.name).unreachable {
                let (host, reason) = (host.name.clone(), "no route".to_owned());
                return Err(SshError::Lost { host, reason }.into());
            }
            Ok(Arc::new(RecordedHost {
                name: host.name.clone(),
                shared: self.0.clone(),
            }) as Remote)
        }
        .boxed()
    }
}

#[derive(Debug)]
struct RecordedHost {
    name: String,
    shared: Shared,
}

impl RecordedHost {
    /// Remembers an operation, and fails if it is to.
    fn begin(&self, operation: &'static str) -> Result<(), Error> {
        let mut world = self.shared.lock();
        world.operations.push((self.name.clone(), operation));
        let host = world.host(&self.name);
        if host.unreachable {
            let (host, reason) = (self.name.clone(), "no route".to_owned());
            return Err(SshError::Lost { host, reason }.into());
        }
        match host.fails.contains(operation) && operation != "converge" {
            true => Err(failure(operation)),
            false => Ok(()),
        }
    }

    fn client(&self, port: u16) -> kube::Client {
        let (name, shared) = (self.name.clone(), self.shared.clone());
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let (name, shared) = (name.clone(), shared.clone());
            async move {
                let asked = Asked::read(request).await;
                loop {
                    if let Some(response) = answer(&shared, &name, port, &asked)? {
                        return Ok::<_, Refusal>(response);
                    }
                    // A watch: until there is news.
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        });
        kube::Client::new(service, "default")
    }
}

fn answer(
    shared: &Shared,
    host: &str,
    port: u16,
    asked: &Asked,
) -> Result<Option<http::Response<Body>>, Refusal> {
    let mut world = shared.lock();
    world.settle();
    if port == ports::ETCD_CLIENT {
        return match world.host(host).etcd_runs() {
            true => Ok(Some(etcd::answer(&mut world, host, asked))),
            false => Err(Refusal::Closed),
        };
    }
    if !world.api_runs(host) {
        return Err(Refusal::Closed);
    }
    if world.host(host).api_is_strange {
        let why = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        return Err(Refusal::Stranger(why));
    }
    if matches!(asked.path.as_str(), "/livez" | "/readyz") {
        world.tell_healthy(host);
    } else if world.host(host).api_hangs {
        return Ok(Some(api::status(504, "timed out")));
    }
    api::answer(&mut world, asked)
}

fn authorities(machine: &Machine) -> BTreeMap<String, String> {
    let public = ["ca.crt", "etcd/ca.crt", "front-proxy-ca.crt", "sa.pub"];
    let keys = ["ca.key", "etcd/ca.key", "front-proxy-ca.key", "sa.key"];
    let path = |name: &str| format!("/etc/kubernetes/pki/{name}");
    let there = |name: &&str| machine.has_file(&path(name));
    let public = public.into_iter().filter(there);
    let keys = keys.into_iter().filter(there);
    public
        .map(|name| (name.to_owned(), machine.text(&path(name))))
        .chain(keys.map(|name| (name.to_owned(), "\n".to_owned())))
        .collect()
}

fn words(text: &str) -> BTreeSet<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn failure(operation: &str) -> Error {
    HostError::Step {
        step: operation.to_owned(),
        why: "this test lets it fail".into(),
    }
    .into()
}

impl RemoteHost for RecordedHost {
    fn is_closed(&self) -> bool {
        self.shared.lock().host(&self.name).unreachable
    }

    fn gather<'a>(&'a self, _: &'a Cluster, _: &'a inventory::Host) -> Answer<'a, Gathered> {
        async move {
            self.begin("gather")?;
            let mut world = self.shared.lock();
            world.settle();
            let host = world.host(&self.name);
            let machine = &host.machine;
            let line = |path: &str, key: &str| {
                let text = machine.text(path);
                let line = text.lines().find_map(|line| line.split_once(key));
                line.map(|(_, value)| value.trim().to_owned())
            };
            let running = machine.running();
            let etcd = "/etc/kubernetes/manifests/etcd.yaml";
            let kubelet = "/etc/kubernetes/kubelet.conf";
            Ok(Gathered {
                facts: Facts {
                    hostname: self.name.clone(),
                    arch: "amd64".into(),
                    os_id: "debian".into(),
                    os_version: "13".into(),
                    kernel: "6.12.0".into(),
                    cgroup_version: 2,
                    default_ip: Some(host.address),
                    default_interface: "eth0".into(),
                    kubelet_version: Some("v1.36.2".into()),
                    containerd_version: Some("2.1.9".into()),
                    package_manager: "apt".into(),
                    cni_bin_dir: Some("/opt/cni/bin".into()),
                    cpus: 4,
                    memory: 8 << 30,
                    mtu: 1500,
                    machine_id: self.name.clone(),
                    joined: machine.has_file(kubelet),
                    etcd_initial_cluster: line(etcd, "--initial-cluster="),
                    etcd_initial_cluster_state: line(etcd, "--initial-cluster-state="),
                    super_admin: machine.has_file("/etc/kubernetes/super-admin.conf"),
                    kubelet_server: line(kubelet, "server: "),
                    kubelet_certificate_end: host.certificate_end(),
                    ..Facts::default()
                },
                // What preflight asks for, as far as a node that works has it.
                commands: words(
                    "losetup mount cp sha256sum stat base64 xargs systemctl ip modprobe iptables \
                     ethtool conntrack socat tc ebtables crictl nft",
                ),
                present: words("/run/systemd/system /proc/sys/net/bridge"),
                cgroup_controllers: words("cpu cpuset memory pids hugetlb io"),
                cgroup_freezer: true,
                sysctls: [
                    ("net.ipv4.ip_forward", "1"),
                    ("net.bridge.bridge-nf-call-iptables", "1"),
                ]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
                runtime: Runtime::Ready,
                kubelet_ca: line(kubelet, "certificate-authority-data: "),
                authorities: authorities(machine),
                etcd_has_data: host.has_etcd_data,
                clock_offset: Some(host.clock_offset),
                receipt_owner: machine.receipt.as_ref().map(|one| one.owner.clone()),
                running,
                ..Gathered::default()
            })
        }
        .boxed()
    }

    fn find_forbidden<'a>(
        &'a self,
        targets: &'a [(String, u16)],
    ) -> BoxFuture<'a, Vec<(String, u16)>> {
        async move {
            match self.shared.lock().host(&self.name).forwards_nothing {
                true => targets.to_vec(),
                false => Vec::new(),
            }
        }
        .boxed()
    }

    fn try_registries<'a>(
        &'a self,
        registries: &'a [Registry],
    ) -> Answer<'a, BTreeMap<String, Way>> {
        async move {
            self.begin("try registries")?;
            let closed = self.shared.lock().host(&self.name).has_no_way_out;
            let way = |one: &Registry| {
                let way = match closed {
                    true => Way::Closed("timed out".into()),
                    false => Way::Open,
                };
                (one.name.clone(), way)
            };
            Ok(registries.iter().map(way).collect())
        }
        .boxed()
    }

    fn observe<'a>(&'a self, resources: &'a [Resource]) -> Answer<'a, Observed> {
        async move {
            self.begin("observe")?;
            Ok(self
                .shared
                .lock()
                .host(&self.name)
                .machine
                .observe(resources))
        }
        .boxed()
    }

    fn fetch<'a>(&'a self, paths: &'a [String]) -> Answer<'a, Fetched> {
        async move {
            self.begin("fetch")?;
            Ok(self.shared.lock().host(&self.name).machine.fetch(paths))
        }
        .boxed()
    }

    fn converge<'a>(
        &'a self,
        plan: &'a HostPlan,
        turn: Option<&'a Turn>,
        on_progress: &'a mut (dyn FnMut(Converging) + Send),
    ) -> Answer<'a, ()> {
        async move {
            self.begin("converge")?;
            let name = &self.name;
            if let Some(turn) = turn {
                self.shared.lock().host(name).machine.guard(turn)?;
            }
            self.shared.lock().log(format!("{name}: converge"));
            for at in 0..plan.changes.len() {
                on_progress(Converging::Change(at));
            }
            tokio::time::sleep(CONVERGE).await;
            let mut world = self.shared.lock();
            let host = world.host(name);
            if host.fails.contains("converge") {
                world.log(format!("{name}: converge failed"));
                return Err(failure("converge"));
            }
            host.machine.converge(plan);
            let changes = |kind: Kind, name: &str| {
                plan.changes.iter().any(|change| {
                    change.kind == kind
                        && change.name.contains(name)
                        && change.action != Action::Enable
                })
            };
            if changes(Kind::StaticPod, "") || changes(Kind::File, "/etc/kubernetes/manifests/") {
                host.restarting_until = Some(Instant::now() + RESTART);
                host.told_healthy = false;
                host.api_is_down = false;
            }
            if changes(Kind::Unit, "kubelet.service") {
                host.start_kubelet();
                if host.kubelet_dies {
                    host.machine.stop_unit("kubelet.service");
                }
            }
            world.log(format!("{name}: converged"));
            Ok(())
        }
        .boxed()
    }

    fn read_receipt(&self) -> Answer<'_, Ownership> {
        async move {
            self.begin("read receipt")?;
            let mut world = self.shared.lock();
            let machine = &world.host(&self.name).machine;
            Ok(Ownership {
                receipt: machine.receipt.clone(),
                turn: machine.turn.clone().map(|(turn, age)| FoundTurn {
                    turn,
                    age: Duration::from_secs(age),
                }),
                joined: machine.has_file("/etc/kubernetes/kubelet.conf"),
            })
        }
        .boxed()
    }

    fn reset<'a>(
        &'a self,
        wanted: &'a Reset<'a>,
        on_step: &'a mut (dyn FnMut(String) + Send),
    ) -> Answer<'a, Cleaned> {
        async move {
            self.begin("reset")?;
            on_step("resetting".into());
            let mut world = self.shared.lock();
            if let Some(turn) = &wanted.turn {
                world.host(&self.name).machine.guard(turn)?;
            }
            world.host(&self.name).machine.reset();
            world.log(format!("{}: reset", self.name));
            Ok(Cleaned::default())
        }
        .boxed()
    }

    fn take_turn<'a>(&'a self, turn: &'a Turn) -> Answer<'a, ()> {
        async move {
            self.begin("take turn")?;
            Ok(self.shared.lock().host(&self.name).machine.guard(turn)?)
        }
        .boxed()
    }

    fn restart_kubelet(&self) -> Answer<'_, ()> {
        async move {
            self.begin("restart kubelet")?;
            let mut world = self.shared.lock();
            world.host(&self.name).start_kubelet();
            world.log(format!("{}: kubelet restarted", self.name));
            Ok(())
        }
        .boxed()
    }

    fn kubelet_started(&self) -> Answer<'_, Timestamp> {
        async move {
            self.begin("kubelet started")?;
            Ok(self.shared.lock().host(&self.name).kubelet_started)
        }
        .boxed()
    }

    fn ask_kubelet_unit(&self) -> Answer<'_, Health> {
        async move {
            self.begin("ask kubelet unit")?;
            match self.shared.lock().host(&self.name).kubelet_runs() {
                true => Ok(Health::Ok),
                false => Ok(Health::No("kubelet.service is inactive".into())),
            }
        }
        .boxed()
    }

    fn put_back<'a>(&'a self, _: Option<&'a Turn>) -> Answer<'a, bool> {
        async move {
            self.begin("put back")?;
            let mut world = self.shared.lock();
            let host = world.host(&self.name);
            let done = host.machine.put_back();
            host.restarting_until = Some(Instant::now() + RESTART);
            host.told_healthy = false;
            host.start_kubelet();
            host.machine.start_unit("kubelet.service");
            world.log(format!("{}: put back", self.name));
            Ok(done)
        }
        .boxed()
    }

    fn forget_previous<'a>(&'a self, _: Option<&'a Turn>) -> Answer<'a, ()> {
        async move {
            self.begin("forget previous")?;
            self.shared.lock().host(&self.name).machine.previous.clear();
            Ok(())
        }
        .boxed()
    }

    fn look_for_crashes(&self, _: Option<i64>) -> Answer<'_, Crashes> {
        async move {
            self.begin("look for crashes")?;
            Ok(self.shared.lock().host(&self.name).crashes())
        }
        .boxed()
    }

    fn collect_evidence<'a>(&'a self, components: &'a [&'a str]) -> Answer<'a, String> {
        async move {
            self.begin("collect evidence")?;
            Ok(format!(
                "E1 nothing is known of {}\n",
                components.join(", ")
            ))
        }
        .boxed()
    }

    fn try_connections<'a>(
        &'a self,
        connections: &'a [Connection],
    ) -> Answer<'a, BTreeMap<(IpAddr, u16), Probe>> {
        async move {
            self.begin("try connections")?;
            let world = self.shared.lock();
            let tried = connections.iter().map(|one| {
                let is_host = world.hosts.values().any(|host| host.address == one.address);
                let probe = if is_host {
                    Probe::Refused
                } else {
                    Probe::Timeout
                };
                ((one.address, one.port), probe)
            });
            Ok(tried.collect())
        }
        .boxed()
    }

    fn wait_until_address_gone(&self, _: IpAddr) -> Answer<'_, ()> {
        async move {
            self.begin("wait until address gone")?;
            loop {
                {
                    let mut world = self.shared.lock();
                    let node = world.host(&self.name).node.clone();
                    let lease = world.objects.get(LEASE);
                    if lease.is_none_or(|lease| lease["spec"]["holderIdentity"] != node.as_str()) {
                        world.log(format!("{}: address gone", self.name));
                        return Ok(());
                    }
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        .boxed()
    }

    fn read_vitals<'a>(&'a self, _: &'a Cluster, _: &'a inventory::Host) -> Answer<'a, Vitals> {
        async move {
            self.begin("read vitals")?;
            Ok(Vitals::default())
        }
        .boxed()
    }

    fn probe_health<'a>(&'a self, at: &'a HealthEndpoint) -> BoxFuture<'a, io::Result<Health>> {
        async move {
            let mut world = self.shared.lock();
            let host = world.host(&self.name);
            let runs = match at.port {
                ports::KUBELET_HEALTHZ => host.kubelet_runs(),
                _ => host.static_pod_runs("kube-scheduler"),
            };
            match runs {
                true => Ok(Health::Ok),
                false => Err(io::Error::other(Refusal::Closed)),
            }
        }
        .boxed()
    }

    fn api_client(
        &self,
        _: &str,
        port: u16,
        _: &str,
        _: &Identity,
    ) -> Result<kube::Client, ApiError> {
        Ok(self.client(port))
    }

    fn etcd_client(
        &self,
        _: &str,
        port: u16,
        _: &str,
        _: &Identity,
    ) -> Result<EtcdClient, ApiError> {
        Ok(EtcdClient::from_client(self.client(port)))
    }

    fn external_etcd_client(
        &self,
        url: &str,
        _: Option<&str>,
        _: Option<&Identity>,
    ) -> Result<EtcdClient, ApiError> {
        panic!("{url}: no recorded cluster has an etcd of the operator's")
    }

    fn api_answers<'a>(
        &'a self,
        _: &'a str,
        _: u16,
        _: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        async move { Ok(()) }.boxed()
    }

    /// The one that holds kube-vip's address serves there.
    fn serving_certificate<'a>(&'a self, _: &'a str, _: u16) -> BoxFuture<'a, io::Result<Server>> {
        async move {
            let world = self.shared.lock();
            let holder = world.objects.get(LEASE).and_then(|lease| {
                let holder = lease["spec"]["holderIdentity"].as_str()?;
                world.hosts.values().find(|host| host.node == holder)
            });
            let Some(holder) = holder else {
                return Err(io::Error::other(Refusal::Closed));
            };
            let pem = holder.machine.text("/etc/kubernetes/pki/apiserver.crt");
            let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
            let der = base64::engine::general_purpose::STANDARD.decode(base64);
            let (stream, _) = tokio::io::duplex(64);
            Ok((Box::new(stream) as _, der.expect("a certificate")))
        }
        .boxed()
    }
}
