//! What a change replaces is kept, and put back or forgotten.

#![allow(clippy::unwrap_used)]

use std::fs;

use clusterctl::host::{
    FileResource, HostPlan, Owner, Resource, Unit, converge, diff, forget_previous, put_back,
    was_put_back,
};

use crate::converging::{file, lines};
use crate::root::{Root, roots, roots_and_busybox};

const MANIFEST: &str = "/etc/kubernetes/manifests/kube-apiserver.yaml";
const CONFIG: &str = "/var/lib/kubelet/config.yaml";
const DROP_IN: &str = "/etc/systemd/system/kubelet.service.d/20-x.conf";
const KEPT: &str = "var/lib/clusterctl/previous";

fn node(root: &Root, word: &str) -> Vec<Resource> {
    let text = |path: &str| file(root, path, &format!("a: {word}\n"));
    vec![
        Resource::File(text(MANIFEST).mode(0o600)),
        Resource::File(text(CONFIG).notify("kubelet.service")),
        Resource::File(text("/etc/motd")),
        Resource::Unit(Unit {
            name: "kubelet.service".into(),
            enabled: true,
            active: true,
        }),
    ]
}

fn with_drop_in(root: &Root, word: &str) -> Vec<Resource> {
    let drop_in: FileResource = file(root, DROP_IN, "[Service]\n").notify("kubelet.service");
    let mut resources = node(root, word);
    resources.push(Resource::File(drop_in));
    resources
}

fn plan(root: &Root, resources: &[Resource]) -> HostPlan {
    let observed = root.observe(resources);
    let mut plan = diff(resources, &observed, &Owner::named("demo")).unwrap();
    plan.keep_previous(&observed, true);
    plan
}

fn apply(root: &Root, plan: &HostPlan) {
    let output = root.run(&converge(plan).unwrap());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status, 0, "{}: {said}", root.shell());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn what_was_replaced_goes_back_to_its_place_with_the_restarts_that_it_needs() {
    for root in roots() {
        root.converge(&node(&root, "good"));
        root.log();
        let bad = with_drop_in(&root, "bad");
        apply(&root, &plan(&root, &bad));
        assert_eq!(root.read(MANIFEST), "a: bad\n");
        assert_eq!(root.mode(KEPT), 0o700);
        assert_eq!(
            root.read(&format!("{KEPT}/files{MANIFEST}")),
            "a: good\n",
            "{}",
            root.shell()
        );
        let manifests = fs::read_dir(root.path("etc/kubernetes/manifests")).unwrap();
        assert_eq!(manifests.count(), 1, "the kubelet runs whatever is there");
        root.log();

        let output = root.run(&put_back(None));
        assert_eq!(
            String::from_utf8_lossy(&output.stderr),
            "",
            "{}",
            root.shell()
        );
        assert!(was_put_back(&output).unwrap());
        assert_eq!(root.read(MANIFEST), "a: good\n");
        assert_eq!(root.mode(MANIFEST), 0o600);
        assert_eq!(root.read(CONFIG), "a: good\n");
        assert!(!root.path(DROP_IN).exists());
        assert_eq!(root.read("/etc/motd"), "a: bad\n", "nothing reads it");
        assert!(!root.path(KEPT).exists());
        let log = root.log();
        assert!(log.contains("systemctl daemon-reload"), "{log}");
        assert!(
            log.contains("systemctl restart -- kubelet.service"),
            "{log}"
        );

        // What was to be done still is.
        let again = plan(&root, &bad);
        assert!(
            lines(&again).contains(&format!("update file {MANIFEST}")),
            "{:?}",
            lines(&again)
        );
        assert!(!lines(&again).iter().any(|line| line.starts_with("confirm")));
        assert_eq!(
            lines(&plan(&root, &node(&root, "good"))),
            ["update file /etc/motd"]
        );
    }
}

#[test]
fn what_an_interrupted_run_kept_is_older_and_stays() {
    for root in roots_and_busybox() {
        let resources = |word: &str| node(&root, word)[..3].to_vec();
        root.converge(&resources("good"));
        apply(&root, &plan(&root, &resources("bad")));
        let next = plan(&root, &resources("worse"));
        apply(&root, &next);
        assert_eq!(root.read(&format!("{KEPT}/files{MANIFEST}")), "a: good\n");
        // Nothing is left to do but to find out whether it works.
        let open = plan(&root, &resources("worse"));
        assert_eq!(
            lines(&open),
            [
                format!("confirm file {MANIFEST}"),
                format!("confirm file {CONFIG}")
            ]
        );
        assert!(open.keeps_previous());
        apply(&root, &open);
        let output = root.run(&forget_previous(None));
        assert!(was_put_back(&output).is_ok(), "{}", root.shell());
        assert!(!root.path(KEPT).exists());
        assert_eq!(lines(&plan(&root, &resources("worse"))), [""; 0]);
    }
}

#[test]
fn nothing_is_restarted_where_nothing_was_replaced() {
    for root in roots() {
        root.converge(&node(&root, "good"));
        let output = root.run(&put_back(None));
        assert!(!was_put_back(&output).unwrap(), "nothing is kept");
        // A run that ended between keeping and replacing.
        let script = converge(&plan(&root, &node(&root, "bad"))).unwrap();
        let ssh::Input::Bytes(receipt) = &script.input[0] else {
            panic!("the receipt comes first");
        };
        root.run_cut(&script, receipt.len() + 3);
        assert!(root.path(KEPT).exists());
        root.log();
        let output = root.run(&put_back(None));
        assert!(!was_put_back(&output).unwrap(), "{}", root.shell());
        assert!(!root.path(KEPT).exists());
        assert_eq!(root.log(), "");
    }
}

#[test]
fn what_is_not_known_to_work_is_not_kept() {
    for root in roots() {
        root.converge(&node(&root, "good"));
        let resources = node(&root, "bad");
        let observed = root.observe(&resources);
        let mut plan = diff(&resources, &observed, &Owner::named("demo")).unwrap();
        plan.keep_previous(&observed, false);
        assert!(!plan.keeps_previous());
        apply(&root, &plan);
        assert!(!root.path(KEPT).exists());
    }
}
