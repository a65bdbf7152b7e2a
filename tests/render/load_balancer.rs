//! The way to the API servers: haproxy on workers, kube-vip, and who is told
//! which endpoint.

use clusterctl::host::{Resource, Withdrawn};
use clusterctl::inventory::{CniType, Endpoint, LoadBalancer, Role};
use clusterctl::kubernetes::load_balancer::withdrawn_resources;

use super::fixture::{Fixture, text, yaml};

const CONFIG: &str = "/etc/kubernetes/haproxy/haproxy.cfg";
const HAPROXY: &str = "/etc/kubernetes/manifests/haproxy.yaml";
const KUBE_VIP: &str = "/etc/kubernetes/manifests/kube-vip.yaml";
const KUBELET: &str = "/etc/kubernetes/kubelet.conf";

fn local() -> Fixture {
    let mut fixture = Fixture::new(36)
        .with_host("cp2", "192.0.2.12", Role::ControlPlane)
        .with_host("cp3", "fd00::13", Role::ControlPlane);
    fixture.cluster.load_balancer = LoadBalancer::Local { image: None };
    fixture
}

fn kube_vip(address: &str, interface: Option<&str>) -> Fixture {
    let mut fixture = Fixture::new(36).with_host("cp2", "192.0.2.12", Role::ControlPlane);
    fixture.cluster.load_balancer = LoadBalancer::KubeVip {
        image: None,
        interface: interface.map(str::to_owned),
    };
    fixture.cluster.control_plane_endpoint = Some(Endpoint {
        host: address.into(),
        port: 6443,
    });
    fixture
}

fn operators() -> Option<Endpoint> {
    Some(Endpoint {
        host: "k8s.example.com".into(),
        port: 8443,
    })
}

/// `server` of a kubeconfig on a host.
fn server(fixture: &Fixture, host: &str, path: &str) -> String {
    let config = yaml(&fixture.text(host, path));
    config["clusters"][0]["cluster"]["server"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn has(fixture: &Fixture, host: &str, wanted: &str) -> bool {
    fixture
        .resources(host)
        .unwrap()
        .iter()
        .any(|(_, resource)| matches!(resource, Resource::File(file) if file.path == wanted))
}

#[test]
fn haproxy_on_a_worker() {
    let fixture = local();
    insta::assert_snapshot!("haproxy.cfg", fixture.text("worker1", CONFIG));
    insta::assert_snapshot!("haproxy.yaml", fixture.text("worker1", HAPROXY));
    assert_eq!(fixture.file("worker1", CONFIG).mode, 0o644);
    assert!(!has(&fixture, "cp1", HAPROXY) && !has(&fixture, "cp1", CONFIG));
}

#[test]
fn without_a_local_balancer_there_is_no_haproxy() {
    assert!(!has(&Fixture::new(36), "worker1", HAPROXY));
}

/// The real one reads it, where there is one.
#[test]
fn haproxy_takes_its_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("haproxy.cfg");
    std::fs::write(&path, local().text("worker1", CONFIG)).unwrap();
    let haproxy = ["/usr/sbin/haproxy", "/usr/local/sbin/haproxy"]
        .into_iter()
        .find(|path| std::path::Path::new(path).exists());
    let Some(haproxy) = haproxy else {
        return;
    };
    let output = std::process::Command::new(haproxy)
        .arg("-c")
        .arg("-f")
        .arg(&path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("WARNING"), "{said}");
}

#[test]
fn a_port_below_1024_is_bound_as_root() {
    let mut fixture = local();
    fixture.cluster.bind_port = 443;
    let pod = yaml(&fixture.text("worker1", HAPROXY));
    let context = &pod["spec"]["containers"][0]["securityContext"];
    assert_eq!(context["runAsUser"], 0);
    assert_eq!(context["capabilities"]["add"][0], "NET_BIND_SERVICE");
    assert!(fixture.text("worker1", CONFIG).contains("127.0.0.1:443\n"));
}

#[test]
fn another_control_plane_changes_the_configuration_and_restarts_the_pod() {
    let before = local();
    let after = local().with_host("cp4", "192.0.2.14", Role::ControlPlane);
    let differing: Vec<String> = after
        .resources("worker1")
        .unwrap()
        .into_iter()
        .zip(before.resources("worker1").unwrap())
        .filter_map(|(after, before)| match (after.1, before.1) {
            (Resource::File(after), Resource::File(before)) => {
                (text(&after) != text(&before)).then_some(after.path)
            }
            _ => None,
        })
        .collect();
    assert_eq!(differing, [CONFIG, HAPROXY]);
}

#[test]
fn everybody_is_told_the_endpoint_that_works_there() {
    let mut fixture = local();
    fixture.cluster.networking.cni = CniType::None;
    fixture.bootstrap_token = Some("abcdef.0123456789abcdef".parse().unwrap());
    let bootstrap = "/etc/kubernetes/bootstrap-kubelet.conf";
    let loopback = "https://127.0.0.1:6443";
    assert_eq!(server(&fixture, "worker1", bootstrap), loopback);
    // What kubeadm prints on a control plane has to be of use elsewhere.
    let admin = "/etc/kubernetes/admin.conf";
    assert_eq!(server(&fixture, "cp2", admin), "https://192.0.2.12:6443");
    assert_eq!(server(&fixture, "cp3", admin), "https://[fd00::13]:6443");

    let text = |kind: &str, name: &str, key: &str| {
        fixture.object(kind, name)["data"][key]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let first = "server: https://192.0.2.11:6443";
    assert!(text("ConfigMap", "cluster-info", "kubeconfig").contains(first));
    let proxy = text("ConfigMap", "kube-proxy", "kubeconfig.conf");
    assert!(proxy.contains(loopback), "{proxy}");
    let config = yaml(&text("ConfigMap", "kubeadm-config", "ClusterConfiguration"));
    // Who runs `kubeadm join --control-plane` has nothing on 127.0.0.1 yet.
    assert_eq!(config["controlPlaneEndpoint"], "192.0.2.11:6443");
    assert_eq!(config["apiServer"]["certSANs"][0], "127.0.0.1");
}

#[test]
fn an_endpoint_of_the_operators_is_for_clients_alone() {
    let mut fixture = local();
    fixture.cluster.control_plane_endpoint = operators();
    fixture.bootstrap_token = Some("abcdef.0123456789abcdef".parse().unwrap());
    let bootstrap = "/etc/kubernetes/bootstrap-kubelet.conf";
    assert_eq!(
        server(&fixture, "worker1", bootstrap),
        "https://127.0.0.1:6443"
    );
    assert_eq!(
        server(&fixture, "cp2", "/etc/kubernetes/admin.conf"),
        "https://k8s.example.com:8443"
    );
    let config = fixture.object("ConfigMap", "kubeadm-config");
    let config = yaml(config["data"]["ClusterConfiguration"].as_str().unwrap());
    assert_eq!(config["controlPlaneEndpoint"], "k8s.example.com:8443");
    assert_eq!(config["apiServer"]["certSANs"][0], "127.0.0.1");
}

#[test]
fn a_worker_that_goes_elsewhere_is_led_back() {
    let mut fixture = local();
    assert!(!has(&fixture, "worker1", KUBELET));
    fixture.facts("worker1").joined = true;
    assert!(!has(&fixture, "worker1", KUBELET), "nobody knows where to");
    fixture.facts("worker1").kubelet_server = Some("https://127.0.0.1:6443".into());
    assert!(!has(&fixture, "worker1", KUBELET), "it is right");
    fixture.facts("worker1").kubelet_server = Some("https://192.0.2.11:6443".into());
    let file = fixture.file("worker1", KUBELET);
    assert_eq!(file.notify, ["kubelet.service"]);
    assert_eq!(file.mode, 0o600);
    insta::assert_snapshot!("moved kubelet.conf", fixture.text("worker1", KUBELET));
    // One that has yet to join writes the file itself.
    fixture.bootstrap_token = Some("abcdef.0123456789abcdef".parse().unwrap());
    assert!(!has(&fixture, "worker1", KUBELET));
}

#[test]
fn kube_vip_on_a_control_plane() {
    let fixture = kube_vip("192.0.2.10", None);
    insta::assert_snapshot!("kube-vip.yaml", fixture.text("cp1", KUBE_VIP));
    assert!(has(&fixture, "cp2", KUBE_VIP) && !has(&fixture, "worker1", KUBE_VIP));

    let fixture = kube_vip("fd00::10", Some("bond0"));
    let pod = yaml(&fixture.text("cp2", KUBE_VIP));
    let value = |name: &str| {
        let env = pod["spec"]["containers"][0]["env"].as_array().unwrap();
        let found = env.iter().find(|variable| variable["name"] == name);
        found.unwrap()["value"].as_str().unwrap().to_owned()
    };
    assert_eq!(value("address"), "fd00::10");
    assert_eq!(value("vip_subnet"), "128");
    assert_eq!(value("vip_interface"), "bond0");
}

#[test]
fn a_balancer_that_is_no_longer_wanted_goes() {
    let paths = |fixture: &Fixture, index: usize| -> Vec<String> {
        let host = &fixture.cluster.hosts[index];
        withdrawn_resources(&fixture.cluster, host)
            .into_iter()
            .map(|resource| match resource {
                Resource::Withdrawn(Withdrawn { path }) => path,
                other => panic!("{other:?}"),
            })
            .collect()
    };
    let (control_plane, worker) = (0, 1);
    assert_eq!(paths(&local(), worker), [KUBE_VIP]);
    assert_eq!(paths(&local(), control_plane), [HAPROXY, CONFIG, KUBE_VIP]);
    let vip = kube_vip("192.0.2.10", None);
    assert_eq!(paths(&vip, control_plane), [HAPROXY, CONFIG]);
    assert_eq!(paths(&vip, worker), [HAPROXY, CONFIG, KUBE_VIP]);
}
