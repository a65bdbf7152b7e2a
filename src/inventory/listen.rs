//! On which ports the components of a host listen: kubeadm's defaults, moved by
//! the operator's arguments and kubelet configuration.

use serde_json::Value;

use super::cluster::{Cluster, Etcd, Host};
use super::spec::Arg;
use crate::layout::{components, ports};

/// A port that a component listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListeningPort {
    /// Its name, such as `kube-scheduler`.
    pub component: &'static str,
    /// TCP port.
    pub port: u16,
}

impl Cluster {
    /// The ports that a host's components listen on and that have to be free
    /// before they start: kubeadm's list, where the operator moved them to.
    pub fn listening_ports(&self, host: &Host) -> Vec<ListeningPort> {
        let mut found: Vec<ListeningPort> = Vec::new();
        let mut add = |component, port| found.push(ListeningPort { component, port });
        if host.is_control_plane() {
            add(components::API_SERVER, self.api_server_port());
            if let Some(port) = secure_port(&self.scheduler.extra_args, ports::SCHEDULER) {
                add(components::SCHEDULER, port);
            }
            let manager = &self.controller_manager.extra_args;
            if let Some(port) = secure_port(manager, ports::CONTROLLER_MANAGER) {
                add(components::CONTROLLER_MANAGER, port);
            }
            if let Etcd::Local(etcd) = &self.etcd {
                for (name, default) in [
                    ("listen-client-urls", ports::ETCD_CLIENT),
                    ("listen-peer-urls", ports::ETCD_PEER),
                ] {
                    for port in url_ports(&etcd.extra_args, name, default) {
                        add(components::ETCD, port);
                    }
                }
            }
        } else if self.load_balancer.is_local() {
            add(components::HAPROXY, self.bind_port);
            add(components::HAPROXY, ports::HAPROXY_HEALTH);
        }
        if let Some(port) = kubelet_port(host, "port", "port", ports::KUBELET) {
            add(components::KUBELET, port);
        }
        found
    }

    /// The port that every API server listens on. In an inventory, `secure-port`
    /// among its arguments and `bindPort` are one.
    pub(crate) fn api_server_port(&self) -> u16 {
        // The API server refuses to run without one: 0 moves nothing.
        secure_port(&self.api_server.extra_args, self.bind_port).unwrap_or(self.bind_port)
    }
}

/// The value of the last argument of this name: that one counts for a flag that
/// takes a single value.
pub(crate) fn last_value<'a>(args: &'a [Arg], name: &str) -> Option<&'a str> {
    let given = args.iter().rev().find(|arg| is_flag(arg, name));
    given.map(|arg| arg.value.as_str())
}

/// Whether an argument is this flag. Kubernetes' components take `_` for `-`.
pub(crate) fn is_flag(arg: &Arg, name: &str) -> bool {
    arg.name.replace('_', "-") == name
}

/// The component's `secure-port`; `None` for 0, which disables it. A value that
/// is no port makes the component fail, and that shows at the default one.
pub(crate) fn secure_port(args: &[Arg], default: u16) -> Option<u16> {
    let given = last_value(args, "secure-port").and_then(|port| port.parse().ok());
    Some(given.unwrap_or(default)).filter(|port| *port != 0)
}

/// A port of the kubelet's, by its flag, else by its field, as in the kubelet;
/// `None` for 0, which disables it.
pub(crate) fn kubelet_port(host: &Host, flag: &str, field: &str, default: u16) -> Option<u16> {
    let given = match last_value(&host.kubelet_extra_args, flag) {
        Some(text) => text.parse().ok(),
        None => host
            .kubelet_config
            .get(field)
            .and_then(Value::as_u64)
            .and_then(|port| port.try_into().ok()),
    };
    Some(given.unwrap_or(default)).filter(|port| *port != 0)
}

/// A URL that etcd listens on.
pub(crate) struct ListenUrl<'a> {
    pub(crate) scheme: &'a str,
    /// Without brackets; may be empty.
    pub(crate) host: &'a str,
    pub(crate) port: Option<u16>,
}

impl<'a> ListenUrl<'a> {
    /// Reads `scheme://host[:port][/path]`; `None` if it has no scheme.
    pub(crate) fn parse(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.trim().split_once("://")?;
        let authority = rest.split('/').next().unwrap_or_default();
        let (host, port) = match authority.rsplit_once(':') {
            // The last colon of `[::1]` is the address's own.
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
            _ => (authority, None),
        };
        Some(ListenUrl {
            scheme,
            host: host.trim_start_matches('[').trim_end_matches(']'),
            port,
        })
    }
}

/// The ports of all URLs of an argument, each once.
pub(crate) fn url_ports(args: &[Arg], name: &str, default: u16) -> Vec<u16> {
    let given = last_value(args, name).unwrap_or_default();
    let mut found: Vec<u16> = given
        .split(',')
        .filter_map(|url| ListenUrl::parse(url)?.port)
        .collect();
    found.sort_unstable();
    found.dedup();
    match found.is_empty() {
        true => vec![default],
        false => found,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;

    /// `component port` of each port of a host.
    fn ports(fields: &str, host: usize) -> Vec<String> {
        let text = format!(
            "apiVersion: clusterctl.rs/v1alpha1\nkind: Cluster\nmetadata: {{name: demo}}\n\
             spec:\n  kubernetesVersion: v1.36.2{fields}
  hosts:
    - {{name: cp1, address: 192.0.2.11, roles: [control-plane]}}
    - {{name: w1, address: 192.0.2.21, roles: [worker]}}
"
        );
        let parsed = crate::inventory::parse(&text, "inventory.yaml", Path::new("/"));
        let cluster = parsed.unwrap().0;
        let all = cluster.listening_ports(&cluster.hosts[host]);
        all.iter()
            .map(|one| format!("{} {}", one.component, one.port))
            .collect()
    }

    #[test]
    fn by_default_they_are_kubeadms() {
        assert_eq!(
            ports("", 0),
            [
                "kube-apiserver 6443",
                "kube-scheduler 10259",
                "kube-controller-manager 10257",
                "etcd 2379",
                "etcd 2380",
                "kubelet 10250",
            ]
        );
        assert_eq!(ports("", 1), ["kubelet 10250"]);
    }

    #[test]
    fn they_follow_the_operators_settings() {
        let fields = "
  apiServer: {extraArgs: [{name: secure-port, value: '7443'}]}
  scheduler: {extraArgs: [{name: secure-port, value: '0'}]}
  controllerManager: {extraArgs: [{name: secure-port, value: '11257'}]}
  etcd:
    local:
      extraArgs:
        - {name: listen-client-urls, value: 'https://127.0.0.1:3379,https://192.0.2.11:3379'}
  kubelet: {config: {port: 11250}}
  loadBalancer: {type: local}";
        assert_eq!(
            ports(fields, 0),
            [
                "kube-apiserver 7443",
                "kube-controller-manager 11257",
                "etcd 3379",
                "etcd 2380",
                "kubelet 11250",
            ]
        );
        assert_eq!(
            ports(fields, 1),
            ["haproxy 7443", "haproxy 10247", "kubelet 11250"]
        );
    }

    #[test]
    fn the_last_of_several_arguments_counts() {
        let args = ["1", "2"].map(|value| Arg {
            name: "v".into(),
            value: value.into(),
        });
        assert_eq!(last_value(&args, "v"), Some("2"));
        assert_eq!(last_value(&args, "w"), None);
    }
}
