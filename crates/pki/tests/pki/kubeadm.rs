//! What kubeadm v1.36 made for one configuration, beside what we make for it.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use pki::{Ca, Store, spki_pin};

use crate::common::{node, openssl, request, try_openssl};

/// Writes the PKI directory as it will be on the node.
fn lay_out(state: &Path, node: &Path) -> pki::Pki {
    let pki = Store::new(state).ensure(&request()).unwrap();
    for file in pki.files_for("cp1") {
        let path = node.join("pki").join(&file.path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, file.content.as_bytes()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(file.mode)).unwrap();
    }
    pki
}

fn files(dir: &Path, extensions: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (sub, prefix) in [("pki", "pki"), ("pki/etcd", "pki/etcd")] {
        for entry in fs::read_dir(dir.join(sub)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if extensions.iter().any(|extension| name.ends_with(extension)) {
                found.push(format!("{prefix}/{name}"));
            }
        }
    }
    found.sort();
    found
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// One certificate as the fixture describes it.
fn describe(dir: &Path, file: &str) -> String {
    let mut text = format!("== {file} {:o}\n", mode(&dir.join(file)));
    text += &openssl(dir, &format!("x509 -noout -subject -issuer -in {file}"));
    for extension in [
        "keyUsage",
        "extendedKeyUsage",
        "basicConstraints",
        "subjectAltName",
    ] {
        let (_, out) = try_openssl(dir, &format!("x509 -noout -ext {extension} -in {file}"));
        if out.starts_with("X509v3") {
            text += &out;
        }
    }
    let all = openssl(dir, &format!("x509 -noout -text -in {file}"));
    for line in all.lines() {
        if ["Public Key Algorithm:", "Public-Key:", "ASN1 OID:"]
            .iter()
            .any(|word| line.trim_start().starts_with(word))
        {
            writeln!(text, "{line}").unwrap();
        }
    }
    text
}

/// OpenSSL 3.2 writes names without blanks; line ends vary, too.
fn plain(text: &str) -> String {
    text.lines()
        .map(|line| line.trim_end().replace(" = ", "="))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn it_is_what_kubeadm_made() {
    let dir = tempfile::tempdir().unwrap();
    let (state, node) = (dir.path().join("state"), dir.path().join("node"));
    let pki = lay_out(&state, &node);

    let mut ours = String::new();
    for file in files(&node, &[".crt"]) {
        ours += &describe(&node, &file);
    }
    for file in files(&node, &[".key", ".pub"]) {
        let pem = fs::read_to_string(node.join(&file)).unwrap();
        let first = pem.lines().next().unwrap();
        writeln!(ours, "== {file} {:o} {first}", mode(&node.join(&file))).unwrap();
    }
    for name in [
        "admin",
        "controller-manager",
        "kubelet",
        "scheduler",
        "super-admin",
    ] {
        let leaf = pki.leaf("cp1", &format!("kubeconfig/{name}")).unwrap();
        fs::write(node.join("client.crt"), &leaf.cert).unwrap();
        writeln!(ours, "== {name}.conf 600").unwrap();
        ours += &openssl(&node, "x509 -noout -subject -in client.crt");
    }
    assert_eq!(plain(&ours), plain(include_str!("kubeadm-v1.36.txt")));
}

#[test]
fn openssl_verifies_every_chain_and_purpose() {
    let dir = tempfile::tempdir().unwrap();
    let mut request = request();
    request.control_plane_endpoint = Some("api.example.com".into());
    request.api_server_sans = vec!["2001:db8::7".into(), "API.example.com".into()];
    request.nodes.push(node("cp2", "192.0.2.12", false));
    Store::new(dir.path()).ensure(&request).unwrap();
    let verify = |ca: &str, args: &str, base: &str| {
        openssl(
            dir.path(),
            &format!("verify -x509_strict -CAfile pki/{ca}.crt {args} hosts/cp1/pki/{base}.crt"),
        );
    };
    for name in [
        "cp1",
        "kubernetes.default.svc.cluster.local",
        "api.example.com",
    ] {
        verify(
            "ca",
            &format!("-purpose sslserver -verify_hostname {name}"),
            "apiserver",
        );
    }
    verify(
        "ca",
        "-purpose sslserver -verify_ip 2001:db8::7",
        "apiserver",
    );
    verify("ca", "-purpose sslclient", "apiserver-kubelet-client");
    verify("front-proxy-ca", "-purpose sslclient", "front-proxy-client");
    for base in ["etcd/server", "etcd/peer"] {
        verify("etcd/ca", "-purpose sslclient", base);
        verify("etcd/ca", "-purpose sslserver -verify_ip ::1", base);
    }
    verify("etcd/ca", "-purpose sslclient", "etcd/healthcheck-client");
    verify("etcd/ca", "-purpose sslclient", "apiserver-etcd-client");
    for user in [
        "admin",
        "super-admin",
        "kubelet",
        "controller-manager",
        "scheduler",
    ] {
        verify("ca", "-purpose sslclient", &format!("kubeconfig/{user}"));
    }
    // Only the node that the cluster starts with can do without RBAC.
    let cp2 = dir.path().join("hosts/cp2/pki/kubeconfig");
    assert!(cp2.join("admin.crt").exists());
    assert!(!cp2.join("super-admin.crt").exists());
}

#[test]
fn dates_and_identifiers_are_kubeadms() {
    let dir = tempfile::tempdir().unwrap();
    let created = "2026-05-01T12:00:00Z".parse().unwrap();
    Store::at(dir.path(), created).ensure(&request()).unwrap();
    let show =
        |file: &str, what: &str| openssl(dir.path(), &format!("x509 -noout {what} -in {file}"));
    insta::assert_snapshot!(show("pki/ca.crt", "-dates"), @r"
    notBefore=May  1 11:55:00 2026 GMT
    notAfter=Apr 28 12:00:00 2036 GMT
    ");
    insta::assert_snapshot!(show("hosts/cp1/pki/apiserver.crt", "-dates"), @r"
    notBefore=May  1 11:55:00 2026 GMT
    notAfter=May  1 12:00:00 2027 GMT
    ");

    // A client certificate that is first written later starts with its CA.
    let later = "2026-06-01T12:00:00Z".parse().unwrap();
    let mut request = request();
    request.nodes.push(node("cp2", "192.0.2.12", false));
    Store::at(dir.path(), later).ensure(&request).unwrap();
    insta::assert_snapshot!(show("hosts/cp2/pki/kubeconfig/admin.crt", "-dates"), @r"
    notBefore=May  1 11:55:00 2026 GMT
    notAfter=Jun  1 12:00:00 2027 GMT
    ");

    let id = |file: &str, extension: &str| {
        let text = show(file, &format!("-ext {extension}"));
        text.lines()
            .nth(1)
            .unwrap()
            .trim()
            .trim_start_matches("keyid:")
            .to_owned()
    };
    let ca_id = id("pki/ca.crt", "subjectKeyIdentifier");
    assert_eq!(
        ca_id,
        id("hosts/cp1/pki/apiserver.crt", "authorityKeyIdentifier")
    );
    assert_eq!(ca_id.len(), 20 * 3 - 1);
}

#[test]
fn patches_before_may_2026_give_the_kubelet_client_a_group() {
    let dir = tempfile::tempdir().unwrap();
    let mut request = request();
    request.legacy_kubelet_client = true;
    Store::new(dir.path()).ensure(&request).unwrap();
    let subject = openssl(
        dir.path(),
        "x509 -noout -subject -nameopt RFC2253 -in hosts/cp1/pki/apiserver-kubelet-client.crt",
    );
    assert_eq!(
        subject.trim(),
        "subject=CN=kube-apiserver-kubelet-client,O=kubeadm:cluster-admins"
    );
}

#[test]
fn the_pin_is_openssls_hash_of_the_public_key() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Store::new(dir.path()).ensure(&request()).unwrap();
    openssl(dir.path(), "x509 -noout -pubkey -in pki/ca.crt -out ca.pub");
    openssl(
        dir.path(),
        "pkey -pubin -in ca.pub -outform DER -out ca.spki",
    );
    let hash = openssl(dir.path(), "dgst -sha256 -r ca.spki");
    let pin = format!("sha256:{}", hash.split(' ').next().unwrap());
    assert_eq!(spki_pin(pki.ca_cert()).unwrap(), pin);
}

#[test]
fn uploads_have_kubeadms_names() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Store::new(dir.path()).ensure(&request()).unwrap();
    let names: Vec<String> = pki.uploads(&[1; 32], None).unwrap().into_keys().collect();
    assert_eq!(
        names,
        [
            "ca.crt",
            "ca.key",
            "etcd-ca.crt",
            "etcd-ca.key",
            "front-proxy-ca.crt",
            "front-proxy-ca.key",
            "sa.key",
            "sa.pub"
        ]
    );
    assert!(pki.authority(Ca::Etcd).is_some());
}
