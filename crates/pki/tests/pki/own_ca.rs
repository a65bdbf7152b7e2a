//! Authorities that the operator brings along, made by OpenSSL.

use std::fs;
use std::path::Path;

use pki::{Algorithm, Ca, PkiError, Store, inspect};
use x509_parser::pem::parse_x509_pem;

use crate::common::{openssl, request};

/// Puts a CA into the store with this key, subject and string type. Names are
/// `/`-separated; `+` joins values of one RDN.
fn bring(state: &Path, key: &str, subject: &str, mask: &str) {
    fs::create_dir_all(state.join("pki")).unwrap();
    fs::write(
        state.join("ca.cnf"),
        format!(
            "[req]\nstring_mask = {mask}\nutf8 = yes\ndistinguished_name = dn\n[dn]\n\
             [ca]\nbasicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign\n\
             subjectKeyIdentifier = hash\n"
        ),
    )
    .unwrap();
    openssl(state, &format!("genpkey {key} -out pki/ca.key"));
    openssl(
        state,
        &format!(
            "req -x509 -new -config ca.cnf -extensions ca -days 400 -multivalue-rdn -subj {subject} \
             -key pki/ca.key -out pki/ca.crt"
        ),
    );
}

const P256: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";
const P384: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-384";
const RSA: &str = "-algorithm RSA -pkeyopt rsa_keygen_bits:2048";

fn assert_names_are_the_same_bytes(state: &Path) {
    let read = |file: &str| fs::read(state.join(file)).unwrap();
    let (ca, leaf) = (read("pki/ca.crt"), read("hosts/cp1/pki/apiserver.crt"));
    let (ca, leaf) = (
        parse_x509_pem(&ca).unwrap().1,
        parse_x509_pem(&leaf).unwrap().1,
    );
    assert_eq!(
        ca.parse_x509().unwrap().subject().as_raw(),
        leaf.parse_x509().unwrap().issuer().as_raw()
    );
}

#[test]
fn every_kind_of_name_and_key_makes_a_chain() {
    for (key, subject, mask, leaves) in [
        (P256, "/CN=kubernetes", "default", Algorithm::EcdsaP256),
        (P256, "/CN=kubernetes", "utf8only", Algorithm::EcdsaP384),
        (
            P384,
            "/C=DE/O=Übung/O=Other/OU=One/OU=Two/CN=Root",
            "utf8only",
            Algorithm::EcdsaP256,
        ),
        // Parts of one name, out of their usual order, and one kind twice: all
        // that rcgen would not give back.
        (
            RSA,
            "/CN=Root+OU=Ops+O=Acme/DC=example/DC=com",
            "default",
            Algorithm::EcdsaP256,
        ),
        (P256, "/CN=Root", "default", Algorithm::Rsa2048),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path();
        bring(state, key, subject, mask);
        let before = fs::read(state.join("pki/ca.crt")).unwrap();
        let mut request = request();
        request.algorithm = leaves;
        if leaves == Algorithm::Rsa2048 {
            // Each of its keys takes a while.
            request.etcd = None;
        }
        let pki = Store::new(state).ensure(&request).unwrap();
        assert!(!pki.external_ca);
        openssl(
            state,
            "verify -x509_strict -purpose sslserver -CAfile pki/ca.crt hosts/cp1/pki/apiserver.crt",
        );
        assert_names_are_the_same_bytes(state);
        assert_eq!(
            fs::read(state.join("pki/ca.crt")).unwrap(),
            before,
            "{subject}"
        );
        // What we keep the next time is what fits by our own reading, too.
        assert!(
            !Store::new(state).plan(&request).unwrap().has_changes(),
            "{subject}"
        );
    }
}

#[test]
fn an_intermediate_ca_signs_too() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path();
    bring(state, P256, "/O=Acme/CN=Root", "default");
    fs::rename(state.join("pki/ca.crt"), state.join("root.crt")).unwrap();
    fs::rename(state.join("pki/ca.key"), state.join("root.key")).unwrap();
    openssl(state, &format!("genpkey {RSA} -out pki/ca.key"));
    openssl(
        state,
        "req -new -config ca.cnf -key pki/ca.key -subj /O=Acme/CN=Kubernetes -out ca.csr",
    );
    openssl(
        state,
        "x509 -req -in ca.csr -CA root.crt -CAkey root.key -days 300 -extfile ca.cnf \
         -extensions ca -out pki/ca.crt",
    );
    // The chain up to the root may follow in the same file.
    let both = fs::read_to_string(state.join("pki/ca.crt")).unwrap()
        + &fs::read_to_string(state.join("root.crt")).unwrap();
    fs::write(state.join("pki/ca.crt"), &both).unwrap();

    let pki = Store::new(state).ensure(&request()).unwrap();
    assert_eq!(pki.ca_cert(), both);
    let leaf = &pki.leaf("cp1", "apiserver").unwrap().cert;
    assert_eq!(inspect(leaf).unwrap().issuer, "O=Acme, CN=Kubernetes");
    openssl(
        state,
        "verify -CAfile root.crt -untrusted pki/ca.crt hosts/cp1/pki/apiserver.crt",
    );
    assert_names_are_the_same_bytes(state);
}

#[test]
fn a_certificate_that_is_no_ca_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path();
    bring(state, P256, "/CN=kubernetes", "default");
    let ensure = || Store::new(state).ensure(&request()).unwrap_err();

    openssl(state, &format!("genpkey {P256} -out pki/ca.key"));
    assert!(matches!(ensure(), PkiError::KeyMismatch { .. }));

    openssl(
        state,
        "req -x509 -new -days 9 -config ca.cnf -subj /CN=x -key pki/ca.key -out pki/ca.crt",
    );
    assert!(
        ensure()
            .to_string()
            .ends_with("pki/ca.crt is not a CA certificate")
    );

    fs::write(state.join("pki/ca.crt"), "nonsense").unwrap();
    assert!(
        ensure()
            .to_string()
            .ends_with("pki/ca.crt holds no certificate in PEM form")
    );

    fs::remove_file(state.join("pki/ca.crt")).unwrap();
    fs::write(state.join("pki/ca.key"), "nonsense").unwrap();
    assert!(
        ensure()
            .to_string()
            .ends_with("pki/ca.key holds no private key in PEM form")
    );
    // Nothing was written in all this.
    assert!(!state.join("hosts").exists() && !state.join("pki/sa.key").exists());
}

#[test]
fn an_expired_ca_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    Store::at(dir.path(), "2010-01-01T00:00:00Z".parse().unwrap())
        .ensure(&request())
        .unwrap();
    let error = Store::new(dir.path()).ensure(&request()).unwrap_err();
    assert!(matches!(error, PkiError::CaExpired { .. }), "{error}");
    assert!(error.hint().is_some());
}

#[test]
fn a_ca_without_key_is_external() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path();
    Store::new(state).ensure(&request()).unwrap();
    fs::remove_file(state.join("pki/ca.key")).unwrap();

    // It is not guessed.
    let lost = Store::new(state).ensure(&request()).unwrap_err();
    assert!(matches!(lost, PkiError::CaKeyLost { .. }), "{lost}");
    assert!(lost.hint().unwrap().contains("externalCA"));

    // All that it signed is there, so all is well.
    let pki = Store::new(state).ensure(&external()).unwrap();
    assert!(pki.external_ca && !pki.has_changes());
    assert!(pki.authority(Ca::Kubernetes).unwrap().key.is_none());
    assert!(pki.files_for("cp1").all(|file| file.path != "ca.key"));
    assert_eq!(pki.uploads(&[0; 32], None).unwrap()["ca.key"], b"");

    // What it signed elsewhere may say more than we would, but not less.
    let host = state.join("hosts/cp1/pki");
    fs::remove_file(host.join("kubeconfig/admin.crt")).unwrap();
    fs::remove_file(host.join("kubeconfig/scheduler.key")).unwrap();
    let mut request = external();
    request.api_server_sans = vec!["api.example.com".into()];
    let error = Store::new(state).ensure(&request).unwrap_err();
    let text = error
        .to_string()
        .replace(&state.display().to_string(), "STATE");
    insta::assert_snapshot!(text, @r"
    STATE/pki/ca.crt has no key beside it, so the certificates that it signs must exist already:
      STATE/hosts/cp1/pki/apiserver.crt: it lacks DNS:api.example.com
      STATE/hosts/cp1/pki/kubeconfig/admin.crt: missing
      STATE/hosts/cp1/pki/kubeconfig/scheduler.crt: its key is missing
    ");
}

#[test]
fn an_external_ca_may_say_more_than_we_would() {
    let dir = tempfile::tempdir().unwrap();
    let mut more = request();
    more.api_server_sans = vec!["more.example.com".into()];
    Store::new(dir.path()).ensure(&more).unwrap();
    fs::remove_file(dir.path().join("pki/ca.key")).unwrap();
    let pki = Store::new(dir.path()).ensure(&external()).unwrap();
    assert!(!pki.has_changes());
}

#[test]
fn leaves_of_an_external_ca_serve_until_their_end() {
    let dir = tempfile::tempdir().unwrap();
    let at = |when: &str| Store::at(dir.path(), when.parse().unwrap());
    at("2026-01-01T00:00:00Z").ensure(&request()).unwrap();
    fs::remove_file(dir.path().join("pki/ca.key")).unwrap();
    let pki = at("2026-12-20T00:00:00Z").plan(&external()).unwrap();
    assert_eq!(
        pki.warnings[0],
        "hosts/cp1/pki/apiserver.crt expires in 12 days, at 2027-01-01T00:00:00Z"
    );
    let reissued = |decision: &&pki::Decision| decision.action == pki::Action::Reissued;
    let reissued = pki.decisions.iter().filter(reissued);
    assert!(
        reissued.clone().count() > 0,
        "the others have keys that are here"
    );
    for decision in reissued {
        let ours = ["etcd/", "apiserver-etcd-client", "front-proxy-client"];
        let is_ours = ours.iter().any(|part| decision.file.contains(part));
        assert!(is_ours, "{decision:?}");
    }
    let error = at("2027-01-02T00:00:00Z").plan(&external()).unwrap_err();
    assert!(error.to_string().contains("expired"), "{error}");
}

/// The request of a cluster whose CA's key is kept elsewhere.
fn external() -> pki::Request {
    pki::Request {
        external_ca: true,
        ..request()
    }
}
