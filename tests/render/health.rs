//! What is rendered, and what a run asks about health, have to agree.

use clusterctl::inventory::{Arg, Host};
use clusterctl::kubernetes::Component;
use clusterctl::kubernetes::health::{Scheme, component_endpoint, kubelet_endpoint};
use serde_json::{Value, json};

use super::fixture::{Fixture, yaml};

/// A fixture whose control plane has an address of this family.
fn fixture(address: &str) -> Fixture {
    let mut fixture = Fixture::new(36);
    let address = address.parse().unwrap();
    fixture.host("cp1").advertise_address = Some(address);
    fixture.facts("cp1").default_ip = Some(address);
    fixture.facts("cp1").addresses[0].address = address;
    if address.is_ipv6() {
        fixture.cluster.networking.cni = clusterctl::inventory::CniType::None;
    }
    fixture
}

fn first(fixture: &Fixture) -> &Host {
    &fixture.cluster.hosts[0]
}

/// The value of an argument of a rendered static pod.
fn argument(manifest: &str, name: &str) -> Option<String> {
    let pod = yaml(manifest);
    let command = pod["spec"]["containers"][0]["command"].as_array()?;
    let prefix = format!("--{name}=");
    let mut words = command.iter().filter_map(Value::as_str);
    words.find_map(|word| word.strip_prefix(&prefix).map(str::to_owned))
}

#[test]
fn components_are_asked_where_their_rendered_arguments_have_them() {
    for address in ["192.0.2.11", "2001:db8::11"] {
        let fixture = fixture(address);
        let asked = |component| {
            let facts = Some(&fixture.facts["cp1"]);
            component_endpoint(component, &fixture.cluster, first(&fixture), facts).unwrap()
        };
        for component in [Component::ControllerManager, Component::Scheduler] {
            let pod = fixture.manifest(component.name());
            let bound = argument(&pod, "bind-address");
            assert_eq!(bound.as_deref(), Some(asked(component).address.as_str()));
        }
        let api = asked(Component::ApiServer);
        let pod = fixture.manifest("kube-apiserver");
        assert_eq!(argument(&pod, "advertise-address"), Some(api.address));
        assert_eq!(argument(&pod, "secure-port"), Some(api.port.to_string()));

        let etcd = asked(Component::Etcd);
        assert_eq!(etcd.scheme, Scheme::Http);
        let host = match etcd.address.contains(':') {
            true => format!("[{}]", etcd.address),
            false => etcd.address,
        };
        let url = format!("http://{host}:{}", etcd.port);
        let pod = fixture.manifest("etcd");
        assert_eq!(argument(&pod, "listen-metrics-urls"), Some(url));
    }
}

#[test]
fn a_kubelet_is_asked_where_its_rendered_configuration_has_it() {
    let mut fixture = fixture("192.0.2.11");
    let config = |fixture: &Fixture| {
        let config = yaml(&fixture.text("cp1", "/var/lib/kubelet/config.yaml"));
        json!([config["healthzBindAddress"], config["healthzPort"]])
    };
    let asked = |fixture: &Fixture| {
        let at = kubelet_endpoint(first(fixture)).unwrap();
        json!([at.address, at.port])
    };
    assert_eq!(config(&fixture), asked(&fixture));
    let tree = json!({"healthzPort": 10300, "healthzBindAddress": "192.0.2.11"});
    fixture.host("cp1").kubelet_config = tree.as_object().unwrap().clone();
    assert_eq!(config(&fixture), asked(&fixture));
    assert_eq!(asked(&fixture), json!(["192.0.2.11", 10300]));
}

#[test]
fn a_component_that_cannot_be_asked_has_no_probes() {
    let arg = |name: &str, value: &str| {
        vec![Arg {
            name: name.into(),
            value: value.into(),
        }]
    };
    for minor in [33, 36] {
        let mut fixture = Fixture::new(minor);
        fixture.cluster.scheduler.extra_args = arg("secure-port", "0");
        fixture.cluster.controller_manager.extra_args = arg("secure-port", "0");
        fixture.etcd().extra_args = arg("listen-metrics-urls", "");
        for component in ["kube-scheduler", "kube-controller-manager", "etcd"] {
            let pod = yaml(&fixture.manifest(component));
            let container = pod["spec"]["containers"][0].as_object().unwrap();
            let probes = container.keys().filter(|key| key.ends_with("Probe"));
            assert_eq!(probes.count(), 0, "{component}");
            assert_eq!(container.get("ports"), None, "{component}");
        }
    }
}

/// The kubelet has no credentials for its probes, and restarts what refuses them.
#[test]
fn an_api_server_without_anonymous_requests_is_probed_by_its_port() {
    for minor in [33, 36] {
        let mut fixture = Fixture::new(minor);
        let probes = |fixture: &Fixture| {
            let pod = yaml(&fixture.manifest("kube-apiserver"));
            let container = &pod["spec"]["containers"][0];
            ["livenessProbe", "readinessProbe", "startupProbe"].map(|name| container[name].clone())
        };
        for probe in probes(&fixture) {
            assert_eq!(probe["httpGet"]["scheme"], "HTTPS", "as kubeadm has it");
        }
        fixture.cluster.api_server.extra_args = vec![Arg {
            name: "anonymous-auth".into(),
            value: "false".into(),
        }];
        for probe in probes(&fixture) {
            assert_eq!(probe.get("httpGet"), None, "{probe}");
            let port = if minor < 34 {
                json!(6443)
            } else {
                json!("probe-port")
            };
            assert_eq!(probe["tcpSocket"]["port"], port, "{probe}");
            assert_eq!(probe["tcpSocket"]["host"], "192.0.2.11");
            assert_eq!(probe["tcpSocket"].get("path"), None);
        }
    }
}
