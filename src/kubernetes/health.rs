//! Where each component answers whether it is healthy: kubeadm's defaults, moved
//! by the operator's arguments and kubelet configuration.
//!
//! One answer for everyone who asks: the probes of static pods, the waits of a
//! run, and `status`. kubeadm's probes ignore some of these settings
//! (`secure-port`), and then fail; ours follow them. Patches come after
//! rendering and are not followed.

use std::net::IpAddr;

use serde_json::Value;

use super::component::Component;
use super::endpoint;
use crate::host::Facts;
use crate::inventory::listen::{ListenUrl, kubelet_port, last_value, secure_port};
use crate::inventory::{Arg, Cluster, Etcd, Host, LocalEtcd};
use crate::layout::{health as paths, ports};

/// How a health endpoint is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS, the certificate unchecked: components make up their own.
    Https,
}

/// Where a component answers whether it is healthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthEndpoint {
    /// How to ask.
    pub scheme: Scheme,
    /// Where to ask from its own host: an address, or a name that the host
    /// resolves. Never "all addresses".
    pub address: String,
    /// TCP port.
    pub port: u16,
    /// What to ask for, such as `/healthz`.
    pub path: &'static str,
    /// Whether it listens on all addresses of its host.
    pub on_all_addresses: bool,
}

impl HealthEndpoint {
    /// An endpoint of a component that was told to listen on `address`.
    ///
    /// 127.0.0.1 leads to one that listens on all addresses, be they written
    /// `0.0.0.0` or `::`: Go's listeners then accept both families, and unlike
    /// `::1` it exists even where IPv6 has been switched off.
    fn new(scheme: Scheme, address: &str, port: u16, path: &'static str) -> Self {
        let parsed = address.parse::<IpAddr>();
        let on_all_addresses = parsed.is_ok_and(|address| address.is_unspecified());
        let address = match on_all_addresses {
            true => endpoint::LOOPBACK,
            false => address,
        };
        HealthEndpoint {
            scheme,
            address: address.to_owned(),
            port,
            path,
            on_all_addresses,
        }
    }

    /// `host` of a probe; `None` where the kubelet shall take the pod's
    /// address, which is the node's.
    pub(crate) fn probe_host(&self) -> Option<&str> {
        (!self.on_all_addresses).then_some(self.address.as_str())
    }
}

/// The health endpoint of a control-plane component; `None` if the operator has
/// disabled it (`secure-port=0`, `listen-metrics-urls=`), or etcd is external.
/// `facts` is what the host told; without it, the inventory has to do.
pub fn component_endpoint(
    component: Component,
    cluster: &Cluster,
    host: &Host,
    facts: Option<&Facts>,
) -> Option<HealthEndpoint> {
    let extra = component.extras(cluster).args;
    let on_secure_port = |default: u16, path| {
        let address = bind_address(extra).unwrap_or(endpoint::LOOPBACK);
        let port = secure_port(extra, default)?;
        Some(HealthEndpoint::new(Scheme::Https, address, port, path))
    };
    match (component, &cluster.etcd) {
        (Component::ApiServer, _) => Some(api_server_endpoint(cluster, host, facts)),
        (Component::ControllerManager, _) => {
            on_secure_port(ports::CONTROLLER_MANAGER, paths::CONTROLLER_MANAGER)
        }
        (Component::Scheduler, _) => on_secure_port(ports::SCHEDULER, paths::SCHEDULER),
        (Component::Etcd, Etcd::Local(etcd)) => etcd_endpoint(etcd, loopback(cluster, host, facts)),
        (Component::Etcd, Etcd::External(_)) => None,
    }
}

/// The API server's, which can't be disabled: on the address that it listens on,
/// if it is told a single one, else on the one that the host advertises.
pub fn api_server_endpoint(
    cluster: &Cluster,
    host: &Host,
    facts: Option<&Facts>,
) -> HealthEndpoint {
    let advertised = || match advertised_address(host, facts) {
        Some(address) => address.to_string(),
        None => loopback(cluster, host, facts).to_owned(),
    };
    let address = bind_address(&cluster.api_server.extra_args)
        .filter(|bound| !is_unspecified(bound))
        .map_or_else(advertised, str::to_owned);
    let port = cluster.api_server_port();
    HealthEndpoint::new(Scheme::Https, &address, port, paths::API_SERVER)
}

/// The kubelet's; `None` if the operator has disabled it (`healthzPort: 0`).
/// Flags win over the configuration, as in the kubelet.
pub fn kubelet_endpoint(host: &Host) -> Option<HealthEndpoint> {
    let port = kubelet_port(host, "healthz-port", "healthzPort", ports::KUBELET_HEALTHZ)?;
    let flag = last_value(&host.kubelet_extra_args, "healthz-bind-address");
    let field = host.kubelet_config.get("healthzBindAddress");
    let address = flag
        .or_else(|| field.and_then(Value::as_str))
        .filter(|address| !address.is_empty())
        .unwrap_or(endpoint::LOOPBACK);
    let path = paths::KUBELET;
    Some(HealthEndpoint::new(Scheme::Http, address, port, path))
}

/// Where etcd on a host answers clients, asked from that host: address and port
/// of the first URL that the operator has it listen on, else on loopback.
pub fn etcd_client_address(cluster: &Cluster, host: &Host) -> (String, u16) {
    let loopback = loopback(cluster, host, None);
    let urls = match &cluster.etcd {
        Etcd::Local(etcd) => last_value(&etcd.extra_args, "listen-client-urls"),
        Etcd::External(_) => None,
    };
    let first = urls.and_then(|urls| ListenUrl::parse(urls.split(',').next()?));
    let Some(url) = first else {
        return (loopback.to_owned(), ports::ETCD_CLIENT);
    };
    let address = match url.host {
        "" => loopback,
        host if is_unspecified(host) => endpoint::LOOPBACK,
        host => host,
    };
    let port = url.port.unwrap_or(ports::ETCD_CLIENT);
    (address.to_owned(), port)
}

fn bind_address(extra: &[Arg]) -> Option<&str> {
    last_value(extra, "bind-address").filter(|address| !address.is_empty())
}

fn is_unspecified(address: &str) -> bool {
    address
        .parse::<IpAddr>()
        .is_ok_and(|address| address.is_unspecified())
}

/// The first of the URLs on which etcd serves metrics; `None` if it serves them
/// nowhere, or on a Unix socket, which can't be asked.
fn etcd_endpoint(etcd: &LocalEtcd, loopback: &str) -> Option<HealthEndpoint> {
    let default =
        |scheme, address: &str, port| Some(HealthEndpoint::new(scheme, address, port, paths::ETCD));
    let Some(urls) = last_value(&etcd.extra_args, "listen-metrics-urls") else {
        return default(Scheme::Http, loopback, ports::ETCD_METRICS);
    };
    if urls.is_empty() {
        return None;
    }
    let first = urls.split(',').next().unwrap_or_default();
    let Some(url) = ListenUrl::parse(first) else {
        return default(Scheme::Http, loopback, ports::ETCD_METRICS);
    };
    let scheme = match url.scheme {
        "unix" | "unixs" => return None,
        "https" => Scheme::Https,
        _ => Scheme::Http,
    };
    let address = match url.host {
        "" => loopback,
        host => host,
    };
    default(scheme, address, url.port.unwrap_or(ports::ETCD_METRICS))
}

fn advertised_address(host: &Host, facts: Option<&Facts>) -> Option<IpAddr> {
    match facts {
        Some(facts) => endpoint::advertise_address(host, facts).ok(),
        None => host.advertise_address,
    }
}

/// The loopback address of the family that the host advertises. Where only its
/// facts could say which that is, the services' first family does: the inventory
/// is refused where the two differ.
fn loopback(cluster: &Cluster, host: &Host, facts: Option<&Facts>) -> &'static str {
    let services = cluster.networking.service_subnets.first();
    let services = services.map(|subnet| subnet.network());
    match advertised_address(host, facts).or(services) {
        Some(address) => endpoint::loopback(address),
        None => endpoint::LOOPBACK,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;

    const HOSTS: &str = "
  hosts:
    - {name: cp1, address: 192.0.2.11, roles: [control-plane]}
    - {name: w1, address: 192.0.2.21, roles: [worker]}
";

    const IPV6: &str = "
  networking: {podSubnet: 'fd00:10:244::/56', serviceSubnet: 'fd00:10:96::/112', cni: {type: none}}
  hosts:
    - {name: cp1, address: '2001:db8::11', roles: [control-plane]}
";

    /// A cluster with more fields below `spec`.
    fn cluster(fields: &str) -> Cluster {
        let text = format!(
            "apiVersion: clusterctl.rs/v1alpha1\nkind: Cluster\nmetadata: {{name: demo}}\n\
             spec:\n  kubernetesVersion: v1.36.2{fields}"
        );
        let parsed = crate::inventory::parse(&text, "inventory.yaml", Path::new("/"));
        parsed.unwrap().0
    }

    /// Arguments of a component, as a field below `spec`.
    fn with_args(component: &str, args: &[(&str, &str)]) -> Cluster {
        let args: Vec<String> = args
            .iter()
            .map(|(name, value)| format!("{{name: {name}, value: '{value}'}}"))
            .collect();
        let args = args.join(", ");
        let field = match component {
            "etcd" => format!("\n  etcd: {{local: {{extraArgs: [{args}]}}}}"),
            name => format!("\n  {name}: {{extraArgs: [{args}]}}"),
        };
        cluster(&format!("{field}{HOSTS}"))
    }

    /// `scheme address port path`, with `*` behind an address that stands for
    /// all.
    fn shown(endpoint: Option<HealthEndpoint>) -> String {
        let Some(found) = endpoint else {
            return "disabled".into();
        };
        let all = if found.on_all_addresses { "*" } else { "" };
        format!(
            "{:?} {}{all} {} {}",
            found.scheme, found.address, found.port, found.path
        )
    }

    fn of(component: Component, cluster: &Cluster) -> String {
        shown(component_endpoint(
            component,
            cluster,
            &cluster.hosts[0],
            None,
        ))
    }

    #[test]
    fn defaults_are_kubeadms() {
        let cluster = cluster(HOSTS);
        let all = Component::all(&cluster)
            .iter()
            .map(|one| of(*one, &cluster));
        assert_eq!(
            all.collect::<Vec<_>>(),
            [
                "Http 127.0.0.1 2381 /health",
                "Https 192.0.2.11 6443 /livez",
                "Https 127.0.0.1 10257 /healthz",
                "Https 127.0.0.1 10259 /livez",
            ]
        );
        assert_eq!(
            shown(kubelet_endpoint(&cluster.hosts[1])),
            "Http 127.0.0.1 10248 /healthz"
        );
    }

    #[test]
    fn on_ipv6_only_etcd_moves_by_itself() {
        let cluster = cluster(IPV6);
        assert_eq!(of(Component::Etcd, &cluster), "Http ::1 2381 /health");
        assert_eq!(
            of(Component::ApiServer, &cluster),
            "Https 2001:db8::11 6443 /livez"
        );
        assert_eq!(
            of(Component::Scheduler, &cluster),
            "Https 127.0.0.1 10259 /livez"
        );
    }

    #[test]
    fn a_host_that_is_addressed_by_name_has_the_family_of_its_services() {
        let hosts = "{name: cp1, address: cp1.example.com, roles: [control-plane]}";
        let cluster = cluster(&IPV6.replace(
            "{name: cp1, address: '2001:db8::11', roles: [control-plane]}",
            hosts,
        ));
        let host = &cluster.hosts[0];
        let asked = |facts| shown(component_endpoint(Component::Etcd, &cluster, host, facts));
        assert_eq!(asked(None), "Http ::1 2381 /health");
        let facts = Facts {
            default_ip: Some("192.0.2.11".parse().unwrap()),
            ..Facts::default()
        };
        assert_eq!(asked(Some(&facts)), "Http 127.0.0.1 2381 /health");
        let api = api_server_endpoint(&cluster, host, Some(&facts));
        assert_eq!(api.address, "192.0.2.11");
        assert_eq!(api_server_endpoint(&cluster, host, None).address, "::1");
    }

    #[test]
    fn controller_manager_and_scheduler_follow_their_arguments() {
        for (field, component, path) in [
            (
                "controllerManager",
                Component::ControllerManager,
                "/healthz",
            ),
            ("scheduler", Component::Scheduler, "/livez"),
        ] {
            let moved = |args: &[(&str, &str)]| of(component, &with_args(field, args));
            assert_eq!(
                moved(&[("bind-address", "192.0.2.11"), ("secure-port", "444")]),
                format!("Https 192.0.2.11 444 {path}")
            );
            assert_eq!(
                moved(&[("secure-port", "1"), ("secure_port", "11111")]),
                format!("Https 127.0.0.1 11111 {path}"),
                "the last one counts"
            );
            for any in ["0.0.0.0", "::", "0:0:0:0:0:0:0:0"] {
                let found = moved(&[("bind-address", any), ("secure-port", "11111")]);
                assert_eq!(found, format!("Https 127.0.0.1* 11111 {path}"));
            }
            assert_eq!(
                moved(&[("bind-address", "::1"), ("secure-port", "11111")]),
                format!("Https ::1 11111 {path}")
            );
            assert_eq!(moved(&[("secure-port", "0")]), "disabled");
        }
    }

    #[test]
    fn the_api_server_is_asked_where_it_listens() {
        let moved = |args: &[(&str, &str)]| of(Component::ApiServer, &with_args("apiServer", args));
        assert_eq!(
            moved(&[("bind-address", "192.0.2.11"), ("secure-port", "7443")]),
            "Https 192.0.2.11 7443 /livez"
        );
        for any in ["0.0.0.0", "::"] {
            assert_eq!(
                moved(&[("bind-address", any)]),
                "Https 192.0.2.11 6443 /livez"
            );
        }
        let bound = cluster(&format!("\n  localAPIEndpoint: {{bindPort: 7443}}{HOSTS}"));
        assert_eq!(
            of(Component::ApiServer, &bound),
            "Https 192.0.2.11 7443 /livez"
        );
    }

    #[test]
    fn etcd_is_asked_at_the_first_of_its_metrics_urls() {
        let moved = |urls| {
            let cluster = with_args("etcd", &[("listen-metrics-urls", urls)]);
            of(Component::Etcd, &cluster)
        };
        assert_eq!(
            moved("https://192.0.2.11:9999,http://127.0.0.1:1"),
            "Https 192.0.2.11 9999 /health"
        );
        assert_eq!(moved("http://[::1]:2999"), "Http ::1 2999 /health");
        assert_eq!(moved("http://[::1]"), "Http ::1 2381 /health");
        assert_eq!(moved("http://[::]:2381"), "Http 127.0.0.1* 2381 /health");
        assert_eq!(
            moved("http://0.0.0.0:2000/"),
            "Http 127.0.0.1* 2000 /health"
        );
        assert_eq!(
            moved("http://localhost:2000"),
            "Http localhost 2000 /health"
        );
        assert_eq!(moved("nonsense"), "Http 127.0.0.1 2381 /health");
        assert_eq!(moved("unix:///run/etcd.sock"), "disabled");
        assert_eq!(moved(""), "disabled");
        let external = "\n  etcd: {external: {endpoints: ['https://192.0.2.50:2379']}}";
        let external = cluster(&format!("{external}{HOSTS}"));
        assert_eq!(of(Component::Etcd, &external), "disabled");
    }

    #[test]
    fn etcd_serves_clients_where_it_is_told() {
        let asked = |cluster: &Cluster| {
            let (address, port) = etcd_client_address(cluster, &cluster.hosts[0]);
            format!("{address} {port}")
        };
        assert_eq!(asked(&cluster(HOSTS)), "127.0.0.1 2379");
        assert_eq!(asked(&cluster(IPV6)), "::1 2379");
        let moved = |urls| asked(&with_args("etcd", &[("listen-client-urls", urls)]));
        assert_eq!(moved("https://[::]:3379"), "127.0.0.1 3379");
        assert_eq!(
            moved("https://192.0.2.11:3379,https://127.0.0.1:3379"),
            "192.0.2.11 3379"
        );
    }

    #[test]
    fn a_kubelet_is_asked_where_its_host_says() {
        let fields = "
  kubelet: {config: {healthzPort: 10300}}
  hosts:
    - {name: cp1, address: 192.0.2.11, roles: [control-plane]}
    - name: w1
      address: 192.0.2.21
      roles: [worker]
      kubelet: {config: {healthzBindAddress: '::', healthzPort: 10301}}
    - name: w2
      address: 192.0.2.22
      roles: [worker]
      kubelet: {config: {healthzPort: 0}}
    - name: w3
      address: 192.0.2.23
      roles: [worker]
      kubelet: {config: {healthzPort: null, healthzBindAddress: 192.0.2.23}}
    - name: w4
      address: 192.0.2.24
      roles: [worker]
      nodeRegistration:
        kubeletExtraArgs:
          - {name: healthz-port, value: '10304'}
          - {name: healthz-bind-address, value: '::1'}
";
        let cluster = cluster(fields);
        let all = cluster.hosts.iter().map(kubelet_endpoint).map(shown);
        assert_eq!(
            all.collect::<Vec<_>>(),
            [
                "Http 127.0.0.1 10300 /healthz",
                "Http 127.0.0.1* 10301 /healthz",
                "disabled",
                "Http 192.0.2.23 10248 /healthz",
                "Http ::1 10304 /healthz",
            ]
        );
    }
}
