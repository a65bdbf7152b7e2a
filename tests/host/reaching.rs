//! The script that tries ports, on sockets of this machine.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::net::{IpAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;

use clusterctl::host::preflight::{
    Connection, Probe, Registry, Way, ask_registries, parse_reachability, parse_registries,
    reachability,
};

use crate::root::{roots, roots_and_busybox};

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

fn registry(name: &str, port: u16) -> Registry {
    Registry {
        name: name.into(),
        images: vec![format!("{name}/pause:3.10")],
        urls: vec![format!("https://registry.invalid:{port}/v2/")],
    }
}

#[test]
fn a_registry_is_asked_by_curl_unless_its_images_are_here() {
    for root in roots() {
        let curl = "#!/bin/sh\nfor url; do :; done\ncase $url in *:1/*) echo 'curl: (6) Could not resolve host: x' >&2; exit 6 ;; esac\n";
        root.write("bin/curl", curl);
        fs::set_permissions(root.path("bin/curl"), fs::Permissions::from_mode(0o755)).unwrap();
        let wanted = [
            registry("closed.example", 1),
            registry("open.example", 2),
            // The stand-in for ctr has this one's image.
            registry("registry.k8s.io", 1),
            registry("mirrored.example", 1),
        ];
        root.write(
            "etc/containerd/certs.d/mirrored.example/hosts.toml",
            "server = \"https://x:1\"\n[host.\"http://mirror:5000\"]\n",
        );
        let output = root.run(&ask_registries(&wanted).unwrap());
        let ways = parse_registries(&output.stdout).unwrap();
        let Way::Closed(why) = &ways["closed.example"] else {
            panic!("{ways:?}");
        };
        assert!(why.contains("Could not resolve host"), "{why}");
        for open in ["open.example", "registry.k8s.io", "mirrored.example"] {
            assert_eq!(ways[open], Way::Open, "{}: {open}", root.shell());
        }
    }
}

/// A proxy that answers one request: with 200 if it has the account that it wants.
fn proxy() -> (u16, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = String::new();
        let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
        while !request.ends_with("\r\n\r\n") {
            if std::io::BufRead::read_line(&mut reader, &mut request).unwrap() == 0 {
                break;
            }
        }
        let known = request.contains("Proxy-Authorization: Basic dTpwJTQw\r\n");
        let answer = if known {
            "200 Connection established"
        } else {
            "407 Who are you"
        };
        std::io::Write::write_all(&mut stream, format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes())
            .unwrap();
        request
    });
    (port, asked)
}

#[test]
fn without_curl_the_proxy_of_containerd_is_asked_by_bash() {
    for root in roots() {
        for (account, way) in [("u:p%40@", true), ("", false)] {
            let (port, asked) = proxy();
            let systemctl = format!(
                "#!/bin/sh\ncase $* in *'-p Environment'*) echo '\"HTTPS_PROXY=http://{account}127.0.0.1:{port}\" NO_PROXY=.svc' ;; esac\n"
            );
            root.write("bin/systemctl", &systemctl);
            let mut script = ask_registries(&[registry("closed.example", 443)]).unwrap();
            script.text = script.text.replace("command -v curl", "command -v no-curl");
            let output = root.run(&script);
            let ways = parse_registries(&output.stdout).unwrap();
            let request = asked.join().unwrap();
            assert!(
                request.starts_with("CONNECT registry.invalid:443 HTTP/1.1\r\n"),
                "{request}"
            );
            match (&ways["closed.example"], way) {
                (Way::Open, true) => {}
                (Way::Closed(why), false) => assert!(why.contains("407 Who are you"), "{why}"),
                other => panic!("{}: {other:?}", root.shell()),
            }
        }
    }
}
