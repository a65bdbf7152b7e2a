//! The script that tells how Kubernetes fares on a host.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use clusterctl::host::{parse_vitals, vitals};
use clusterctl::inventory;

use crate::root::roots_and_busybox;

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
const KEY: &str = "-----BEGIN EC PRIVATE KEY-----\nSECRET\n-----END EC PRIVATE KEY-----";

#[test]
fn certificates_leave_the_host_and_keys_do_not() {
    let text = "apiVersion: clusterctl.rs/v1alpha1\nkind: Cluster\nmetadata: {name: demo}\nspec:\n  \
                kubernetesVersion: v1.36.2\n  hosts:\n    - {name: cp1, address: 192.0.2.11, \
                roles: [control-plane]}\n";
    let (cluster, _) = inventory::parse(text, "inventory.yaml", Path::new("/")).unwrap();
    let script = vitals(&cluster, &cluster.hosts[0]).unwrap();
    for root in roots_and_busybox() {
        root.write("bin/kubelet", "#!/bin/sh\necho Kubernetes v1.36.2\n");
        let path = root.path("bin/kubelet");
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        root.write(
            "units/kubelet.service",
            "Id=kubelet.service\nLoadState=loaded\nActiveState=failed\nUnitFileState=enabled\n",
        );
        let both = format!("{KEY}\n{CERTIFICATE}\n{CERTIFICATE}\n");
        root.write("var/lib/kubelet/pki/kubelet-client-current.pem", &both);
        root.write("etc/kubernetes/pki/etcd/peer.crt", CERTIFICATE);
        root.write("etc/kubernetes/pki/etcd/peer.key", KEY);
        root.write(
            "etc/kubernetes/admin.conf",
            "users:\n- user:\n    client-certificate-data: UEVN\n    client-key-data: U0VDUkVU\n",
        );
        let output = root.run(&script);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        for secret in ["SECRET", "PRIVATE", "U0VDUkVU"] {
            assert!(!said.contains(secret), "{}: {said}", root.shell());
        }
        let vitals = parse_vitals(&output.stdout).unwrap();
        assert_eq!(vitals.units["kubelet.service"].active, "failed");
        assert_eq!(vitals.units["containerd.service"].load, "not-found");
        assert_eq!(vitals.kubelet_version.as_deref(), Some("v1.36.2"));
        assert!(!vitals.socket, "a plain file is no socket");
        let certificates: Vec<(&str, &str)> = vitals
            .certificates
            .iter()
            .map(|(path, pem)| (path.as_str(), pem.trim()))
            .collect();
        assert_eq!(
            certificates,
            [
                ("/etc/kubernetes/pki/etcd/peer.crt", CERTIFICATE),
                (
                    "/var/lib/kubelet/pki/kubelet-client-current.pem",
                    CERTIFICATE
                ),
                ("/etc/kubernetes/admin.conf", "PEM"),
            ],
            "{}",
            root.shell()
        );
    }
}
