//! What is refused before anything is connected to, and what is said then.

use insta::assert_snapshot;

use crate::typist::Typist;

#[test]
fn an_inventory_that_is_missing() {
    let typist = Typist::new();
    assert_snapshot!("missing-inventory", typist.run(&["plan"]));
    assert_snapshot!(
        "missing-inventory-named",
        typist.run(&["apply", "-i", "none.yaml", "--yes"])
    );
}

#[test]
fn hosts_that_are_unknown() {
    let typist = Typist::with_inventory();
    for (name, args) in [
        ("unknown-host", &["plan", "--hosts", "wroker*"][..]),
        ("unknown-host-trust", &["hosts", "trust", "nobody"]),
        ("unknown-host-add", &["add-node", "nobody"]),
        ("unknown-host-remove", &["remove-node", "nobody"]),
        ("unknown-host-reset", &["reset", "nobody"]),
    ] {
        assert_snapshot!(name, typist.run(args));
    }
}

#[test]
fn phases_that_are_unknown_or_lack_others() {
    let typist = Typist::with_inventory();
    for (name, args) in [
        ("unknown-phase", &["apply", "--phases", "certs,host"][..]),
        ("skipped-phase", &["plan", "--skip-phases", "kubelet"]),
    ] {
        assert_snapshot!(name, typist.run(args));
    }
}

#[test]
fn flags_that_contradict_each_other_or_are_unknown() {
    let typist = Typist::with_inventory();
    for (name, args) in [
        ("conflict-reset", &["reset", "cp1", "--all"][..]),
        ("conflict-status", &["status", "--watch", "--exit-code"]),
        ("requires-address", &["add-node", "w", "--role", "worker"]),
        ("requires-merge", &["kubeconfig", "--into", "file"]),
        ("requires-names", &["reset"]),
        ("unknown-flag", &["apply", "--host", "cp1"]),
        ("unknown-verb", &["aply"]),
        ("wrong-duration", &["remove-node", "cp1", "--timeout", "5"]),
        (
            "two-with-address",
            &["add-node", "a", "b", "--address", "192.0.2.9"],
        ),
        ("no-verb", &[]),
    ] {
        assert_snapshot!(name, typist.run(args));
    }
}

#[test]
fn what_there_is_not_yet() {
    let typist = Typist::with_inventory();
    assert_snapshot!("no-kubeconfig", typist.run(&["kubeconfig"]));
}
