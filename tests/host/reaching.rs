//! The script that tries ports, on sockets of this machine.

#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, TcpListener};

use clusterctl::host::preflight::{Connection, Probe, parse_reachability, reachability};

use crate::root::roots_and_busybox;

#[test]
fn open_and_refused_are_told_apart() {
    let address = IpAddr::from([127, 0, 0, 1]);
    let open = TcpListener::bind((address, 0)).unwrap();
    let refused = TcpListener::bind((address, 0)).unwrap();
    let ports = [&open, &refused].map(|socket| socket.local_addr().unwrap().port());
    drop(refused);
    let connections = ports.map(|port| Connection {
        from: "a".into(),
        to: "b".into(),
        address,
        port,
    });
    for root in roots_and_busybox() {
        let output = root.run(&reachability(&connections));
        let probes = parse_reachability(&output.stdout).unwrap();
        assert_eq!(
            probes[&(address, ports[0])],
            Probe::Open,
            "{}",
            root.shell()
        );
        assert_eq!(
            probes[&(address, ports[1])],
            Probe::Refused,
            "{}",
            root.shell()
        );
    }
}
