//! What the store keeps, makes and replaces, and how it writes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pki::{Action, Pki, PkiError, Store};

use crate::common::{node, request};

/// Every path below `dir`, with its type and mode and what tells a rewritten
/// file from an untouched one.
fn tree(dir: &Path) -> BTreeMap<PathBuf, (u32, u64, i64, i64)> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            // A temporary file may be gone by now.
            let Ok(meta) = fs::symlink_metadata(entry.path()) else {
                continue;
            };
            let stamp = (meta.mode(), meta.ino(), meta.mtime(), meta.mtime_nsec());
            if meta.is_dir() {
                dirs.push(entry.path());
            }
            found.insert(entry.path(), stamp);
        }
    }
    found
}

fn changes(pki: &Pki) -> Vec<String> {
    pki.decisions
        .iter()
        .filter(|decision| decision.action != Action::Kept)
        .map(|decision| format!("{:?} {}: {}", decision.action, decision.file, decision.why))
        .collect()
}

#[test]
fn a_second_run_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let first = Store::new(dir.path()).ensure(&request()).unwrap();
    let before = tree(dir.path());
    let second = Store::new(dir.path()).ensure(&request()).unwrap();
    assert_eq!(changes(&second), [""; 0]);
    assert_eq!(tree(dir.path()), before);
    assert_eq!(second.warnings, [""; 0]);
    let content = |pki: &Pki| -> Vec<_> { pki.files_for("cp1").map(|f| f.content).collect() };
    assert_eq!(content(&first), content(&second));
}

#[test]
fn a_plan_decides_the_same_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Store::new(dir.path()).plan(&request()).unwrap();
    assert!(tree(dir.path()).is_empty());
    let done = Store::new(dir.path()).ensure(&request()).unwrap();
    assert_eq!(plan.decisions, done.decisions);
    assert!(plan.has_changes());
}

#[test]
fn new_sans_replace_one_leaf_only() {
    let dir = tempfile::tempdir().unwrap();
    Store::new(dir.path()).ensure(&request()).unwrap();
    let before = tree(dir.path());
    let mut request = request();
    request.api_server_sans = vec!["203.0.113.7".into(), "api.example.com".into()];
    let pki = Store::new(dir.path()).ensure(&request).unwrap();
    insta::assert_debug_snapshot!(changes(&pki), @r#"
    [
        "Reissued hosts/cp1/pki/apiserver.crt: it lacks DNS:api.example.com, IP:203.0.113.7",
    ]
    "#);
    let after = tree(dir.path());
    let rewritten: Vec<_> = after
        .iter()
        .filter(|(path, stamp)| path.is_file() && before.get(*path) != Some(stamp))
        .map(|(path, _)| path.strip_prefix(dir.path()).unwrap().display().to_string())
        .collect();
    assert_eq!(
        rewritten,
        ["hosts/cp1/pki/apiserver.crt", "hosts/cp1/pki/apiserver.key"]
    );

    // And back again.
    request.api_server_sans.clear();
    let pki = Store::new(dir.path()).ensure(&request).unwrap();
    insta::assert_debug_snapshot!(changes(&pki), @r#"
    [
        "Reissued hosts/cp1/pki/apiserver.crt: it should not have DNS:api.example.com, IP:203.0.113.7",
    ]
    "#);
}

#[test]
fn a_renamed_node_gets_new_names() {
    let dir = tempfile::tempdir().unwrap();
    Store::new(dir.path()).ensure(&request()).unwrap();
    let mut request = request();
    request.nodes[0].node_name = "new".into();
    let pki = Store::new(dir.path()).ensure(&request).unwrap();
    insta::assert_debug_snapshot!(changes(&pki), @r#"
    [
        "Reissued hosts/cp1/pki/apiserver.crt: it lacks DNS:new and should not have DNS:cp1",
        "Reissued hosts/cp1/pki/etcd/server.crt: its subject is \"CN=cp1\", not \"CN=new\"",
        "Reissued hosts/cp1/pki/etcd/peer.crt: its subject is \"CN=cp1\", not \"CN=new\"",
        "Reissued hosts/cp1/pki/kubeconfig/kubelet.crt: its subject is \"O=system:nodes, CN=system:node:cp1\", not \"O=system:nodes, CN=system:node:new\"",
    ]
    "#);
}

#[test]
fn leaves_are_renewed_before_they_expire() {
    let dir = tempfile::tempdir().unwrap();
    let at = |when: &str| Store::at(dir.path(), when.parse().unwrap());
    at("2026-01-01T00:00:00Z").ensure(&request()).unwrap();

    let first_change = |when: &str| {
        let pki = at(when).plan(&request()).unwrap();
        let changes = changes(&pki);
        assert!(matches!(changes.len(), 0 | 12), "{changes:?}");
        changes.into_iter().next()
    };
    // 30 days before their end, to the second; a clock that is behind is no reason.
    assert_eq!(first_change("2026-12-02T00:00:00Z"), None);
    assert_eq!(first_change("2020-01-01T00:00:00Z"), None);
    assert_eq!(
        first_change("2026-12-02T00:00:01Z").unwrap(),
        "Reissued hosts/cp1/pki/apiserver.crt: it expires at 2027-01-01T00:00:00Z, \
         within 30 days"
    );
    assert_eq!(
        first_change("2027-01-02T00:00:00Z").unwrap(),
        "Reissued hosts/cp1/pki/apiserver.crt: it expired at 2027-01-01T00:00:00Z"
    );
    // Once.
    at("2026-12-20T00:00:00Z").ensure(&request()).unwrap();
    assert_eq!(first_change("2026-12-20T00:00:00Z"), None);
}

#[test]
fn the_window_is_a_matter_of_the_request() {
    let dir = tempfile::tempdir().unwrap();
    let at = |when: &str| Store::at(dir.path(), when.parse().unwrap());
    let mut request = request();
    request.validity.leaf = Duration::from_secs(24 * 3_600);
    request.validity.renew_before = Duration::from_secs(90 * 60);
    at("2026-01-01T00:00:00Z").ensure(&request).unwrap();
    let pki = at("2026-01-01T22:30:00Z").plan(&request).unwrap();
    assert!(!pki.has_changes());
    let pki = at("2026-01-01T22:31:00Z").plan(&request).unwrap();
    assert_eq!(
        changes(&pki)[0],
        "Reissued hosts/cp1/pki/apiserver.crt: it expires at 2026-01-02T00:00:00Z, \
         within 90 minutes"
    );
}

#[test]
fn the_first_certificate_of_a_kubelet_that_has_its_next_may_end() {
    let dir = tempfile::tempdir().unwrap();
    let at = |when: &str| Store::at(dir.path(), when.parse().unwrap());
    at("2026-01-01T00:00:00Z").ensure(&request()).unwrap();
    let mut joined = request();
    joined.nodes[0].kubelet_renews = true;
    for (when, request, expected) in [
        ("2026-12-20T00:00:00Z", &request(), true),
        ("2026-12-20T00:00:00Z", &joined, false),
        ("2027-12-20T00:00:00Z", &joined, false),
    ] {
        let pki = at(when).plan(request).unwrap();
        let changes = changes(&pki);
        let seed = "Reissued hosts/cp1/pki/kubeconfig/kubelet.crt";
        let found = changes.iter().any(|change| change.starts_with(seed));
        assert_eq!(found, expected, "{when}: {changes:?}");
        assert!(pki.warnings.is_empty(), "{:?}", pki.warnings);
    }
}

#[test]
fn the_next_run_repairs_what_a_killed_one_left() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path();
    Store::new(state).ensure(&request()).unwrap();
    let ca_key = fs::read(state.join("pki/ca.key")).unwrap();

    // Killed after the key, before the certificate: of a leaf …
    fs::remove_file(state.join("hosts/cp1/pki/apiserver.crt")).unwrap();
    // … and of a leaf that was being replaced.
    fs::copy(
        state.join("pki/sa.key"),
        state.join("hosts/cp1/pki/etcd/peer.key"),
    )
    .unwrap();
    let pki = Store::new(state).ensure(&request()).unwrap();
    insta::assert_debug_snapshot!(changes(&pki), @r#"
    [
        "Created hosts/cp1/pki/apiserver.crt: missing",
        "Reissued hosts/cp1/pki/etcd/peer.crt: its key is another certificate's",
    ]
    "#);

    // … and of the very first CA.
    fs::remove_dir_all(state.join("hosts")).unwrap();
    fs::remove_file(state.join("pki/ca.crt")).unwrap();
    let pki = Store::new(state).ensure(&request()).unwrap();
    assert_eq!(
        changes(&pki)[0],
        "Created pki/ca.crt: made for the existing key"
    );
    assert_eq!(fs::read(state.join("pki/ca.key")).unwrap(), ca_key);
}

#[test]
fn a_lost_ca_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    Store::new(dir.path()).ensure(&request()).unwrap();
    fs::remove_file(dir.path().join("pki/etcd/ca.crt")).unwrap();
    fs::remove_file(dir.path().join("pki/etcd/ca.key")).unwrap();
    let error = Store::new(dir.path()).ensure(&request()).unwrap_err();
    assert!(matches!(error, PkiError::CaLost { .. }), "{error}");
    assert!(error.hint().is_some());
}

#[test]
fn the_service_account_key_is_the_operators() {
    let dir = tempfile::tempdir().unwrap();
    let pki_dir = dir.path().join("pki");
    let made = Store::new(dir.path()).ensure(&request()).unwrap();
    fs::remove_file(pki_dir.join("sa.pub")).unwrap();
    let pki = Store::new(dir.path()).ensure(&request()).unwrap();
    assert_eq!(changes(&pki), ["Created pki/sa.pub: missing"]);
    assert_eq!(pki.service_account_key(), made.service_account_key());
    assert_eq!(pki.service_account_public(), made.service_account_public());

    // Keys of the past may stand beside it.
    let other = pki::PrivateKey::generate(Default::default()).unwrap();
    let two = other.public_pem().unwrap() + made.service_account_public();
    fs::write(pki_dir.join("sa.pub"), &two).unwrap();
    let pki = Store::new(dir.path()).ensure(&request()).unwrap();
    assert_eq!(pki.service_account_public(), two);

    fs::write(pki_dir.join("sa.pub"), other.public_pem().unwrap()).unwrap();
    let error = Store::new(dir.path()).ensure(&request()).unwrap_err();
    assert!(matches!(error, PkiError::KeyMismatch { .. }), "{error}");

    fs::remove_file(pki_dir.join("sa.key")).unwrap();
    let error = Store::new(dir.path()).ensure(&request()).unwrap_err();
    assert!(
        matches!(error, PkiError::NoServiceAccountKey { .. }),
        "{error}"
    );
}

#[test]
fn an_external_etcd_has_no_certificates_here() {
    let dir = tempfile::tempdir().unwrap();
    let mut request = request();
    request.etcd = None;
    let pki = Store::new(dir.path()).ensure(&request).unwrap();
    let paths: Vec<String> = pki.files_for("cp1").map(|file| file.path).collect();
    assert!(paths.iter().all(|path| !path.contains("etcd")), "{paths:?}");
    assert!(pki.files_for("elsewhere").next().is_none());
    let etcd = pki::ExternalEtcdFiles {
        ca: "a",
        cert: "b",
        key: "c",
    };
    let uploads = pki.uploads(&[0; 32], Some(etcd)).unwrap();
    assert!(uploads.contains_key("external-etcd-ca.crt"));
    assert!(!uploads.contains_key("etcd-ca.crt"));
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["", ".", "..", "../x", "a/b", "/a", "a/"] {
        let mut request = request();
        request.nodes = vec![node(name, "192.0.2.1", true)];
        let error = Store::new(dir.path()).ensure(&request).unwrap_err();
        assert!(matches!(error, PkiError::NodeName(_)), "{name}: {error}");
    }
}

#[test]
fn a_key_that_others_can_read_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    Store::new(dir.path()).ensure(&request()).unwrap();
    let key = dir.path().join("pki/ca.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let pki = Store::new(dir.path()).ensure(&request()).unwrap();
    assert_eq!(
        pki.warnings,
        ["pki/ca.key was open to others than its owner"]
    );
    assert_eq!(fs::metadata(&key).unwrap().mode() & 0o777, 0o600);
}

const UMASK_DIR: &str = "CLUSTERCTL_TEST_UMASK_DIR";

/// Runs in a process of its own, whose umask would leave everything open, and
/// looks at the files while they are written.
#[test]
fn no_key_is_ever_open_whatever_the_umask() {
    let Some(dir) = std::env::var_os(UMASK_DIR) else {
        let dir = tempfile::tempdir().unwrap();
        let status = Command::new("sh")
            .args([
                "-c",
                r#"umask 0; exec "$0" --exact store::no_key_is_ever_open_whatever_the_umask"#,
            ])
            .arg(std::env::current_exe().unwrap())
            .env(UMASK_DIR, dir.path())
            .status()
            .unwrap();
        assert!(status.success());
        return;
    };
    let state = PathBuf::from(dir).join("state");
    let check = |path: &Path, mode: u32| {
        let is_cert = path.extension().is_some_and(|extension| extension == "crt");
        let closed = mode & 0o077 == 0;
        assert!(closed || is_cert, "{} was {mode:o}", path.display());
    };
    let done = AtomicBool::new(false);
    let looks = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut looks = 0;
            while !done.load(Ordering::Relaxed) {
                for (path, (mode, ..)) in tree(&state) {
                    // A certificate gets its mode before its name.
                    let is_new = path
                        .file_name()
                        .is_some_and(|n| n.to_string_lossy().starts_with(".clusterctl-"));
                    if !is_new || mode & 0o777 != 0o644 {
                        check(&path, mode);
                    }
                    looks += 1;
                }
            }
            looks
        });
        let mut request = request();
        for index in 2..6 {
            request
                .nodes
                .push(node(&format!("cp{index}"), "192.0.2.20", false));
        }
        Store::new(&state).ensure(&request).unwrap();
        done.store(true, Ordering::Relaxed);
        watcher.join().unwrap()
    });
    assert!(looks > 0);
    for (path, (mode, ..)) in tree(&state) {
        check(&path, mode);
        let exact = match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => 0o100_644,
            Some("key" | "pub") => 0o100_600,
            _ => 0o40_700,
        };
        assert_eq!(mode, exact, "{}", path.display());
    }
}
