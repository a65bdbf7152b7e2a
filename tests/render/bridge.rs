//! The built-in pod network.

use clusterctl::host::Address;
use clusterctl::inventory::CniType;
use clusterctl::kubernetes::ResourceGroup;
use serde_json::{Value, json};

use super::fixture::Fixture;

const UNIT: &str = "/etc/systemd/system/clusterctl-pod-network.service";
const CONFLIST: &str = "/etc/cni/net.d/10-clusterctl.conflist";

#[test]
fn the_unit_depends_on_the_node_alone() {
    insta::assert_snapshot!(Fixture::new(36).text("worker1", UNIT));
    let before = Fixture::new(36);
    let mut after =
        Fixture::new(36).with_host("new", "192.0.2.99", clusterctl::inventory::Role::Worker);
    after.pod_cidrs = vec!["10.244.7.0/24".parse().unwrap()];
    assert_eq!(
        after.text("worker1", UNIT),
        before.text("worker1", UNIT),
        "no other node is touched"
    );
}

#[test]
fn the_interface_is_the_one_with_the_address() {
    let mut fixture = Fixture::new(36);
    let facts = fixture.facts("worker1");
    facts.default_ip = Some("10.0.2.15".parse().unwrap());
    facts.addresses = [("eth0", "10.0.2.15"), ("eth1", "192.0.2.21")]
        .map(|(interface, address)| Address {
            interface: interface.into(),
            address: address.parse().unwrap(),
            prefix: 24,
        })
        .into();
    assert!(
        fixture
            .text("worker1", UNIT)
            .contains("dev eth1 src 192.0.2.21")
    );
    fixture.facts("worker1").addresses.clear();
    insta::assert_snapshot!(fixture.resources("worker1").unwrap_err(), @"no interface of host `worker1` has the address 192.0.2.21");
}

#[test]
fn the_configuration_waits_for_a_pod_cidr() {
    let mut fixture = Fixture::new(36);
    let paths = |fixture: &Fixture| format!("{:?}", fixture.resources("worker1").unwrap());
    assert!(!paths(&fixture).contains(CONFLIST));
    fixture.pod_cidrs = vec!["10.244.1.0/24".parse().unwrap()];
    let config: Value = serde_json::from_str(&fixture.text("worker1", CONFLIST)).unwrap();
    assert_eq!(
        config["plugins"][0]["ipam"],
        json!({
            "type": "host-local",
            "ranges": [[{"subnet": "10.244.1.0/24"}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        })
    );
    assert_eq!(config["plugins"][0]["mtu"], 1500);
}

#[test]
fn without_ipv4_there_is_no_bridge() {
    let mut fixture = Fixture::new(36);
    fixture.cluster.networking.pod_subnets = vec!["fd00::/56".parse().unwrap()];
    let error = fixture.resources("worker1").unwrap_err();
    insta::assert_snapshot!(error, @"the bridge pod network needs an IPv4 podSubnet");
    insta::assert_snapshot!(error.hint().unwrap(), @"set networking.cni.type to `none` or `manifest` and install a pod network that supports IPv6");
}

#[test]
fn other_networks_bring_their_own() {
    let mut fixture = Fixture::new(36);
    fixture.pod_cidrs = vec!["10.244.1.0/24".parse().unwrap()];
    for cni in [CniType::None, CniType::Manifest] {
        fixture.cluster.networking.cni = cni;
        let resources = fixture.resources("worker1").unwrap();
        assert!(
            resources
                .iter()
                .all(|(group, _)| *group != ResourceGroup::PodNetwork)
        );
    }
}
