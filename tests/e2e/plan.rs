//! A plan changes nothing, and `apply FILE` does exactly that plan, or nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::components::Components;
use crate::lab::Lab;
use crate::operator::{Operator, planned};
use crate::traces::Traces;
use crate::{scenario, secrets, traces};

/// What a kubelet, its pods and etcd write while they run.
const ALIVE: [&str; 3] = ["/var/lib/etcd", "/var/lib/kubelet/[!c]*", "/var/lib/cni"];

struct Story {
    lab: Lab,
    operator: Operator,
    cluster: String,
    first: String,
    second: String,
}

#[test]
fn a_plan_changes_nothing_and_is_carried_out_as_it_is_or_not_at_all() {
    let components = Components::find();
    let lab = Lab::up('p', 2);
    let operator = Operator::new(&components);
    let mut inventory = lab.inventory(&components);
    // Its end is counted from whenever it is made.
    inventory["spec"]["bootstrapTokens"] = json!([{"token": "abcdef.0123456789abcdef"}]);
    operator.write_inventory(&inventory);
    let story = Story {
        cluster: inventory["metadata"]["name"].as_str().unwrap().to_owned(),
        first: lab.name(1),
        second: lab.name(2),
        lab,
        operator,
    };
    story.a_plan_for_bare_hosts_can_be_kept();
    story.it_is_refused_once_something_has_moved();
    story.it_makes_a_cluster();
    story.a_plan_for_drift_changes_nothing();
    story.it_is_refused_once_an_object_has_moved();
    story.it_puts_right_what_it_says();
}

impl Story {
    fn says(&self, what: &str) {
        scenario("plan", what);
    }

    /// Draws a plan in every form; all say the same, and none leaves a trace.
    fn plan(&self, file: &str, look: impl Fn(SystemTime) -> Traces) -> Value {
        let since = SystemTime::now();
        let look = || look(since);
        let before = traces::settled(look);
        let first = self.operator.run(&["plan", "--output", "json"]).exits(0);
        let text = self
            .operator
            .run(&["plan", "--exit-code", "--out", file])
            .exits(3)
            .says(&[&format!("clusterctl-rs apply {file}"), "order:"]);
        let path = self.operator.dir.join(file);
        let kept: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(kept, first.json(), "drawn twice, two plans");
        assert_fits(&kept);
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        // The file itself is all that there may be, in a directory whose time
        // has moved with it.
        let dir = format!("{} ", self.operator.dir.display());
        let [before, after] = [before, look()].map(|mut traces| {
            traces.retain(|line| !line.contains(file) && !line.starts_with(&dir));
            traces
        });
        traces::assert_same(&before, &after);
        let mut needles = vec!["abcdef.0123456789abcdef".to_owned()];
        let state = self.operator.state(&self.cluster, "");
        if state.exists() {
            needles.extend(secrets::private_keys(&state));
        }
        secrets::assert_without("a plan's text", &text.stdout, &needles);
        secrets::assert_without("a plan's file", &kept.to_string(), &needles);
        kept
    }

    fn a_plan_for_bare_hosts_can_be_kept(&self) {
        self.says("bare hosts: a plan leaves no trace, and is the same each time");
        let plan = self.plan("next.plan", |since| self.disks(&[], since));
        assert_eq!(plan["apiAnswers"], false);
        let lines = planned(&plan);
        for line in [
            "certificate pki/ca.crt".to_owned(),
            format!("{} join", self.second),
            "cluster apply ClusterRoleBinding kubeadm:cluster-admins".to_owned(),
            "cluster apply Secret bootstrap-token-abcdef".to_owned(),
        ] {
            assert!(lines.contains(&line), "no {line:?} in {lines:#?}");
        }
        let undecided = |path: &str| {
            let host = &plan["hosts"][0];
            let changes = host["changes"].as_array().unwrap();
            changes.iter().find(|one| one["name"] == path).unwrap()["undecided"] == true
        };
        assert!(undecided("/etc/kubernetes/pki/ca.crt"));
        assert!(undecided("/etc/kubernetes/admin.conf"));
        assert!(!undecided("/etc/kubernetes/manifests/etcd.yaml"));
    }

    fn it_is_refused_once_something_has_moved(&self) {
        self.says("refused: options beside it, a host that has moved, another inventory");
        self.operator
            .run(&["apply", "next.plan", "--yes", "--hosts", "*1"])
            .exits(2)
            .says(&["next.plan is a plan"]);
        self.operator
            .run(&["plan", "--out", "inventory.yaml"])
            .exits(2)
            .says(&["is not a plan"]);
        let refused = |what: &str| {
            self.operator
                .run(&["apply", "next.plan", "--yes"])
                .exits(1)
                .says(&[what, "make a new plan"]);
            self.lab.sh(&self.second, "! test -e /var/lib/clusterctl");
        };
        let file = "/etc/modules-load.d/k8s.conf";
        self.lab.sh(&self.second, &format!("echo other >{file}"));
        refused(&format!("{}: file {file} has changed since", self.second));
        self.lab.sh(&self.second, &format!("rm {file}"));
        let inventory = self.operator.dir.join("inventory.yaml");
        let text = fs::read_to_string(&inventory).unwrap();
        fs::write(&inventory, format!("{text}\n")).unwrap();
        refused("inventory.yaml has changed");
        fs::write(&inventory, text).unwrap();
    }

    fn it_makes_a_cluster(&self) {
        self.says("carried out, and refused the second time");
        self.operator.run(&["apply", "next.plan", "--yes"]).exits(0);
        let ready = self.operator.ready_nodes(&self.cluster);
        assert_eq!(ready, [self.first.clone(), self.second.clone()]);
        self.operator.run(&["apply", "--assert-noop"]).exits(0);
        self.operator
            .run(&["apply", "next.plan", "--yes"])
            .exits(1)
            .says(&["pki/ca.crt no longer needs a change", "and "]);
        self.operator.run(&["plan", "--exit-code"]).exits(0);
    }

    fn a_plan_for_drift_changes_nothing(&self) {
        self.says("a cluster with drift: what is shown, and no trace");
        self.lab.sh(
            &self.first,
            "sed -i s/leader-elect=true/leader-elect=false/ \
             /etc/kubernetes/manifests/kube-scheduler.yaml
             echo '# mine' >>/etc/kubernetes/admin.conf",
        );
        self.lab.sh(
            &self.second,
            "echo 'maxPods: 42' >>/var/lib/kubelet/config.yaml",
        );
        self.write_object("mine\n");
        let plan = self.plan("drift.plan", |since| {
            let mut traces = self.disks(&ALIVE, since);
            traces.extend(traces::of_api(&self.operator, &self.cluster));
            traces
        });
        let lines = planned(&plan);
        let expected = [
            "cluster update ConfigMap kube-proxy".to_owned(),
            format!("{} update file /etc/kubernetes/admin.conf", self.first),
            format!(
                "{} update file /etc/kubernetes/manifests/kube-scheduler.yaml",
                self.first
            ),
            format!("{} restart static-pod kube-scheduler", self.first),
            format!("{} restart unit kubelet.service", self.second),
            format!("{} update file /var/lib/kubelet/config.yaml", self.second),
        ];
        for line in &expected {
            assert!(lines.contains(line), "no {line:?} in {lines:#?}");
        }
        self.operator.run(&["plan"]).exits(0).says(&[
            "+    - --leader-elect=true",
            "-maxPods: 42",
            "file /etc/kubernetes/admin.conf (secret, ",
            "restart unit kubelet.service",
            &format!(
                "restarts:\n  {}: static pod kube-scheduler\n  {}: unit kubelet.service",
                self.first, self.second
            ),
        ]);
    }

    fn it_is_refused_once_an_object_has_moved(&self) {
        self.says("refused: somebody else was at an object");
        self.write_object("theirs\n");
        self.operator
            .run(&["apply", "drift.plan", "--yes"])
            .exits(1)
            .says(&["cluster: ConfigMap kube-system/kube-proxy has changed since"]);
        self.lab
            .sh(&self.second, "grep -q maxPods /var/lib/kubelet/config.yaml");
    }

    fn it_puts_right_what_it_says(&self) {
        self.says("a new plan, for a part first, and then for the rest");
        let part = ["plan", "--hosts", &self.second, "--out", "drift.plan"];
        self.operator.run(&part).exits(0);
        let applied = self
            .operator
            .run(&["apply", "drift.plan", "--yes", "--events", "jsonl"])
            .exits(0);
        assert_eq!(applied.changed_hosts(), [self.second.as_str()]);
        self.operator.run(&["plan", "--out", "drift.plan"]).exits(0);
        let applied = self
            .operator
            .run(&["apply", "drift.plan", "--yes", "--events", "jsonl"])
            .exits(0);
        assert_eq!(applied.changed_hosts(), [self.first.as_str()]);
        self.operator.run(&["apply", "--assert-noop"]).exits(0);
    }

    /// Puts something else into CoreDNS' ConfigMap, as somebody with kubectl.
    /// As another field manager: an object that belongs to the inventory.
    fn write_object(&self, text: &str) {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"namespace": "kube-system", "name": "kube-proxy"},
            "data": {"config.conf": text},
        });
        fs::write(self.operator.dir.join("object.json"), object.to_string()).unwrap();
        let apply = ["apply", "--server-side", "--force-conflicts"];
        let apply = [&apply[..], &["-f", "object.json"]].concat();
        self.operator.kubectl(&self.cluster, &apply);
    }

    /// Everything on the hosts' disks, and the times of what is ours there.
    fn disks(&self, but: &[&str], since: SystemTime) -> Traces {
        let mut traces = traces::of_directory(&self.operator.dir);
        for host in [&self.first, &self.second] {
            traces.extend(traces::of_disk(&self.lab, host, but));
            traces.extend(traces::of_host(&self.lab, host, since));
        }
        traces
    }
}

/// A plan has to fit the schema that is published.
fn assert_fits(plan: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/plan.schema.json");
    let schema = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let faults: Vec<String> = validator
        .iter_errors(plan)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
}
