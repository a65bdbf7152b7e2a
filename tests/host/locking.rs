//! What scripts refuse: a run that a later one has overtaken, a file that has changed since the
//! plan was made. And what they keep.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;

use clusterctl::host::{
    HostError, HostPlan, Resource, RunOwner, Turn, cleaned, converge_in_turn, converged, reset,
    take, taken,
};

use crate::converging::file;
use crate::resetting::{sealed, wanted};
use crate::root::{Root, roots_and_busybox};

fn turn(number: u64, holder: &str) -> Turn {
    Turn {
        number,
        owner: RunOwner {
            holder: holder.into(),
            verb: "apply".into(),
            since: "2026-11-27T20:00:00Z".parse().unwrap(),
            process: format!("boot/1/2/{holder}"),
        },
    }
}

/// Converges as that run.
fn attempt(root: &Root, plan: &HostPlan, turn: &Turn) -> Result<(), HostError> {
    let output = root.run(&converge_in_turn(plan, Some(turn)).unwrap());
    converged(plan, &output)
}

fn text(root: &Root, path: &str, text: &str) -> Vec<Resource> {
    vec![Resource::File(file(root, path, text))]
}

#[test]
fn a_run_that_a_later_one_has_overtaken_changes_nothing() {
    for root in roots_and_busybox() {
        let path = "/etc/a";
        let first = root.plan(&text(&root, path, "1\n"));
        attempt(&root, &first, &turn(7, "it's me@here")).unwrap();
        let found = root.observe(&[]).turn.unwrap();
        assert_eq!(found.turn, turn(7, "it's me@here"), "{}", root.shell());
        assert!(found.age.as_secs() < 60);
        assert_eq!(root.mode("var/lib/clusterctl/lock"), 0o600);
        // Itself again, and a later one.
        let plan = root.plan(&text(&root, path, "2\n"));
        attempt(&root, &plan, &turn(7, "it's me@here")).unwrap();
        let plan = root.plan(&text(&root, path, "3\n"));
        attempt(&root, &plan, &turn(9, "bob@there")).unwrap();
        let before = root.read("var/lib/clusterctl/receipt.json");
        for late in [turn(7, "it's me@here"), turn(9, "carol@there")] {
            let plan = root.plan(&text(&root, path, "4\n"));
            match attempt(&root, &plan, &late) {
                Err(HostError::Superseded { number, owner }) => {
                    assert_eq!((number, owner.holder.as_str()), (9, "bob@there"));
                }
                other => panic!("{}: {other:?}", root.shell()),
            }
            assert_eq!(root.read(path), "3\n");
            assert_eq!(root.read("var/lib/clusterctl/receipt.json"), before);
            assert_eq!(root.leftovers(), Vec::<String>::new());
        }
    }
}

#[test]
fn a_lock_file_that_is_damaged_keeps_no_run_away() {
    for root in roots_and_busybox() {
        for damage in ["", "\n", "99999999999999999999\tx\n", "x\ty\n", "-1\n"] {
            root.write("var/lib/clusterctl/lock", damage);
            let plan = root.plan(&text(&root, "/etc/a", &format!("{damage:?}\n")));
            attempt(&root, &plan, &turn(1, "me@here")).unwrap();
        }
    }
}

#[test]
fn a_lock_is_broken_on_hosts_that_were_ever_changed_and_no_others() {
    for root in roots_and_busybox() {
        let take = |number| {
            let output = root.run(&take(&turn(number, "breaker@here")));
            taken(&output.stdout)
        };
        take(5).unwrap();
        assert!(!root.path("var/lib/clusterctl").exists());
        let plan = root.plan(&text(&root, "/etc/a", "1\n"));
        attempt(&root, &plan, &turn(5, "me@here")).unwrap();
        take(6).unwrap();
        let plan = root.plan(&text(&root, "/etc/a", "2\n"));
        let late = attempt(&root, &plan, &turn(5, "me@here"));
        assert!(
            matches!(late, Err(HostError::Superseded { .. })),
            "{late:?}"
        );
        let late = take(4);
        assert!(
            matches!(late, Err(HostError::Superseded { .. })),
            "{late:?}"
        );
    }
}

#[test]
fn a_file_that_has_changed_since_the_plan_was_made_stops_all_of_it() {
    for root in roots_and_busybox() {
        root.write("etc/it's $HOME", "old\n");
        root.write("etc/gone", "old\n");
        let wanted: Vec<Resource> = ["/etc/first", "/etc/it's $HOME", "/etc/gone", "/etc/new"]
            .iter()
            .flat_map(|path| text(&root, path, "ours\n"))
            .collect();
        let plan = root.plan(&wanted);
        root.write("etc/it's $HOME", "changed\n");
        fs::remove_file(root.path("etc/gone")).unwrap();
        symlink("nowhere", root.path("etc/new")).unwrap();
        match attempt(&root, &plan, &turn(1, "me@here")) {
            Err(HostError::ChangedSince { paths }) => {
                assert_eq!(paths, ["/etc/gone", "/etc/it's $HOME", "/etc/new"]);
            }
            other => panic!("{}: {other:?}", root.shell()),
        }
        assert_eq!(root.read("etc/it's $HOME"), "changed\n");
        for path in ["etc/first", "etc/gone", "var/lib/clusterctl"] {
            assert!(!root.path(path).exists(), "{}: {path}", root.shell());
        }
        assert_eq!(root.leftovers(), Vec::<String>::new());
    }
}

#[test]
fn a_plan_that_was_cut_off_can_be_carried_on_with() {
    for root in roots_and_busybox() {
        root.write("etc/a", "old\n");
        let plan = root.plan(&text(&root, "/etc/a", "ours\n"));
        root.write("etc/a", "ours\n");
        attempt(&root, &plan, &turn(1, "me@here")).unwrap();
    }
}

#[test]
fn keys_of_a_cluster_are_kept_whenever_others_replace_them_even_by_a_reset() {
    for root in sealed() {
        let path = "/etc/kubernetes/pki/etcd/ca.key";
        for key in ["theirs\n", "ours\n"] {
            let wanted = vec![Resource::File(file(&root, path, key).secret())];
            root.converge(&wanted);
        }
        let mut kept = fs::read_dir(root.path("var/lib/clusterctl/replaced")).unwrap();
        let dated = kept.next().unwrap().unwrap().file_name();
        let copy = format!("var/lib/clusterctl/replaced/{}{path}", dated.display());
        assert_eq!(root.read(&copy), "theirs\n", "{}", root.shell());
        assert_eq!(root.mode(&copy), 0o600);
        assert!(kept.next().is_none(), "what was not there is not kept");
        let receipt = root.observe(&[]).receipt.unwrap();
        let mut wanted = wanted(&receipt);
        wanted.turn = Some(turn(9, "me@here"));
        let output = root.run(&reset(&wanted).unwrap());
        let left = cleaned(&output).unwrap().left;
        assert!(
            left.iter()
                .any(|line| line.starts_with("/var/lib/clusterctl/replaced ")),
            "{left:?}"
        );
        assert_eq!(root.read(&copy), "theirs\n");
        for path in ["receipt.json", "lock", "originals"] {
            assert!(
                !root.path(&format!("var/lib/clusterctl/{path}")).exists(),
                "{path}"
            );
        }
    }
}

#[test]
fn a_reset_that_comes_late_takes_nothing_away() {
    for root in sealed() {
        let plan = root.plan(&text(&root, "/etc/a", "1\n"));
        attempt(&root, &plan, &turn(8, "bob@there")).unwrap();
        let receipt = root.observe(&[]).receipt.unwrap();
        let mut wanted = wanted(&receipt);
        wanted.turn = Some(turn(7, "me@here"));
        let output = root.run(&reset(&wanted).unwrap());
        let late = cleaned(&output);
        assert!(
            matches!(late, Err(HostError::Superseded { .. })),
            "{late:?}"
        );
        assert_eq!(root.read("etc/a"), "1\n");
        wanted.turn = Some(turn(9, "me@here"));
        cleaned(&root.run(&reset(&wanted).unwrap())).unwrap();
        assert!(!root.path("var/lib/clusterctl").exists());
    }
}
