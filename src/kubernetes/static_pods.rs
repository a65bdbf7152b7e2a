//! The static pods of a control plane: the template's defaults, the operator's
//! arguments, environment and volumes merged in as kubeadm does, then patches.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::context::{ControlPlane, EtcdMember, NodeContext, proxy_environment};
use super::{KubernetesError, args, endpoint, images, versions};
use crate::inventory::spec::{EnvVar, HostPathMount};
use crate::inventory::{Arg, Cluster, Etcd};

/// Where the kubelet looks for static pods.
pub const MANIFESTS_DIR: &str = "/etc/kubernetes/manifests";

/// Ports that kubeadm's etcd listens on.
pub(crate) const ETCD_CLIENT_PORT: u16 = 2379;
const ETCD_PEER_PORT: u16 = 2380;
const ETCD_METRICS_PORT: u16 = 2381;

/// What the flex-volume mount of minors before 1.36 defaults to.
const FLEX_VOLUME_DIR: &str = "/usr/libexec/kubernetes/kubelet-plugins/volume/exec";

/// CA directories beside /etc/ssl/certs that kubeadm mounts where they exist:
/// on some distributions the links in there lead to them.
pub const CA_DIRECTORIES: [&str; 5] = [
    "/etc/pki/ca-trust",
    "/etc/pki/tls/certs",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
];

/// A component that runs as a static pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    /// `etcd`
    Etcd,
    /// `kube-apiserver`
    ApiServer,
    /// `kube-controller-manager`
    ControllerManager,
    /// `kube-scheduler`
    Scheduler,
}

impl Component {
    /// The name of its pod, its container and its manifest.
    pub fn name(self) -> &'static str {
        match self {
            Component::Etcd => "etcd",
            Component::ApiServer => "kube-apiserver",
            Component::ControllerManager => "kube-controller-manager",
            Component::Scheduler => "kube-scheduler",
        }
    }

    /// The components of a control plane of this cluster, in kubeadm's order.
    pub fn all(cluster: &Cluster) -> &'static [Component] {
        use Component::{ApiServer, ControllerManager, Etcd as Member, Scheduler};
        match cluster.etcd {
            Etcd::Local(_) => &[Member, ApiServer, ControllerManager, Scheduler],
            Etcd::External(_) => &[ApiServer, ControllerManager, Scheduler],
        }
    }

    fn extras(self, cluster: &Cluster) -> Extras<'_> {
        match (self, &cluster.etcd) {
            (Component::Etcd, Etcd::Local(etcd)) => Extras {
                args: &etcd.extra_args,
                envs: &etcd.extra_envs,
                volumes: &[],
            },
            (Component::Etcd, Etcd::External(_)) => Extras {
                args: &[],
                envs: &[],
                volumes: &[],
            },
            (Component::ApiServer, _) => Extras {
                args: &cluster.api_server.extra_args,
                envs: &cluster.api_server.extra_envs,
                volumes: &cluster.api_server.extra_volumes,
            },
            (Component::ControllerManager, _) => Extras {
                args: &cluster.controller_manager.extra_args,
                envs: &cluster.controller_manager.extra_envs,
                volumes: &cluster.controller_manager.extra_volumes,
            },
            (Component::Scheduler, _) => Extras {
                args: &cluster.scheduler.extra_args,
                envs: &cluster.scheduler.extra_envs,
                volumes: &cluster.scheduler.extra_volumes,
            },
        }
    }
}

/// What the operator adds to a component.
#[derive(Clone, Copy)]
struct Extras<'a> {
    args: &'a [Arg],
    envs: &'a [EnvVar],
    volumes: &'a [HostPathMount],
}

/// Where a component answers the kubelet's probes.
struct Probe {
    /// Empty: the pod's address.
    host: String,
    port: u16,
    scheme: &'static str,
}

/// Renders a component's static pod.
pub fn pod(
    component: Component,
    ctx: &NodeContext<'_>,
    control_plane: &ControlPlane<'_>,
) -> Result<Value, KubernetesError> {
    let extras = component.extras(ctx.cluster);
    let template = format!("manifests/{}.yaml.j2", component.name());
    let view = view(component, ctx, control_plane, extras)?;
    let mut pod = ctx.templates.render_yaml(&template, &view)?;
    let environment = environment(component, ctx, extras.envs);
    compose(component, &mut pod, extras, &environment).ok_or_else(|| {
        ctx.templates
            .unexpected(&template, "Pod", "no container has a command")
    })?;
    ctx.patches.apply(component.name(), &mut pod)?;
    Ok(pod)
}

/// The static pods that read a file of certificatesDir only when they start.
/// What is missing here, they read anew by themselves: the API server its serving
/// certificate and the front proxy's, etcd its certificates at each handshake.
pub fn readers_of(file: &str) -> &'static [&'static str] {
    match file {
        "ca.crt" | "ca.key" | "sa.key" | "sa.pub" => &["kube-apiserver", "kube-controller-manager"],
        "apiserver-kubelet-client.crt" | "apiserver-kubelet-client.key" => &["kube-apiserver"],
        "front-proxy-ca.crt" => &["kube-apiserver", "kube-controller-manager"],
        "etcd/ca.crt" => &["etcd", "kube-apiserver"],
        _ => &[],
    }
}

/// The members that `--initial-cluster` of an etcd manifest lists. Rendering it
/// again with these leaves it as it is.
pub fn etcd_members(initial_cluster: &str) -> Option<Vec<EtcdMember>> {
    let members = initial_cluster.split(',').map(|member| {
        let (name, peer_url) = member.split_once('=')?;
        Some(EtcdMember {
            name: name.into(),
            peer_url: peer_url.into(),
        })
    });
    members.collect()
}

/// The URL under which a member's peers reach it.
pub fn etcd_peer_url(address: IpAddr) -> String {
    url("https", address, ETCD_PEER_PORT)
}

/// The URL under which clients reach a member.
pub fn etcd_client_url(address: IpAddr) -> String {
    url("https", address, ETCD_CLIENT_PORT)
}

fn url(scheme: &str, address: IpAddr, port: u16) -> String {
    format!("{scheme}://{}:{port}", endpoint::bracketed(address))
}

/// Where the operator's files for an external etcd stand on a control plane:
/// inside certificatesDir, so that no further volume is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalEtcdPaths {
    /// The CA's certificate.
    pub ca_file: Option<String>,
    /// The API server's client certificate.
    pub cert_file: Option<String>,
    /// Its key.
    pub key_file: Option<String>,
}

/// The paths on control planes for an external etcd's files; `None` if etcd is
/// ours.
pub fn external_etcd_paths(cluster: &Cluster) -> Option<ExternalEtcdPaths> {
    let Etcd::External(etcd) = &cluster.etcd else {
        return None;
    };
    let dir = &cluster.certificates_dir;
    let client = etcd.cert_file.is_some() && etcd.key_file.is_some();
    Some(ExternalEtcdPaths {
        ca_file: etcd.ca_file.as_ref().map(|_| format!("{dir}/etcd/ca.crt")),
        cert_file: client.then(|| format!("{dir}/apiserver-etcd-client.crt")),
        key_file: client.then(|| format!("{dir}/apiserver-etcd-client.key")),
    })
}

fn view(
    component: Component,
    ctx: &NodeContext<'_>,
    control_plane: &ControlPlane<'_>,
    extras: Extras<'_>,
) -> Result<Value, KubernetesError> {
    let address = ctx.advertise_address()?;
    let probe = probe(component, ctx.cluster, extras.args, address);
    let timeout = ctx.cluster.timeouts.control_plane_component_health_check;
    let mut view = ctx.view()?;
    let mut set = |key: &str, value: Value| super::tree::set(&mut view, key, value);
    set(
        "probe",
        json!({
            "host": probe.host,
            "port": probe.port,
            "scheme": probe.scheme,
            "startupFailures": startup_failures(timeout),
        }),
    );
    set("etcd", etcd_view(ctx, control_plane, address));
    set("externalCA", control_plane.external_ca.into());
    set(
        "structuredAuthorization",
        args::get(extras.args, "authorization-config")
            .is_some()
            .into(),
    );
    set(
        "flexVolumeDir",
        args::get(extras.args, "flex-volume-plugin-dir")
            .unwrap_or(FLEX_VOLUME_DIR)
            .into(),
    );
    let directories = CA_DIRECTORIES
        .iter()
        .filter(|directory| {
            ctx.facts
                .ca_directories
                .iter()
                .any(|found| found == *directory)
        })
        .map(|directory| json!({"path": directory, "name": directory[1..].replace('/', "-")}));
    set("caDirectories", directories.collect());
    Ok(view)
}

fn etcd_view(ctx: &NodeContext<'_>, control_plane: &ControlPlane<'_>, address: IpAddr) -> Value {
    let cluster = ctx.cluster;
    let etcd = match &cluster.etcd {
        Etcd::Local(etcd) => etcd,
        Etcd::External(etcd) => {
            let paths = external_etcd_paths(cluster);
            return json!({
                "servers": etcd.endpoints.join(","),
                "caFile": paths.as_ref().and_then(|paths| paths.ca_file.clone()),
                "certFile": paths.as_ref().and_then(|paths| paths.cert_file.clone()),
                "keyFile": paths.as_ref().and_then(|paths| paths.key_file.clone()),
            });
        }
    };
    let dir = &cluster.certificates_dir;
    let loopback: IpAddr = match address {
        IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    let own = EtcdMember {
        name: ctx.host.node_name.clone(),
        peer_url: etcd_peer_url(address),
    };
    let members = match control_plane.etcd_members {
        [] => std::slice::from_ref(&own),
        members => members,
    };
    let members: Vec<String> = members
        .iter()
        .map(|member| format!("{}={}", member.name, member.peer_url))
        .collect();
    json!({
        "servers": args::get(&etcd.extra_args, "advertise-client-urls")
            .map_or_else(|| etcd_client_url(loopback), str::to_owned),
        "caFile": format!("{dir}/etcd/ca.crt"),
        "certFile": format!("{dir}/apiserver-etcd-client.crt"),
        "keyFile": format!("{dir}/apiserver-etcd-client.key"),
        "clientURL": etcd_client_url(address),
        "peerURL": etcd_peer_url(address),
        "loopbackURL": etcd_client_url(loopback),
        "metricsURL": url("http", loopback, ETCD_METRICS_PORT),
        "dataDir": etcd.data_dir,
        "initialCluster": members.join(","),
        "initialClusterState": control_plane.etcd_joins.then_some("existing"),
        "isAtLeast36": versions::etcd_is_3_6(images::etcd_tag(cluster), cluster.version),
    })
}

/// Where a component answers, its arguments considered. kubeadm ignores
/// `secure-port`, and its probes then fail; ours follow it.
fn probe(component: Component, cluster: &Cluster, extra: &[Arg], address: IpAddr) -> Probe {
    let port = |default: u16| {
        args::get(extra, "secure-port")
            .and_then(|port| port.parse().ok())
            .filter(|port| *port != 0)
            .unwrap_or(default)
    };
    let bound = || {
        args::get(extra, "bind-address")
            .unwrap_or("127.0.0.1")
            .to_owned()
    };
    let (host, port, scheme) = match component {
        Component::Etcd => etcd_probe(extra, address),
        Component::ApiServer => (address.to_string(), port(cluster.bind_port), "HTTPS"),
        Component::ControllerManager => (bound(), port(10257), "HTTPS"),
        Component::Scheduler => (bound(), port(10259), "HTTPS"),
    };
    // Nobody can be reached under "all addresses"; the kubelet then takes the
    // pod's, which is the node's.
    let host = if host == "0.0.0.0" || host == "::" {
        String::new()
    } else {
        host
    };
    Probe { host, port, scheme }
}

/// The first of the URLs on which etcd serves metrics.
fn etcd_probe(extra: &[Arg], address: IpAddr) -> (String, u16, &'static str) {
    let default = endpoint::loopback(address).to_owned();
    let first = args::get(extra, "listen-metrics-urls")
        .and_then(|urls| urls.split(',').next())
        .and_then(|url| url.split_once("://"));
    let Some((scheme, rest)) = first else {
        return (default, ETCD_METRICS_PORT, "HTTP");
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
        _ => (authority, None),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (
        if host.is_empty() {
            default
        } else {
            host.to_owned()
        },
        port.unwrap_or(ETCD_METRICS_PORT),
        if scheme == "https" { "HTTPS" } else { "HTTP" },
    )
}

/// So many periods of 10 s that the component has its whole time.
fn startup_failures(timeout: Duration) -> u64 {
    timeout
        .as_millis()
        .div_ceil(10_000)
        .try_into()
        .unwrap_or(u64::MAX)
}

/// Proxy variables, then the operator's; the later wins, sorted by name.
fn environment(component: Component, ctx: &NodeContext<'_>, extra: &[EnvVar]) -> Vec<Value> {
    let proxy = match component {
        Component::Etcd => Vec::new(),
        _ => proxy_environment(ctx.facts),
    };
    let own = extra
        .iter()
        .map(|env| (env.name.clone(), env.value.clone()));
    let merged: BTreeMap<String, String> = proxy.into_iter().chain(own).collect();
    merged
        .into_iter()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect()
}

/// Merges what the operator adds into what the template made. `None` if that
/// is no pod with a command.
fn compose(
    component: Component,
    pod: &mut Value,
    extras: Extras<'_>,
    environment: &[Value],
) -> Option<()> {
    let spec = pod.get_mut("spec")?;
    let container = spec.get_mut("containers")?.get_mut(0)?.as_object_mut()?;

    let command = container.get_mut("command")?.as_array_mut()?;
    let program = command.first()?.clone();
    let defaults = command[1..].iter().map(|word| args::parse(word.as_str()?));
    let merged = args::merge(defaults.collect::<Option<Vec<_>>>()?, extras.args);
    *command = std::iter::once(program)
        .chain(merged.iter().map(|arg| args::render(arg).into()))
        .collect();

    if !environment.is_empty() {
        let present = container
            .entry("env")
            .or_insert_with(|| json!([]))
            .as_array_mut()?;
        present.retain(|old| !environment.iter().any(|new| new["name"] == old["name"]));
        present.extend_from_slice(environment);
        present.sort_by_key(name_of);
    }

    let mounts = container.entry("volumeMounts").or_insert_with(|| json!([]));
    let mounts = mounts.as_array_mut()?;
    for volume in extras.volumes {
        mounts.retain(|mount| mount["name"] != volume.name);
        let mut mount = json!({"mountPath": volume.mount_path, "name": volume.name});
        if volume.read_only {
            mount["readOnly"] = true.into();
        }
        mounts.push(mount);
    }
    // kubeadm keeps etcd's two mounts as they are.
    if component != Component::Etcd {
        mounts.sort_by_key(name_of);
    }

    let spec = spec.as_object_mut()?;
    let volumes = spec
        .entry("volumes")
        .or_insert_with(|| json!([]))
        .as_array_mut()?;
    for volume in extras.volumes {
        volumes.retain(|other| other["name"] != volume.name);
        // kubeadm writes an empty type where the operator gave none; it means
        // the same as the missing field, "don't check".
        let kind = volume.path_type.as_deref().unwrap_or_default();
        volumes.push(json!({
            "hostPath": {"path": volume.host_path, "type": kind},
            "name": volume.name,
        }));
    }
    volumes.sort_by_key(name_of);
    Some(())
}

fn name_of(value: &Value) -> String {
    value["name"].as_str().unwrap_or_default().to_owned()
}
