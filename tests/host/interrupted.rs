//! Converging that is cut short, and what the next run makes of it.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::process::Command;
use std::time::Duration;

use clusterctl::host::{Resource, converge, converged};

use crate::converging::{file, lines, node};
use crate::root::{roots, roots_and_busybox};

#[test]
fn a_stream_that_breaks_off_changes_nothing() {
    for root in roots_and_busybox() {
        root.write("etc/a", "old\n");
        let resources = [
            Resource::File(file(&root, "/etc/a", "new new new\n")),
            Resource::File(file(&root, "/etc/new/b", "b\n").secret()),
        ];
        let plan = root.plan(&resources);
        let script = converge(&plan).unwrap();
        let receipt = plan.receipt.to_json().len();
        for limit in [0, receipt - 1, receipt, receipt + 5, receipt + 13] {
            let output = root.run_cut(&script, limit);
            assert_eq!(output.status, 1, "{} at {limit}", root.shell());
            let error = converged(&plan, &output).unwrap_err();
            assert!(
                error
                    .to_string()
                    .contains("what arrived is not what was sent"),
                "{error}"
            );
            assert_eq!(root.read("etc/a"), "old\n");
            assert!(!root.path("etc/new/b").exists());
            assert_eq!(root.leftovers(), Vec::<String>::new());
        }
        root.converge(&resources);
        assert_eq!(root.read("var/lib/clusterctl/originals/etc/a"), "old\n");
    }
}

#[test]
fn a_killed_script_takes_its_temporary_files_along() {
    for root in roots_and_busybox() {
        root.write("etc/a", "old\n");
        let plan = root.plan(&[Resource::File(file(&root, "/etc/a", "new\n"))]);
        let mut child = root.start(&converge(&plan).unwrap());
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(plan.receipt.to_json().as_bytes()).unwrap();
        // It waits for the file now.
        while root.leftovers().is_empty() || root.read("var/lib/clusterctl/receipt.json").is_empty()
        {
            std::thread::sleep(Duration::from_millis(2));
        }
        let pid = child.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        drop(stdin);
        assert!(!child.wait().unwrap().success());
        assert_eq!(root.leftovers(), Vec::<String>::new(), "{}", root.shell());
        assert_eq!(root.read("etc/a"), "old\n");
    }
}

#[test]
fn a_restart_that_a_killed_run_still_owed_is_made_by_the_next() {
    for root in roots() {
        root.converge(&node(&root));
        root.write("etc/containerd/it's $HOME.toml", "by hand\n");
        let mut script = converge(&root.plan(&node(&root))).unwrap();
        let restart = script.text.find(" restart containerd.service").unwrap();
        let line = script.text[..restart].rfind('\n').unwrap();
        script.text.truncate(line + 1);
        root.run(&script);
        let plan = root.plan(&node(&root));
        assert_eq!(
            lines(&plan),
            ["restart unit containerd.service"],
            "{}",
            root.shell()
        );
        root.converge(&node(&root));
        assert_eq!(lines(&root.plan(&node(&root))), [""; 0]);
    }
}

#[test]
fn a_run_waits_for_what_an_earlier_one_left_at_work() {
    for root in roots() {
        root.write("run/.x", "");
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        let born = stat.split(' ').nth(21).unwrap();
        root.write(
            "run/clusterctl.busy",
            &format!("{} {born}\n", std::process::id()),
        );
        let script = converge(&root.plan(&node(&root))).unwrap();
        let mut waiting = root.start(&script);
        std::thread::sleep(Duration::from_millis(1500));
        assert!(waiting.try_wait().unwrap().is_none(), "{}", root.shell());
        assert!(!root.path("etc/kubernetes/pki/ca.key").exists());
        fs::remove_file(root.path("run/clusterctl.busy")).unwrap();
        drop(waiting.stdin.take());
        assert!(!waiting.wait().unwrap().success());
        assert!(!root.path("run/clusterctl.busy").exists());
        // Another process has got the number of one that was killed.
        root.write(
            "run/clusterctl.busy",
            &format!("{} 1\n", std::process::id()),
        );
        root.converge(&node(&root));
    }
}
