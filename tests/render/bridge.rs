//! The built-in pod network.

use clusterctl::host::Address;
use clusterctl::inventory::CniType;
use clusterctl::kubernetes::ResourceGroup;
use serde_json::{Value, json};

use super::fixture::Fixture;

const UNIT: &str = "/etc/systemd/system/clusterctl-pod-network.service";
const SCRIPT: &str = "/usr/local/lib/clusterctl/pod-network.sh";
const CONFLIST: &str = "/etc/cni/net.d/10-clusterctl.conflist";

#[test]
fn the_unit_depends_on_the_node_alone() {
    insta::assert_snapshot!(Fixture::new(36).text("worker1", UNIT));
    let before = Fixture::new(36);
    let mut after =
        Fixture::new(36).with_host("new", "192.0.2.99", clusterctl::inventory::Role::Worker);
    after.pod_cidrs = vec!["10.244.7.0/24".parse().unwrap()];
    for path in [UNIT, SCRIPT] {
        assert_eq!(
            after.text("worker1", path),
            before.text("worker1", path),
            "no other node is touched"
        );
    }
}

/// Breaks the network of a namespace in every way, and says how it is some seconds later.
const BREAK: &str = r#"
set -u
mount -t sysfs none /sys; mount -t tmpfs none /run
ip link add eth0 type veth peer name peer
ip addr add 192.0.2.21/24 dev eth0
ip link set eth0 up; ip link set peer up
ip link add cni0 type bridge
echo "proxy_arp before: $(cat /proc/sys/net/ipv4/conf/eth0/proxy_arp)"
$SHELL_UNDER_TEST "$1" up >/dev/null || echo "up failed"
missing=$($SHELL_UNDER_TEST "$1" check)
echo "after up: ${missing:-nothing missing}"
$SHELL_UNDER_TEST "$1" watch >/dev/null & watch=$!
healed() {
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		if [ -z "$($SHELL_UNDER_TEST "$1" check)" ]; then echo "healed: $2"; return; fi
		sleep 0.5
	done
	echo "NOT healed: $2: $($SHELL_UNDER_TEST "$1" check)"
}
while read -r damage; do
	sh -c "$damage"
	[ -n "$($SHELL_UNDER_TEST "$1" check)" ] || echo "not seen: $damage"
	healed "$1" "$damage"
done <<EOF
ip link set eth0 down; ip link set eth0 up
iptables -F; iptables -t nat -F
iptables -D FORWARD 1
ip route del 10.244.0.0/16
ip link set cni0 down
ip addr flush dev cni0
echo 0 >/proc/sys/net/ipv4/conf/eth0/proxy_arp
EOF
kill "$watch"
$SHELL_UNDER_TEST "$1" down
iptables-save | grep 10.244
ip route show 10.244.0.0/16
echo "proxy_arp after: $(cat /proc/sys/net/ipv4/conf/eth0/proxy_arp)"
"#;

const HEALED: &str = "\
proxy_arp before: 0
after up: nothing missing
healed: ip link set eth0 down; ip link set eth0 up
healed: iptables -F; iptables -t nat -F
healed: iptables -D FORWARD 1
healed: ip route del 10.244.0.0/16
healed: ip link set cni0 down
healed: ip addr flush dev cni0
healed: echo 0 >/proc/sys/net/ipv4/conf/eth0/proxy_arp
proxy_arp after: 0
";

#[test]
fn the_network_heals_by_itself_within_seconds_of_every_damage() {
    let alone = |command: &str| {
        let mut unshare = std::process::Command::new("unshare");
        unshare.args(["-n", "-m", "sh", "-c", command]);
        unshare
    };
    let tools =
        "ip link add eth0 type veth peer name peer && iptables -S && command -v iptables-save";
    // Only root has namespaces to break.
    if !alone(tools)
        .output()
        .is_ok_and(|output| output.status.success())
    {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (script, conflist) = (dir.path().join("net.sh"), dir.path().join("10.conflist"));
    let mut fixture = Fixture::new(36);
    fixture.pod_cidrs = vec!["10.244.1.0/24".parse().unwrap()];
    std::fs::write(&conflist, fixture.text("worker1", CONFLIST)).unwrap();
    let text = fixture.text("worker1", SCRIPT);
    let text = text.replace(CONFLIST, conflist.to_str().unwrap());
    std::fs::write(&script, text).unwrap();
    let runs = ["dash", "bash --posix", "busybox sh"].map(|shell| {
        let program = shell.split(' ').next().unwrap();
        let output = std::process::Command::new(program)
            .args(["-c", ":"])
            .output();
        let run = output.is_ok().then(|| {
            let mut command = alone(BREAK);
            command
                .arg("sh")
                .arg(&script)
                .env("SHELL_UNDER_TEST", shell);
            command
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        });
        (shell, run)
    });
    for (shell, run) in runs {
        let Some(run) = run else { continue };
        let output = run.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), HEALED, "{shell}");
    }
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
            .text("worker1", SCRIPT)
            .contains("link='eth1'\naddress='192.0.2.21'")
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
