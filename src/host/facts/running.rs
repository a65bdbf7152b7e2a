//! What runs on a host, as far as an inventory must not change it: settings in the files
//! that its components were started with.
//!
//! The same lines are read from a host's files and from those that would replace them, so
//! that the two can be compared, whichever way a setting got there: a field, an argument, a
//! patch or a template.

use std::collections::BTreeMap;

use crate::layout::components::{API_SERVER, CONTROLLER_MANAGER, ETCD};
use crate::layout::paths;

/// Flags of static pods that are read, and the pods' images.
pub(super) const FLAGS: [&str; 19] = [
    "advertise-address",
    "cluster-cidr",
    "cluster-name",
    "data-dir",
    "encryption-provider-config",
    "etcd-prefix",
    "etcd-servers",
    "force-new-cluster",
    "initial-advertise-peer-urls",
    "initial-cluster-token",
    "name",
    "node-cidr-mask-size",
    "node-cidr-mask-size-ipv4",
    "node-cidr-mask-size-ipv6",
    "secure-port",
    "service-account-issuer",
    "service-cluster-ip-range",
    "tls-cert-file",
    "wal-dir",
];

/// Fields of the kubelet's configuration that are read.
pub(super) const KUBELET_FIELDS: [&str; 4] = [
    "cgroupDriver",
    "clusterDomain",
    "containerRuntimeEndpoint",
    "staticPodPath",
];

/// Fields of containerd's configuration that are read.
const CONTAINERD_FIELDS: [&str; 2] = ["root", "state"];

/// What the runtime for the kubelet's pods is called in each version of configurations.
const CONTAINERD_RUNTIMES: [&str; 3] = [
    "io.containerd.cri.v1.runtime",
    "io.containerd.grpc.v1.cri",
    "cri",
];

/// What a pod's image is called among its flags.
pub const IMAGE: &str = "image";

/// Longest line that is kept, in bytes: the kubelet's flags are a single one.
const MAX_LINE: usize = 64 << 10;

/// The static pods whose flags are read.
const PODS: [&str; 3] = [API_SERVER, CONTROLLER_MANAGER, ETCD];

/// The files that settings are read from.
pub(super) fn files() -> Vec<String> {
    let manifests = PODS.iter().map(|pod| paths::manifest(pod));
    let others = [
        paths::KUBELET_CONFIG,
        paths::KUBELET_INSTANCE_CONFIG,
        paths::KUBELET_FLAGS,
        paths::ADMIN_CONF,
    ];
    manifests
        .chain(others.into_iter().map(str::to_owned))
        .collect()
}

/// Settings that a host's components run with, or that they would run with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Running {
    /// Values by file and name, in the file's order.
    settings: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    /// Names of the files that configure pod networks.
    pub networks: Vec<String>,
    /// The kubelet's client certificate, PEM; empty where it has none yet.
    pub kubelet_certificate: String,
}

impl Running {
    /// Reads the settings of a file; any other file is passed over.
    pub fn read_file(&mut self, path: &str, text: &str) {
        if path == paths::CONTAINERD_CONFIG {
            self.read_containerd(text);
        } else if files().iter().any(|known| known == path) {
            for line in text.lines() {
                self.read_line(path, line);
            }
        }
    }

    /// Reads containerd's configuration. Other runtimes than runc have options of the same name.
    pub(super) fn read_containerd(&mut self, text: &str) {
        let Ok(config) = toml::from_str::<toml::Table>(text) else {
            return;
        };
        let path = paths::CONTAINERD_CONFIG.to_owned();
        let settings = self.settings.entry(path).or_default();
        for name in CONTAINERD_FIELDS {
            if let Some(value) = config.get(name).and_then(toml::Value::as_str) {
                settings.insert(name.to_owned(), vec![value.to_owned()]);
            }
        }
        let plugins = config.get("plugins");
        let flags = CONTAINERD_RUNTIMES.iter().filter_map(|plugin| {
            let runtimes = plugins?.get(plugin)?.get("containerd")?.get("runtimes")?;
            runtimes
                .get("runc")?
                .get("options")?
                .get("SystemdCgroup")?
                .as_bool()
        });
        let flags: Vec<String> = flags.map(|flag| flag.to_string()).collect();
        if !flags.is_empty() {
            settings.insert("SystemdCgroup".to_owned(), flags);
        }
    }

    /// Reads a line of a file.
    pub(super) fn read_line(&mut self, path: &str, line: &str) {
        if line.len() > MAX_LINE || line.contains(|c: char| c.is_control() && c != '\t') {
            return;
        }
        let found = match path {
            paths::KUBELET_FLAGS => kubelet_flags(line),
            paths::KUBELET_CONFIG | paths::KUBELET_INSTANCE_CONFIG => {
                yaml_field(line, &KUBELET_FIELDS).into_iter().collect()
            }
            paths::ADMIN_CONF => yaml_field(line.trim_start(), &["server"])
                .into_iter()
                .collect(),
            _ => pod_line(line).into_iter().collect::<Vec<_>>(),
        };
        let is_flags = path == paths::KUBELET_FLAGS && line.starts_with(KUBELET_VARIABLE);
        if found.is_empty() && !is_flags {
            return;
        }
        let settings = self.settings.entry(path.to_owned()).or_default();
        for (name, value) in found {
            settings.entry(name).or_default().push(value);
        }
    }

    /// Whether anything was read of a file.
    pub fn has_file(&self, path: &str) -> bool {
        self.settings.contains_key(path)
    }

    /// All values of a setting.
    pub fn values(&self, path: &str, name: &str) -> &[String] {
        let settings = self.settings.get(path);
        settings
            .and_then(|settings| settings.get(name))
            .map_or(&[], Vec::as_slice)
    }

    /// The last value of a setting: that one counts.
    pub fn value(&self, path: &str, name: &str) -> Option<&str> {
        self.values(path, name).last().map(String::as_str)
    }

    /// Whether a control plane's static pod is there.
    pub fn has_pod(&self, component: &str) -> bool {
        self.has_file(&paths::manifest(component))
    }

    /// The last value of a static pod's flag.
    pub fn flag(&self, component: &str, name: &str) -> Option<&str> {
        self.value(&paths::manifest(component), name)
    }
}

/// `--name=value` or `image: …` of a manifest.
fn pod_line(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    if let Some(image) = line.strip_prefix("image:") {
        return Some((IMAGE.to_owned(), unquote(image)));
    }
    let word = unquote(line.strip_prefix("- ")?);
    let (name, value) = split_flag(&word)?;
    FLAGS.contains(&name.as_str()).then_some((name, value))
}

/// A flag without a value is a switch that is on.
fn split_flag(word: &str) -> Option<(String, String)> {
    let flag = word.strip_prefix("--")?;
    let (name, value) = flag.split_once('=').unwrap_or((flag, "true"));
    Some((name.to_owned(), value.to_owned()))
}

/// The variable in kubeadm-flags.env.
const KUBELET_VARIABLE: &str = "KUBELET_KUBEADM_ARGS=";

/// The kubelet's flags: words, none of which kubeadm quotes.
fn kubelet_flags(line: &str) -> Vec<(String, String)> {
    let Some(words) = line.strip_prefix(KUBELET_VARIABLE) else {
        return Vec::new();
    };
    words
        .trim()
        .trim_matches('"')
        .split_whitespace()
        .filter_map(split_flag)
        .collect()
}

/// A field at the start of a line.
fn yaml_field(line: &str, known: &[&str]) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    known
        .contains(&name)
        .then(|| (name.to_owned(), unquote(value)))
}

/// A scalar without its quotes.
fn unquote(scalar: &str) -> String {
    let scalar = scalar.trim();
    for quote in ['"', '\''] {
        let inner = scalar
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote));
        if let Some(inner) = inner {
            return inner.replace("''", "'");
        }
    }
    scalar.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The manifest of a component as kubeadm v1.36.2 writes it.
    fn kubeadm(component: &str) -> String {
        let directory = "tests/fixtures/kubeadm-v1.36.2/manifests";
        std::fs::read_to_string(format!("{directory}/{component}.yaml")).expect("a manifest")
    }

    #[test]
    fn kubeadms_manifests_are_read() {
        let mut running = Running::default();
        for pod in PODS {
            running.read_file(&paths::manifest(pod), &kubeadm(pod));
        }
        let flag = |component, name| running.flag(component, name).unwrap_or("-");
        assert_eq!(flag(API_SERVER, "service-cluster-ip-range"), "10.96.0.0/12");
        assert_eq!(flag(API_SERVER, "advertise-address"), "192.0.2.11");
        assert_eq!(flag(API_SERVER, "secure-port"), "6443");
        assert_eq!(
            flag(API_SERVER, "image"),
            "registry.k8s.io/kube-apiserver:v1.36.2"
        );
        assert_eq!(flag(CONTROLLER_MANAGER, "cluster-cidr"), "10.244.0.0/16");
        assert_eq!(flag(ETCD, "data-dir"), "/var/lib/etcd");
        assert_eq!(flag(ETCD, "name"), "cp1");
        assert_eq!(flag(ETCD, "wal-dir"), "-");
        assert_eq!(
            running.values(&paths::manifest(API_SERVER), "client-ca-file"),
            [""; 0],
            "what is not compared is not kept"
        );
    }

    #[test]
    fn lines_are_read_however_they_are_quoted() {
        let mut running = Running::default();
        let manifest = paths::manifest(ETCD);
        running.read_file(
            &manifest,
            "    - '--data-dir=/srv/etcd'\n    - \"--wal-dir=/srv/wal\"\n    - --force-new-cluster\n",
        );
        assert_eq!(running.flag(ETCD, "data-dir"), Some("/srv/etcd"));
        assert_eq!(running.flag(ETCD, "wal-dir"), Some("/srv/wal"));
        assert_eq!(running.flag(ETCD, "force-new-cluster"), Some("true"));
        running.read_file(
            paths::KUBELET_CONFIG,
            "cgroupDriver: systemd\nclusterDomain: \"cluster.local\"\nnested:\n  cgroupDriver: x\n",
        );
        let field = |name| running.value(paths::KUBELET_CONFIG, name);
        assert_eq!(field("cgroupDriver"), Some("systemd"));
        assert_eq!(field("clusterDomain"), Some("cluster.local"));
        running.read_file(
            paths::KUBELET_FLAGS,
            "KUBELET_KUBEADM_ARGS=\"--node-ip=192.0.2.7 --v=2\"\n",
        );
        assert_eq!(
            running.value(paths::KUBELET_FLAGS, "node-ip"),
            Some("192.0.2.7")
        );
        running.read_file(
            paths::CONTAINERD_CONFIG,
            "root = '/srv/containerd'\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes]\n\
             runc.options = {SystemdCgroup = true}\nnvidia.options = {SystemdCgroup = false}\n\
             [plugins.x]\nroot = '/other'\n",
        );
        let field = |name| running.value(paths::CONTAINERD_CONFIG, name);
        assert_eq!(field("root"), Some("/srv/containerd"));
        assert_eq!(field("SystemdCgroup"), Some("true"));
        running.read_file("/etc/other", "root = 1\n");
        assert!(!running.has_file("/etc/other"));
    }

    #[test]
    fn a_kubelet_without_flags_has_its_file_nonetheless() {
        let mut running = Running::default();
        running.read_file(paths::KUBELET_FLAGS, "KUBELET_KUBEADM_ARGS=\"\"\n");
        assert!(running.has_file(paths::KUBELET_FLAGS));
        assert_eq!(running.value(paths::KUBELET_FLAGS, "node-ip"), None);
    }
}
