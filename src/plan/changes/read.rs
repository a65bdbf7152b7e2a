//! Both values of a setting: the one that a host runs with, and the one that it would get.

use std::net::IpAddr;

use super::compare::version;
use super::rules::Source;
use crate::cluster::survey::Surveyed;
use crate::desired::context::Context;
use crate::desired::target::Target;
use crate::host::{Content, Facts, IMAGE, Running};
use crate::inventory::listen::ListenUrl;
use crate::inventory::{Cluster, CniType, Etcd, Host};
use crate::kubernetes::api::{Health, node_ready};
use crate::layout::components::{API_SERVER, ETCD};
use crate::layout::paths;
use crate::plan::model::Live;
use crate::run::error::Error;

/// A host that is part of the running cluster.
pub(super) struct Joined<'a> {
    pub(super) host: &'a Host,
    pub(super) facts: &'a Facts,
    /// What it runs with.
    pub(super) running: &'a Running,
    /// What it would run with.
    pub(super) wanted: Running,
    /// Whether its Node is Ready.
    is_ready: bool,
    /// Whether its Node is known, if it has one.
    is_node_known: bool,
    /// The addresses of its Node.
    addresses: Vec<String>,
}

/// What is known of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reading {
    /// Nothing: there is nothing to compare.
    Unknown,
    /// It is not set.
    Unset,
    /// It is set.
    Set(String),
}

impl Reading {
    fn of(value: Option<&str>) -> Self {
        match value {
            None => Reading::Unset,
            Some(value) => Reading::Set(value.to_owned()),
        }
    }

    /// A value that is never unset: where it was not found, nothing is known of it.
    fn known(value: Option<&str>) -> Self {
        value.map_or(Reading::Unknown, |value| Reading::Set(value.to_owned()))
    }

    /// The value; `None` where it is not set.
    pub(super) fn value(&self) -> Option<&str> {
        match self {
            Reading::Set(value) => Some(value),
            Reading::Unset | Reading::Unknown => None,
        }
    }
}

/// Whether a CNI configuration is that of the built-in network.
pub(super) fn is_ours(name: &str) -> bool {
    name == paths::CNI_CONFLIST
}

impl<'a> Joined<'a> {
    /// Renders what the host would run with.
    pub(super) fn new(
        context: &Context,
        one: &'a Surveyed,
        live: Option<&Live>,
    ) -> Result<Self, Error> {
        let node = live.and_then(|live| live.node(&one.host.node_name));
        let facts = &one.gathered.facts;
        let files = context.component_files(&Target {
            host: &one.host,
            facts,
            joined: true,
            pod_cidrs: &[],
        });
        let mut wanted = Running::default();
        for file in files.map_err(|error| error.on(&one.host.name))? {
            if let Content::Bytes(bytes) = &file.content
                && let Ok(text) = std::str::from_utf8(bytes)
            {
                wanted.read_file(&file.path, text);
            }
        }
        let status = node.and_then(|node| node.status.as_ref());
        let addresses = status.and_then(|status| status.addresses.as_deref());
        Ok(Joined {
            host: &one.host,
            facts,
            running: &one.gathered.running,
            wanted,
            is_node_known: live.is_some(),
            is_ready: node.is_some_and(|node| node_ready(node) == Health::Ok),
            addresses: addresses
                .unwrap_or_default()
                .iter()
                .filter(|address| address.type_ == "InternalIP")
                .map(|address| address.address.clone())
                .collect(),
        })
    }

    /// The value that the host runs with.
    pub(super) fn running(&self, source: Source) -> Reading {
        match source {
            Source::Version => {
                let tag = self.running.flag(API_SERVER, IMAGE).and_then(tag);
                let installed = self.facts.kubelet_version.as_deref();
                match self.running.has_pod(API_SERVER) {
                    true => of_version(tag.or(installed)),
                    false => Reading::Unknown,
                }
            }
            Source::NodeName => Reading::known(self.node_name().as_deref()),
            Source::Role => Reading::known(self.role()),
            Source::EtcdPlace => Reading::known(etcd_place(self.running)),
            Source::PodNetwork => self.pod_network(),
            Source::NodeAddress => self.running_address(),
            _ => self.setting(source, self.running),
        }
    }

    /// The value that the host would get.
    pub(super) fn wanted(&self, source: Source, cluster: &Cluster) -> Reading {
        match source {
            Source::Version => {
                let tag = self.wanted.flag(API_SERVER, IMAGE).and_then(tag);
                of_version(Some(tag.unwrap_or(&cluster.version.to_string())))
            }
            Source::NodeName => {
                let renamed = self.wanted.value(paths::KUBELET_FLAGS, "hostname-override");
                Reading::known(Some(renamed.unwrap_or(&self.host.node_name)))
            }
            Source::Role => Reading::known(Some(match self.host.is_control_plane() {
                true => "control-plane",
                false => "worker",
            })),
            Source::EtcdPlace => Reading::known(Some(match &cluster.etcd {
                Etcd::Local(_) => "local",
                Etcd::External(_) => "external",
            })),
            Source::EtcdVersion => match &cluster.etcd {
                // Without a tag it follows the Kubernetes version, which is compared itself.
                Etcd::Local(etcd) => Reading::known(etcd.image_tag.as_deref()),
                Etcd::External(_) => Reading::Unknown,
            },
            Source::PodNetwork => Reading::known(Some(match cluster.networking.cni {
                CniType::Bridge => "bridge",
                CniType::None => "none",
                CniType::Manifest => "manifest",
            })),
            Source::NodeAddress => self.wanted_address(),
            _ => self.setting(source, &self.wanted),
        }
    }

    /// A setting that is in a file.
    fn setting(&self, source: Source, settings: &Running) -> Reading {
        let field = |path: &str, name: &str| match settings.has_file(path) {
            true => Reading::of(settings.value(path, name)),
            false => Reading::Unknown,
        };
        match source {
            Source::Flag(component, name) => field(&paths::manifest(component), name),
            Source::List(component, name) => match settings.has_pod(component) {
                true => Reading::Set(settings.values(&paths::manifest(component), name).join(",")),
                false => Reading::Unknown,
            },
            Source::Kubelet(name) => field(paths::KUBELET_CONFIG, name),
            Source::KubeletFlag(name) => field(paths::KUBELET_FLAGS, name),
            Source::Containerd(name) => field(paths::CONTAINERD_CONFIG, name),
            Source::Socket => {
                let places = [
                    (paths::KUBELET_FLAGS, "container-runtime-endpoint"),
                    (paths::KUBELET_INSTANCE_CONFIG, "containerRuntimeEndpoint"),
                    (paths::KUBELET_CONFIG, "containerRuntimeEndpoint"),
                ];
                let values = places
                    .iter()
                    .filter_map(|(path, name)| settings.value(path, name));
                Reading::known(values.into_iter().find(|value| !value.is_empty()))
            }
            Source::CertificatesDir => {
                let file = settings.flag(API_SERVER, "tls-cert-file");
                Reading::known(file.and_then(|file| file.strip_suffix("/apiserver.crt")))
            }
            Source::EtcdVersion => Reading::known(settings.flag(ETCD, IMAGE).and_then(tag)),
            // One that is no longer ours, or no longer the operator's, is a change by itself.
            Source::EtcdServers => match etcd_place(self.running) == etcd_place(&self.wanted) {
                true => Reading::known(settings.flag(API_SERVER, "etcd-servers")),
                false => Reading::Unknown,
            },
            Source::Version
            | Source::NodeName
            | Source::Role
            | Source::EtcdPlace
            | Source::PodNetwork
            | Source::NodeAddress => Reading::Unknown,
        }
    }

    /// The name that the API knows the kubelet by: that of its certificate, which no later
    /// change of a host's name touches.
    fn node_name(&self) -> Option<String> {
        let pem = &self.running.kubelet_certificate;
        if let Ok(certificate) = pki::inspect(pem)
            && let Some(name) = certificate.common_name.strip_prefix("system:node:")
        {
            return Some(name.to_owned());
        }
        if !self.running.has_file(paths::KUBELET_FLAGS) {
            return None;
        }
        let renamed = self
            .running
            .value(paths::KUBELET_FLAGS, "hostname-override");
        let name = renamed.unwrap_or(&self.facts.hostname);
        (!name.is_empty()).then(|| name.to_owned())
    }

    /// The host's role. What makes a control plane is written before its kubelet.conf, so a
    /// host that has joined without any of it is a worker.
    fn role(&self) -> Option<&'static str> {
        if self.running.has_pod(API_SERVER) {
            Some("control-plane")
        } else if self.running.has_file(paths::ADMIN_CONF) {
            None
        } else {
            Some("worker")
        }
    }

    /// The network that pods have. Any other than the built-in one is known by what it
    /// left on a node that is Ready.
    fn pod_network(&self) -> Reading {
        let networks = &self.running.networks;
        if networks.iter().any(|name| is_ours(name)) {
            Reading::known(Some("bridge"))
        } else if self.is_ready && !networks.is_empty() {
            Reading::known(Some("another network"))
        } else {
            Reading::Unknown
        }
    }

    /// The address that the kubelet registers: its flag's, else the one that it chose.
    fn running_address(&self) -> Reading {
        if !self.running.has_file(paths::KUBELET_FLAGS) || !self.is_node_known {
            return Reading::Unknown;
        }
        let flag = self.running.value(paths::KUBELET_FLAGS, "node-ip");
        let chosen = self.addresses.first().map(String::as_str);
        match flag.or(chosen) {
            Some(address) => Reading::known(Some(address)),
            None => self.default_address(),
        }
    }

    /// The address that it would register.
    fn wanted_address(&self) -> Reading {
        let is_set = |settings: &Running| settings.value(paths::KUBELET_FLAGS, "node-ip").is_some();
        if let Some(address) = self.wanted.value(paths::KUBELET_FLAGS, "node-ip") {
            return Reading::known(Some(address));
        }
        match is_set(self.running) {
            true => self.default_address(),
            // It chooses as it did.
            false => self.running_address(),
        }
    }

    /// The address that the kubelet chooses by itself.
    fn default_address(&self) -> Reading {
        let address = self.facts.default_ip.map(|address| address.to_string());
        Reading::known(address.as_deref())
    }
}

/// Where the etcd of an API server is. A manifest that was moved away for a while does not
/// make it external: the API server still asks on its own host.
pub(super) fn etcd_place(settings: &Running) -> Option<&'static str> {
    let servers = settings.flag(API_SERVER, "etcd-servers")?;
    let is_own = |url: &str| {
        let url = ListenUrl::parse(url);
        let address = url.and_then(|url| url.host.parse::<IpAddr>().ok());
        address.is_some_and(|address| address.is_loopback())
    };
    match settings.has_pod(ETCD) || servers.split(',').all(is_own) {
        true => Some("local"),
        false => Some("external"),
    }
}

/// The tag of an image.
fn tag(image: &str) -> Option<&str> {
    let image = image.split('@').next()?;
    let last = image.rsplit('/').next()?;
    Some(last.split_once(':')?.1)
}

fn of_version(text: Option<&str>) -> Reading {
    let version = text.and_then(version).map(|version| version.to_string());
    Reading::known(version.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etcd_is_ours_even_if_its_manifest_was_moved_away() {
        let place = |servers: &str, etcd: bool| {
            let mut settings = Running::default();
            let flag = format!("    - --etcd-servers={servers}\n");
            settings.read_file(&paths::manifest(API_SERVER), &flag);
            if etcd {
                settings.read_file(&paths::manifest(ETCD), "    - --name=cp1\n");
            }
            etcd_place(&settings)
        };
        assert_eq!(place("https://127.0.0.1:2379", true), Some("local"));
        assert_eq!(place("https://[::1]:2379", false), Some("local"));
        assert_eq!(
            place("https://e1:2379,https://e2:2379", false),
            Some("external")
        );
        assert_eq!(etcd_place(&Running::default()), None);
    }

    #[test]
    fn tags_are_told_from_ports_and_digests() {
        assert_eq!(tag("registry.k8s.io/etcd:3.6.8-0"), Some("3.6.8-0"));
        assert_eq!(tag("localhost:5000/etcd"), None);
        assert_eq!(tag("localhost:5000/etcd:v1@sha256:00"), Some("v1"));
        assert_eq!(tag("etcd@sha256:00"), None);
    }
}
