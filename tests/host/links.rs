//! Root follows no link of others: four attacks by users of a host, and the links of its
//! administrator, which work.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use clusterctl::host::{
    Directory, FileResource, HostError, HostPlan, Owner, Receipt, Resource, Withdrawn, cleaned,
    converge, converged, diff, look_for_receipt, put_back, reset, was_put_back,
};

use crate::converging::{file, lines};
use crate::resetting::{sealed, wanted};
use crate::root::{Root, roots, roots_and_busybox};

const SECRET: &str = "root:$6$salt$hash:20000::::::\n";

/// A host whose user `app` owns `/srv/app`, or may write to it. `/etc` has what is worth having.
fn furnish(root: &Root) {
    root.write("etc/shadow", SECRET);
    root.write("etc/hosts", "127.0.0.1 localhost\n");
    root.write("etc/cron.d/own", "");
    root.write("srv/app/.x", "");
    root.write("srv/own/.x", "");
    loosen(root, "srv/app");
}

/// From now on, others may write to a directory: it is theirs, if these tests may give it away.
fn loosen(root: &Root, dir: &str) {
    let path = root.path(dir);
    if chown(&path, Some(1001), Some(1001)).is_err() {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
}

/// What the user of the host does: `/srv/app/conf` leads to `/etc`.
fn plant(root: &Root, target: &str) {
    let _ = fs::rename(root.path("srv/app/conf"), root.path("srv/app/before"));
    symlink(target, root.path("srv/app/conf")).unwrap();
}

fn plan(root: &Root, resources: &[Resource]) -> Result<HostPlan, HostError> {
    diff(resources, &root.observe(resources), &Owner::named("demo"))
}

fn run(root: &Root, plan: &HostPlan) -> Result<(), HostError> {
    let output = root.run(&converge(plan).unwrap());
    converged(plan, &output)
}

fn apply(root: &Root, resources: &[Resource]) -> Result<(), HostError> {
    run(root, &plan(root, resources)?)
}

fn one(file: FileResource) -> Vec<Resource> {
    vec![Resource::File(file)]
}

/// That it was refused, and says where and what to do.
fn refused<T: std::fmt::Debug>(result: Result<T, HostError>, place: &str) {
    let error = result.unwrap_err();
    let text = error.to_string();
    assert!(text.contains(place), "{text}");
    assert!(text.contains("/srv/app "), "{text}");
    assert!(error.hint().is_some_and(|hint| hint.contains("chown")));
}

fn receipt(root: &Root) -> Receipt {
    let found = root.observe(&[]).receipt;
    found.unwrap_or_default()
}

#[test]
fn nothing_is_written_through_a_link_of_a_user() {
    for root in roots_and_busybox() {
        furnish(&root);
        let resources = one(file(&root, "/srv/app/conf/job", "text\n"));
        plant(&root, "../../etc/cron.d");
        refused(apply(&root, &resources), "/srv/app/conf/job");
        assert!(!root.path("etc/cron.d/job").exists(), "{}", root.shell());
        assert!(!root.path("var/lib/clusterctl").exists());
    }
}

#[test]
fn a_link_that_comes_after_the_plan_is_too_late() {
    for root in roots_and_busybox() {
        root.write("etc/cron.d/own", "");
        root.write("srv/app/conf/.x", "");
        let resources = one(file(&root, "/srv/app/conf/job", "text\n"));
        let plan = plan(&root, &resources).unwrap();
        loosen(&root, "srv/app");
        plant(&root, "../../etc/cron.d");
        refused(run(&root, &plan), "/srv/app/conf/job");
        assert!(!root.path("etc/cron.d/job").exists(), "{}", root.shell());
        assert!(!root.path("srv/app/before/job").exists());
        assert!(!root.path("var/lib/clusterctl/receipt.json").exists());
    }
}

#[test]
fn a_plan_shows_nothing_that_a_link_leads_to() {
    for root in roots_and_busybox() {
        furnish(&root);
        // A link in the user's directory, one of root's into it, and root's own.
        plant(&root, "../../etc");
        root.write("srv/own/real", SECRET);
        symlink("../srv/app/conf/shadow", root.path("etc/theirs")).unwrap();
        symlink("../srv/own/real", root.path("etc/own")).unwrap();
        let paths = ["/srv/app/conf/shadow", "/etc/theirs", "/etc/own"];
        let resources: Vec<Resource> = paths
            .iter()
            .map(|path| Resource::File(file(&root, path, "text\n")))
            .collect();
        let observed = root.observe(&resources);
        assert_eq!(observed.contents.len(), 0, "{:?}", observed.contents);
        let hashed: Vec<&String> = observed.hashes.keys().collect();
        assert_eq!(hashed, ["/etc/own"], "{}", root.shell());
        refused(plan(&root, &resources), "/srv/app/conf/shadow");

        let plan = plan(&root, &resources[1..]).unwrap();
        let shown = format!("{:?}", plan.changes);
        assert!(!shown.contains("hash:2"), "{shown}");
        assert!(shown.contains("replaces a symbolic link"), "{shown}");
        run(&root, &plan).unwrap();
        assert_eq!(root.read("srv/own/real"), SECRET);
        assert!(!root.path("etc/own").is_symlink());
    }
}

#[test]
fn a_pipe_in_the_place_of_a_file_stops_nothing() {
    for root in roots() {
        furnish(&root);
        let pipe = root.path("srv/app/job");
        let made = std::process::Command::new("mkfifo").arg(pipe).status();
        assert!(made.unwrap().success());
        let resources = one(file(&root, "/srv/app/job", "text\n"));
        refused(plan(&root, &resources), "/srv/app/job");
    }
}

#[test]
fn no_owner_and_mode_is_given_to_what_a_link_leads_to() {
    for root in roots_and_busybox() {
        furnish(&root);
        let hosts = file(&root, "/srv/app/conf/hosts", "127.0.0.1 localhost\n").mode(0o666);
        let directory = Resource::Directory(Directory {
            path: "/srv/app/conf".into(),
            mode: 0o777,
            owner: root.owner(),
        });
        let before = (root.mode("etc"), root.mode("etc/hosts"));
        plant(&root, "../../etc");
        refused(apply(&root, &one(hosts)), "/srv/app/conf/hosts");
        refused(apply(&root, &[directory]), "/srv/app/conf");
        let after = (root.mode("etc"), root.mode("etc/hosts"));
        assert_eq!(after, before, "{}", root.shell());
    }
}

/// A host that got a file while its directory was root's, in place of one with `original`.
fn placed(root: &Root, original: Option<&str>) {
    root.write("etc/hosts", "127.0.0.1 localhost\n");
    root.write("srv/app/conf/.x", "");
    if let Some(original) = original {
        root.write("srv/app/conf/hosts", original);
    }
    root.converge(&one(file(root, "/srv/app/conf/hosts", "ours\n")));
    loosen(root, "srv/app");
    plant(root, "../../etc");
}

#[test]
fn what_left_the_inventory_is_not_removed_through_a_link() {
    for root in roots_and_busybox() {
        for original in [None, Some("evil\n")] {
            placed(&root, original);
            let withdrawn = [Resource::Withdrawn(Withdrawn {
                path: "/srv/app/conf/hosts".into(),
            })];
            let plan = plan(&root, &withdrawn).unwrap();
            let shown = lines(&plan);
            assert!(
                shown[0].starts_with("remove file /srv/app/conf/hosts"),
                "{shown:?}"
            );
            let shown = format!("{:?}", plan.changes);
            assert!(shown.contains("stays, because /srv/app "), "{shown}");
            run(&root, &plan).unwrap();
            assert_eq!(root.read("etc/hosts"), "127.0.0.1 localhost\n");
            assert!(receipt(&root).files.is_empty());
            assert!(
                !root
                    .path("var/lib/clusterctl/originals/srv/app/conf/hosts")
                    .exists()
            );
            let kept = root.path("var/lib/clusterctl/replaced").exists();
            assert_eq!(kept, original.is_some());
            fs::remove_dir_all(root.path("srv")).unwrap();
        }
    }
}

#[test]
fn a_reset_removes_and_restores_nothing_through_a_link() {
    for root in sealed() {
        for original in [None, Some("evil\n")] {
            placed(&root, original);
            let output = root.run(&look_for_receipt().unwrap());
            let found = clusterctl::host::Observed::parse(&output.stdout).unwrap();
            let receipt = found.receipt.unwrap();
            let output = root.run(&reset(&wanted(&receipt)).unwrap());
            assert_eq!(String::from_utf8_lossy(&output.stderr), "");
            let left = cleaned(&output).unwrap().left.join("\n");
            assert_eq!(root.read("etc/hosts"), "127.0.0.1 localhost\n", "{left}");
            assert!(
                left.contains("/srv/app/conf/hosts (/srv/app belongs to"),
                "{left}"
            );
            if original.is_some() {
                assert!(
                    left.contains("is in /var/lib/clusterctl/replaced/"),
                    "{left}"
                );
            }
            let _ = fs::remove_dir_all(root.path("var/lib/clusterctl"));
            fs::remove_dir_all(root.path("srv")).unwrap();
        }
    }
}

#[test]
fn nothing_goes_back_through_a_link() {
    for root in roots() {
        let service =
            |text: &str| one(file(&root, "/srv/app/conf/hosts", text).notify("app.service"));
        root.write("etc/hosts", "127.0.0.1 localhost\n");
        root.converge(&service("good\n"));
        let observed = root.observe(&service("bad\n"));
        let owner = Owner::named("demo");
        let mut plan = diff(&service("bad\n"), &observed, &owner).unwrap();
        plan.keep_previous(&observed, true);
        run(&root, &plan).unwrap();
        loosen(&root, "srv/app");
        plant(&root, "../../etc");
        refused(
            was_put_back(&root.run(&put_back(None))),
            "/srv/app/conf/hosts",
        );
        assert_eq!(root.read("etc/hosts"), "127.0.0.1 localhost\n");
        assert!(root.path("var/lib/clusterctl/previous").exists());
    }
}

#[test]
fn links_of_the_administrator_are_followed() {
    for root in roots_and_busybox() {
        root.write("data/kubernetes/.x", "");
        root.write("data/etcd/.x", "");
        root.write("etc/.x", "");
        root.write("var/lib/.x", "");
        symlink("../data/step", root.path("etc/kubernetes")).unwrap();
        symlink("kubernetes", root.path("data/step")).unwrap();
        symlink("../../data/./etcd/", root.path("var/lib/etcd")).unwrap();
        let resources = vec![
            Resource::Directory(Directory {
                path: "/var/lib/etcd".into(),
                mode: 0o700,
                owner: root.owner(),
            }),
            Resource::File(file(&root, "/etc/kubernetes/manifests/a.yaml", "a: 1\n")),
        ];
        root.converge(&resources);
        assert_eq!(root.read("data/kubernetes/manifests/a.yaml"), "a: 1\n");
        assert_eq!(root.mode("data/etcd"), 0o700, "{}", root.shell());
        assert!(root.path("etc/kubernetes").is_symlink());

        // A link of root's that leads through a directory of a user is the user's to redirect.
        root.write("srv/app/.x", "");
        loosen(&root, "srv/app");
        fs::rename(root.path("data"), root.path("srv/app/data")).unwrap();
        symlink("srv/app/data", root.path("data")).unwrap();
        refused(plan(&root, &resources), "/etc/kubernetes/manifests/a.yaml");
    }
}

#[test]
fn a_link_that_leads_in_circles_is_refused() {
    for root in roots_and_busybox() {
        root.write("etc/.x", "");
        symlink("../etc/loop/x", root.path("etc/loop")).unwrap();
        let resources = one(file(&root, "/etc/loop/a", "text\n"));
        let error = plan(&root, &resources).unwrap_err().to_string();
        assert!(error.contains("leads in circles"), "{error}");
    }
}

#[test]
fn who_may_write_to_a_directory_decides() {
    let root = roots().remove(0);
    let resources = one(file(&root, "/srv/x/conf", "text\n"));
    let judged = |mode: u32, group: Option<u32>| {
        root.write("srv/x/.x", "");
        fs::set_permissions(root.path("srv/x"), fs::Permissions::from_mode(mode)).unwrap();
        if let Some(group) = group {
            chown(root.path("srv/x"), None, Some(group)).unwrap();
        }
        let refused = plan(&root, &resources).err().map(|error| error.to_string());
        fs::remove_dir_all(root.path("srv")).unwrap();
        refused
    };
    assert_eq!(judged(0o755, None), None);
    // Root's own group; others have to show that they have no members.
    assert_eq!(judged(0o775, None), None);
    let why = judged(0o1777, None).unwrap();
    assert!(why.contains("(mode 1777)"), "{why}");
    if root.owner().starts_with("0:") {
        assert!(judged(0o775, Some(12_345)).is_some(), "an unknown group");
        assert_eq!(judged(0o755, Some(12_345)), None);
    }
}

#[test]
fn a_receipt_that_was_tampered_with_leads_nowhere() {
    for root in sealed() {
        root.write("etc/passwd", "root:x:0:0::/root:/bin/sh\n");
        root.write("usr/bin/ssh", "a program");
        root.write("etc/motd", "ours\n");
        root.write("etc/ssh/.x", "");
        let text = r#"{
  "version": 1,
  "cluster": "demo",
  "attributes": {
    "/etc/ssh": {"mode": "0777", "owner": "0:0"}
  },
  "files": {
    "/etc/motd": {
      "sha256": ""
    },
    "/etc/passwd": {
      "sha256": ""
    },
    "/usr/bin/ssh": {
      "sha256": ""
    }
  },
  "units": {"sshd.service": {"enabled": false, "active": false}}
}
"#;
        root.write("var/lib/clusterctl/receipt.json", text);
        fs::set_permissions(
            root.path("var/lib/clusterctl"),
            fs::Permissions::from_mode(0o700),
        )
        .unwrap();
        let receipt = receipt(&root);
        let files: Vec<&String> = receipt.files.keys().collect();
        assert_eq!(files, ["/etc/motd"]);
        root.log();
        let output = root.run(&reset(&wanted(&receipt)).unwrap());
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let left = cleaned(&output).unwrap().left.join("\n");
        for name in [
            "/etc/passwd",
            "/usr/bin/ssh",
            "unit sshd.service",
            "the mode of /etc/ssh",
        ] {
            assert!(left.contains(name), "{left}");
        }
        assert!(!root.path("etc/motd").exists());
        assert!(root.path("etc/passwd").exists() && root.path("usr/bin/ssh").exists());
        assert_eq!(root.mode("etc/ssh"), 0o755);
        assert!(!root.log().contains("sshd"));
    }
}

#[test]
fn a_planted_state_directory_is_not_believed() {
    for root in sealed() {
        root.write("var/lib/clusterctl/receipt.json", "{\"version\": 1}");
        fs::set_permissions(
            root.path("var/lib/clusterctl"),
            fs::Permissions::from_mode(0o777),
        )
        .unwrap();
        let observed = root.observe(&[]);
        assert_eq!(observed.receipt, None, "{}", root.shell());
        let refused = diff(&[], &observed, &Owner::named("demo")).unwrap_err();
        assert!(
            refused.to_string().contains("/var/lib/clusterctl "),
            "{refused}"
        );
        let output = root.run(&reset(&wanted(&Receipt::new(&Owner::named("demo")))).unwrap());
        assert!(matches!(cleaned(&output), Err(HostError::Loose { .. })));
        assert!(root.path("var/lib/clusterctl/receipt.json").exists());
    }
}
