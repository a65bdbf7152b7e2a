//! A request like the one behind the fixture, and OpenSSL at hand.

use std::path::Path;
use std::process::Command;

use pki::{Algorithm, EtcdSans, NodeRequest, Request, Validity};

pub(crate) fn request() -> Request {
    Request {
        algorithm: Algorithm::EcdsaP256,
        external_ca: false,
        validity: Validity::default(),
        dns_domain: "cluster.local".into(),
        service_ip: "10.96.0.1".parse().unwrap(),
        control_plane_endpoint: None,
        api_server_sans: Vec::new(),
        etcd: Some(EtcdSans::default()),
        legacy_kubelet_client: false,
        nodes: vec![node("cp1", "192.0.2.11", true)],
    }
}

pub(crate) fn node(name: &str, address: &str, init: bool) -> NodeRequest {
    NodeRequest {
        name: name.into(),
        node_name: name.into(),
        advertise_address: address.parse().unwrap(),
        init,
        kubelet_renews: false,
    }
}

/// What OpenSSL prints; whether it agrees.
pub(crate) fn try_openssl(dir: &Path, args: &str) -> (bool, String) {
    let output = Command::new("openssl")
        .args(args.split_whitespace())
        .current_dir(dir)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text + &errors)
}

/// The same where it has to agree.
pub(crate) fn openssl(dir: &Path, args: &str) -> String {
    let (ok, text) = try_openssl(dir, args);
    assert!(ok, "openssl {args}: {text}");
    text
}
