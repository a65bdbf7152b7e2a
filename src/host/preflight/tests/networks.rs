//! Addresses, routes and name servers.

use std::net::IpAddr;

use super::{found, good};
use crate::host::facts::{Address, Gathered, Route};
use crate::host::preflight::{Subject, check_forwarding, group_findings};
use crate::host::testing::{cluster, net};
use crate::inventory::CniType;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn address(interface: &str, text: &str) -> Address {
    let (address, prefix) = text.split_once('/').expect("a prefix");
    Address {
        interface: interface.into(),
        address: ip(address),
        prefix: prefix.parse().expect("a prefix"),
    }
}

fn route(to: &str, via: &str, device: &str) -> Route {
    Route {
        to: net(to),
        via: via.parse().ok(),
        device: device.into(),
    }
}

/// Gives a host an address and the routes that belong to it.
fn connect(host: &mut Gathered, text: &str, gateway: &str) {
    let own = address("eth0", text);
    let subnet = net(text).trunc().to_string();
    host.facts.default_ip = Some(own.address);
    host.facts.default_interface = "eth0".into();
    host.facts.addresses = vec![own];
    host.routes = vec![
        route("0.0.0.0/0", gateway, "eth0"),
        route(&subnet, "", "eth0"),
    ];
}

fn connected(change: impl FnOnce(&mut Gathered, &mut Gathered)) -> Vec<String> {
    found(|_, cp, worker| {
        connect(cp, "192.0.2.11/24", "192.0.2.1");
        connect(worker, "192.0.2.21/24", "192.0.2.1");
        change(cp, worker);
    })
}

#[test]
fn hosts_on_one_network_pass() {
    assert_eq!(connected(|_, _| ()), [""; 0]);
}

#[test]
fn networks_that_the_host_needs_are_not_the_clusters() {
    let found = connected(|cp, worker| {
        cp.facts.nameservers = vec![ip("10.96.0.53")];
        cp.routes.push(route("10.0.0.0/8", "192.0.2.2", "eth0"));
        worker
            .facts
            .addresses
            .push(address("docker0", "10.244.0.1/16"));
        worker.routes.push(route("10.244.0.0/16", "", "docker0"));
        worker
            .routes
            .push(route("10.50.0.0/16", "10.100.0.1", "tun0"));
        worker.endpoint_addresses = Some(vec![ip("10.97.0.9")]);
    });
    insta::assert_snapshot!(found.join("\n"), @r#"
    cp1 Error NetworkOverlap: name server 10.96.0.53 is inside the service network 10.96.0.0/12; route 10.0.0.0/8 (dev eth0) overlaps the pod network 10.244.0.0/16
    w1 Error NetworkOverlap: address 10.244.0.1/16 (dev docker0) is inside the pod network 10.244.0.0/16; the endpoint's address 10.97.0.9 is inside the service network 10.96.0.0/12; gateway 10.100.0.1 (dev tun0) is inside the service network 10.96.0.0/12
    "#);
}

#[test]
fn networks_of_a_cluster_are_no_obstacle_to_it() {
    let found = connected(|cp, worker| {
        // What an earlier cluster left.
        cp.facts.addresses.push(address("cni0", "10.244.0.1/24"));
        cp.routes.push(route("10.244.0.0/24", "", "cni0"));
        // What this one made.
        worker.receipt_owner = Some(crate::host::Owner::named("demo"));
        worker.routes.push(route("10.244.0.0/16", "", "eth0"));
        worker.facts.nameservers = vec![ip("10.96.0.10")];
    });
    assert_eq!(found, [""; 0]);
}

#[test]
fn the_built_in_network_needs_one_link() {
    let apart = |owned: bool| {
        connected(|cp, worker| {
            connect(worker, "198.51.100.21/24", "198.51.100.1");
            worker.facts.addresses[0].address = ip("192.0.2.21");
            if owned {
                cp.receipt_owner = Some(crate::host::Owner::named("demo"));
                worker.receipt_owner = Some(crate::host::Owner::named("demo"));
            }
        })
    };
    assert_eq!(
        apart(false),
        [
            "w1 Error OneNetwork: the host is not on one L2 network with cp1: w1 reaches \
             192.0.2.11 via 198.51.100.1 dev eth0; pods of the built-in network \
             (networking.cni.type: bridge) would not reach each other"
        ]
    );
    assert_eq!(apart(true), [""; 0], "they work together already");
    let routed = found(|cluster, cp, worker| {
        cluster.networking.cni = CniType::None;
        connect(cp, "192.0.2.11/24", "192.0.2.1");
        connect(worker, "192.0.2.21/32", "192.0.2.1");
    });
    assert_eq!(routed, [""; 0], "another network may go over routers");
    // As clouds do it: everything goes over the gateway, whatever the address says.
    let cloud = connected(|_, worker| {
        worker.routes.remove(1);
    });
    assert!(
        cloud[0].contains("w1 reaches 192.0.2.11 via 192.0.2.1"),
        "{cloud:?}"
    );
    let none = connected(|_, worker| worker.routes.retain(|route| route.device == "eth9"));
    assert_eq!(none, [""; 0], "nothing is known");
    let unreachable = connected(|_, worker| worker.routes = vec![route("10.9.0.0/24", "", "eth1")]);
    assert!(unreachable[0].contains("w1 has no route to 192.0.2.11"));
}

#[test]
fn one_address_behind_the_same_translation_is_told() {
    let nat = |known: bool| {
        found(|cluster, cp, worker| {
            for (host, gathered) in cluster.hosts.iter_mut().zip([cp, worker]) {
                let own = host.advertise_address.take().expect("an address");
                host.address = "127.0.0.1".into();
                gathered.facts.default_ip = Some(ip("10.0.2.15"));
                gathered.facts.addresses = vec![address("eth0", "10.0.2.15/24")];
                if known {
                    host.advertise_address = Some(own);
                    gathered
                        .facts
                        .addresses
                        .push(address("eth1", &format!("{own}/24")));
                }
            }
        })
    };
    insta::assert_snapshot!(nat(false).join("\n"), @r#"
    cp1 Error DuplicateAddress: cp1 and w1 have the same address, 10.0.2.15
    w1 Error DuplicateAddress: cp1 and w1 have the same address, 10.0.2.15
    "#);
    insta::assert_snapshot!(nat(true).join("\n"), @r#"
    cp1 Info DuplicateAddress: cp1 and w1 have the same address behind their default route, 10.0.2.15: each kubelet is told its own (node-ip)
    w1 Info DuplicateAddress: cp1 and w1 have the same address behind their default route, 10.0.2.15: each kubelet is told its own (node-ip)
    "#);
}

#[test]
fn an_address_that_no_interface_has_is_refused() {
    let elsewhere = connected(|_, worker| {
        worker.facts.addresses = vec![address("eth0", "10.1.0.5/24")];
    });
    assert_eq!(
        elsewhere,
        [
            "w1 Error NodeAddress: no interface has 192.0.2.21, only 10.1.0.5: it is translated on \
             the way"
        ]
    );
}

#[test]
fn a_host_without_a_default_route_is_told_its_address() {
    let found = connected(|_, worker| {
        worker.facts.default_ip = None;
        worker.facts.default_interface = String::new();
        worker.routes.remove(0);
    });
    assert_eq!(
        found,
        [
            "w1 Info NodeAddress: there is no default route: the kubelet is told 192.0.2.21 \
             (node-ip)"
        ]
    );
}

#[test]
fn a_cluster_of_both_families_needs_both_addresses() {
    let lacking = found(|cluster, cp, worker| {
        cluster.networking.cni = CniType::None;
        cluster.networking.pod_subnets.push(net("fd00:10::/56"));
        connect(cp, "192.0.2.11/24", "192.0.2.1");
        connect(worker, "192.0.2.21/24", "192.0.2.1");
        for gathered in [&mut *cp, &mut *worker] {
            gathered
                .sysctls
                .insert("net.ipv6.conf.default.forwarding".into(), "1".into());
        }
        cp.facts.addresses.push(address("eth0", "2001:db8::11/64"));
        worker
            .facts
            .addresses
            .push(address("eth7", "2001:db8:1::11/64"));
    });
    assert_eq!(
        lacking,
        [
            "w1 Warning NodeAddress: the cluster has both families, but the host only an IPv4 address"
        ]
    );
}

#[test]
fn what_is_the_same_on_many_hosts_is_told_once() {
    let cluster = cluster();
    let (cp, worker) = (good("cp1"), good("cp1"));
    let subjects: Vec<Subject<'_>> = cluster
        .hosts
        .iter()
        .zip([&cp, &worker])
        .map(|(host, gathered)| Subject {
            host,
            gathered,
            owned: false,
        })
        .collect();
    let findings = super::check_hosts(&cluster, &subjects);
    let bad = findings
        .iter()
        .filter(|finding| !finding.message.is_empty());
    let together: Vec<String> = group_findings(bad)
        .iter()
        .map(ToString::to_string)
        .collect();
    insta::assert_snapshot!(together.join("\n"), @r#"
    cp1, w1: DuplicateMachineID: cp1 and w1 have the same machine-id; on a cloned machine: empty /etc/machine-id, run systemd-machine-id-setup and reboot
    cp1, w1: DuplicateHostname: cp1 and w1 have the same host name, `cp1`; give every machine a name of its own (hostnamectl set-hostname)
    "#);
}

#[test]
fn sshd_has_to_let_connections_through() {
    let (cluster, gathered) = (cluster(), good("cp1"));
    let subject = Subject {
        host: &cluster.hosts[0],
        gathered: &gathered,
        owned: false,
    };
    let targets = [("192.0.2.11".to_owned(), 6443), ("::1".to_owned(), 2379)];
    let judge = |forbidden: &[(String, u16)]| {
        let found = check_forwarding(&subject, 2, forbidden).remove(0);
        format!("{:?} {found}", found.severity)
    };
    insta::assert_snapshot!(judge(&targets), @"Error cp1: TCPForwarding: sshd does not allow TCP forwarding, by which the API server, etcd and the health of the control plane are reached; set `AllowTcpForwarding local` in the host's sshd_config and reload sshd; what also forbids it: `DisableForwarding yes`, `PermitOpen`, and `restrict` or `no-port-forwarding` before the key in authorized_keys");
    insta::assert_snapshot!(judge(&targets[1..]), @"Error cp1: TCPForwarding: sshd does not allow forwarding to [::1]:2379; add `[::1]:2379` to `PermitOpen` in the host's sshd_config (or as `permitopen` of the key in authorized_keys) and reload sshd");
    assert_eq!(judge(&[]), "Passed cp1: TCPForwarding: ");
}

#[test]
fn where_usr_is_read_only_nothing_can_be_installed() {
    let read_only = |has_containerd: bool| {
        found(|_, _, worker| {
            worker.read_only_usr = true;
            worker.facts.uses_opt = true;
            worker.commands.remove("ip");
            if !has_containerd {
                worker.runtime = crate::host::facts::Runtime::Absent;
                worker.commands.remove("containerd");
            }
        })
    };
    assert_eq!(
        read_only(false),
        [
            "w1 Error FileExisting-ip: there is no `ip`, and /usr is read-only, so that it can't be installed",
            "w1 Info ReadOnlyUsr: /usr is read-only: programs are put into /opt/bin, units into /etc/systemd/system",
            "w1 Error CRI: there is no containerd, and /usr is read-only, so that it can't be installed",
        ]
    );
    assert_eq!(read_only(true).len(), 2);
}
