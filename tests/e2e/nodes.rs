//! Hosts come and go while the cluster lives on.

use std::fs;

use serde_json::{Value, json};

use crate::components::Components;
use crate::lab::Lab;
use crate::operator::Operator;
use crate::scenario;

/// The lab, the operator and the cluster of this story.
struct Story {
    lab: Lab,
    operator: Operator,
    cluster: String,
    /// A control plane, two workers, and a host that is in no inventory.
    hosts: Vec<String>,
}

/// An inventory as somebody would write it, with one line for each host.
pub(crate) fn inventory(inventory: &Value) -> String {
    let spec = inventory["spec"].as_object().unwrap();
    let mut text = format!(
        "# ours\napiVersion: {}\nkind: Cluster\nmetadata: {} # demo\nspec: # all of it\n  # first of all\n",
        inventory["apiVersion"].as_str().unwrap(),
        inventory["metadata"]
    );
    for (key, value) in spec.iter().filter(|(key, _)| *key != "hosts") {
        text.push_str(&format!("  {key}: {value}\n"));
    }
    text.push_str("\n  hosts:\n    # rack 1\n");
    for host in spec["hosts"].as_array().unwrap() {
        text.push_str(&format!(
            "    - {{name: {}, address: {}, roles: {}}} # mine\n",
            host["name"].as_str().unwrap(),
            host["address"].as_str().unwrap(),
            host["roles"]
        ));
    }
    text.push_str("    # that's all\n");
    text
}

#[test]
fn hosts_come_and_go_and_nobody_else_notices() {
    let components = Components::find();
    let lab = Lab::up('n', 4);
    let operator = Operator::new(&components);
    let mut written = lab.inventory(&components);
    let fourth = written["spec"]["hosts"]
        .as_array_mut()
        .unwrap()
        .pop()
        .unwrap();
    let story = Story {
        cluster: written["metadata"]["name"].as_str().unwrap().to_owned(),
        hosts: (1..=4).map(|number| lab.name(number)).collect(),
        lab,
        operator,
    };
    let text = inventory(&written);
    fs::write(story.inventory(), &text).unwrap();
    story.nothing_to_add_to();
    story.operator.run(&["apply", "--yes"]).exits(0);
    let address = fourth["address"].as_str().unwrap();
    story.a_worker_is_added_by_flags(address, &text);
    story.what_is_there_is_refused(address);
    story.a_budget_keeps_a_node();
    story.what_would_be_lost_is_said();
    story.a_worker_goes(&text);
    story.it_comes_back(&text);
    story.what_leaves_the_inventory_leaves_the_cluster();
    story.a_change_that_breaks_a_node_reaches_no_other();
    story.a_host_is_gone_for_good();
}

impl Story {
    fn says(&self, what: &str) {
        scenario("nodes", what);
    }

    fn inventory(&self) -> std::path::PathBuf {
        self.operator.dir.join("inventory.yaml")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.inventory()).unwrap()
    }

    fn run(&self, args: &[&str]) -> crate::operator::Finished {
        self.operator.run(args)
    }

    fn noop(&self) {
        self.run(&["apply", "--assert-noop"]).exits(0);
    }

    /// How often sshd has let somebody in.
    fn logins(&self, host: &str) -> usize {
        let count = "journalctl --no-pager -o cat | grep -c 'Accepted publickey' || true";
        self.lab.sh(host, count).trim().parse().unwrap()
    }

    fn create(&self, object: &Value) {
        let path = self
            .operator
            .write_private("object.json", &object.to_string());
        self.operator
            .kubectl(&self.cluster, &["apply", "-f", path.to_str().unwrap()]);
    }

    fn node(&self, name: &str) -> Value {
        self.operator
            .get_json(&self.cluster, &format!("/api/v1/nodes/{name}"))
    }

    fn is_cordoned(&self, name: &str) -> bool {
        self.node(name)["spec"]["unschedulable"] == true
    }

    fn nothing_to_add_to(&self) {
        self.says("no cluster to add to");
        let before = self.text();
        self.run(&["add-node", &self.hosts[1], "--yes"])
            .exits(1)
            .says(&["no cluster to add to", "clusterctl-rs apply"]);
        self.run(&["add-node", "nobody", "--yes"])
            .exits(2)
            .says(&["--address"]);
        self.run(&["remove-node", &self.hosts[0], "--yes"])
            .exits(2)
            .says(&["no control plane would remain", "reset --all"]);
        assert_eq!(self.text(), before);
    }

    fn a_worker_is_added_by_flags(&self, address: &str, before: &str) {
        self.says("a worker is added by flags, and no other is connected to");
        let new = &self.hosts[3];
        let others: Vec<usize> = self.hosts[..3]
            .iter()
            .map(|host| self.logins(host))
            .collect();
        let run = self
            .run(&[
                "add-node",
                new,
                "--address",
                address,
                "--yes",
                "--events",
                "jsonl",
            ])
            .exits(0);
        assert_eq!(run.changed_hosts(), [new.as_str()]);
        let line = format!("    - {{name: {new}, address: {address}, roles: [worker]}}\n");
        assert_eq!(
            self.text(),
            before.replace("    # that's all\n", &format!("{line}    # that's all\n"))
        );
        let now: Vec<usize> = self.hosts[..3]
            .iter()
            .map(|host| self.logins(host))
            .collect();
        assert_eq!(now, [others[0] + 1, others[1], others[2]]);
        assert_eq!(self.operator.ready_nodes(&self.cluster).len(), 4);
        self.noop();
    }

    fn what_is_there_is_refused(&self, address: &str) {
        self.says("what is Ready is refused, and so are contradictions");
        let (new, before) = (&self.hosts[3], self.text());
        self.run(&["add-node", new, "--yes"])
            .exits(2)
            .says(&["Ready", "remove-node"]);
        self.run(&["add-node", new, "--address", address, "--yes"])
            .exits(2)
            .says(&["Ready"]);
        self.run(&["add-node", new, "--address", "192.0.2.1", "--yes"])
            .exits(2)
            .says(&[address]);
        self.run(&[
            "add-node",
            "other",
            "--address",
            "192.0.2.1",
            "--user",
            "x",
            "--yes",
        ])
        .exits(1)
        .says(&["other"]);
        self.run(&["add-node", "other", "--address", address, "--yes"])
            .exits(2)
            .says(&["is used by two hosts"]);
        assert_eq!(self.text(), before);
    }

    /// A Deployment of one pod on the fourth host.
    fn web(&self) {
        let labels = json!({"app": "web"});
        self.create(&json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {
                "replicas": 1, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {
                    "nodeSelector": {"kubernetes.io/hostname": self.hosts[3]},
                    "terminationGracePeriodSeconds": 1,
                    "containers": [self.container()],
                }},
            },
        }));
        let pods = "/api/v1/namespaces/default/pods?labelSelector=app%3Dweb";
        crate::reset::eventually("the start of its pod", || {
            let pods = self.operator.get_json(&self.cluster, pods);
            let now = &pods["items"][0]["status"];
            let conditions = now["conditions"].as_array();
            let ready = |one: &Value| one["type"] == "Ready" && one["status"] == "True";
            conditions.is_some_and(|all| all.iter().any(ready))
        });
    }

    /// A container whose image every host has.
    fn container(&self) -> Value {
        let find = "grep -o '[^\"]*/pause:[^\"]*' /etc/containerd/config.toml | head -n 1";
        let image = self.lab.sh(&self.hosts[3], find);
        json!({"name": "c", "image": image.trim()})
    }

    fn a_budget_keeps_a_node(&self) {
        self.says("a budget that forbids it: nothing has happened");
        let host = &self.hosts[3];
        self.web();
        self.create(&json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
        }));
        let before = self.text();
        self.run(&["remove-node", host, "--timeout", "4s", "--yes"])
            .exits(1)
            .says(&["default/web-", "disruption budget", "--timeout"]);
        assert!(!self.is_cordoned(host));
        assert_eq!(self.text(), before);
        self.noop();
        // Somebody else's cordon stays.
        self.operator.kubectl(&self.cluster, &["cordon", host]);
        self.run(&["remove-node", host, "--timeout", "2s", "--yes"])
            .exits(1);
        assert!(self.is_cordoned(host));
        self.operator.kubectl(&self.cluster, &["uncordon", host]);
        self.says("killed while it drains, and once more: no cordon is left over");
        let mut run = self
            .operator
            .start(&["remove-node", host, "--yes", "--events", "jsonl"]);
        run.wait_for("draining: 1 pod");
        run.kill();
        assert!(self.is_cordoned(host));
        self.run(&["remove-node", host, "--timeout", "2s", "--yes"])
            .exits(1);
        assert!(!self.is_cordoned(host));
        self.operator
            .kubectl(&self.cluster, &["delete", "pdb", "web"]);
    }

    fn what_would_be_lost_is_said(&self) {
        self.says("a pod that nobody makes anew");
        let host = &self.hosts[3];
        self.create(&json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "pet", "namespace": "default"},
            "spec": {
                "nodeName": host, "terminationGracePeriodSeconds": 1,
                "containers": [self.container()],
            },
        }));
        self.run(&["remove-node", host, "--yes"])
            .exits(1)
            .says(&["default/pet", "--force"]);
        assert!(!self.is_cordoned(host));
        self.run(&["remove-node", host, "--unreachable", "--yes"])
            .exits(1)
            .says(&["is Ready"]);
    }

    fn a_worker_goes(&self, before: &str) {
        self.says("a worker goes");
        let host = &self.hosts[3];
        let others: Vec<usize> = self.hosts[1..3]
            .iter()
            .map(|host| self.logins(host))
            .collect();
        self.run(&["remove-node", host, "--force", "--yes"])
            .exits(0)
            .says(&["removed and cleaned"]);
        let now: Vec<usize> = self.hosts[1..3]
            .iter()
            .map(|host| self.logins(host))
            .collect();
        assert_eq!(now, others);
        let text = self.text();
        assert!(text.contains(&format!(
            "spec: # all of it\n  removedHosts: [{host}]\n  # first of all\n"
        )));
        let mut lines = text.lines();
        assert!(before.lines().all(|line| lines.any(|other| other == line)));
        assert_eq!(self.operator.ready_nodes(&self.cluster), self.hosts[..3]);
        assert_eq!(
            self.lab.sh(
                host,
                "ls /etc/kubernetes /var/lib/kubelet 2>/dev/null || true"
            ),
            ""
        );
        self.noop();
        self.says("once more, which finds nothing to do");
        self.run(&["remove-node", host, "--yes"]).exits(0);
        assert_eq!(self.text(), text);
        self.run(&["apply", "--hosts", host, "--yes"])
            .exits(2)
            .says(&["removedHosts", "add-node"]);
    }

    fn it_comes_back(&self, before: &str) {
        self.says("it comes back by its name");
        let host = &self.hosts[3];
        self.run(&["add-node", host, "--yes"]).exits(0);
        assert!(!self.text().contains("removedHosts"));
        assert_eq!(self.text().lines().count(), before.lines().count() + 1);
        assert_eq!(self.operator.ready_nodes(&self.cluster).len(), 4);
        self.noop();
    }

    /// The inventory, with `more` among a worker's settings.
    fn with(&self, text: &str, worker: &str, more: &str) -> String {
        let line = format!("name: {worker},");
        assert!(text.contains(&line), "{text}");
        text.replace(&line, &format!("{line} {more},"))
    }

    fn apply(&self, text: &str) {
        fs::write(self.inventory(), text).unwrap();
        self.run(&["apply", "--yes"]).exits(0);
        self.noop();
    }

    fn what_leaves_the_inventory_leaves_the_cluster(&self) {
        self.says("a taint, a sysctl and kube-proxy's mode, there and back");
        let (before, host) = (self.text(), &self.hosts[1]);
        let reserved = "net.ipv4.ip_local_reserved_ports";
        let taints = |of: &Self| of.node(host)["spec"]["taints"].clone();
        let proxies = |of: &Self| {
            let path = "/api/v1/namespaces/kube-system/pods?labelSelector=k8s-app%3Dkube-proxy";
            let pods = of.operator.get_json(&of.cluster, path);
            let uid = |pod: &Value| pod["metadata"]["uid"].as_str().unwrap().to_owned();
            let pods = pods["items"].as_array().unwrap().iter();
            pods.map(uid).collect::<Vec<_>>()
        };
        let (no_taints, old) = (taints(self), proxies(self));
        let edited = before
            .replace("\"conntrack\"", "\"mode\":\"nftables\",\"conntrack\"")
            .replace(
                "\n  hosts:",
                &format!("\n  sysctls: {{{reserved}: 30000-30100}}\n  hosts:"),
            );
        assert!(edited.contains("nftables"), "{edited}");
        let taint = "taints: [{key: edge, effect: PreferNoSchedule}]";
        self.apply(&self.with(&edited, host, taint));
        assert_eq!(taints(self)[0]["key"], "edge");
        let sysctl = format!("cat /proc/sys/{}", reserved.replace('.', "/"));
        assert_eq!(self.lab.sh(host, &sysctl), "30000-30100\n");
        crate::reset::eventually("other pods of kube-proxy", || {
            proxies(self).iter().all(|uid| !old.contains(uid))
        });
        self.apply(&before);
        assert_eq!(taints(self), no_taints);
        assert_eq!(self.lab.sh(host, &sysctl), "\n");
    }

    fn a_change_that_breaks_a_node_reaches_no_other(&self) {
        self.says("a kubelet's configuration that it refuses");
        let before = self.text();
        let workers = [&self.hosts[1], &self.hosts[2]];
        let pid = |host: &str| self.lab.sh(host, "pidof kubelet");
        let pids = workers.map(|host| pid(host));
        let bad = "kubelet: {config: {topologyManagerPolicy: nonsense}}";
        let edited = self.with(&before, workers[0], bad);
        fs::write(self.inventory(), self.with(&edited, workers[1], bad)).unwrap();
        let run = self.run(&["apply", "--yes"]).exits(4).says(&[
            "not changed, because updating",
            "kubelet: ",
            "the previous configuration is back and healthy",
        ]);
        let is_first = run
            .stderr
            .contains(&format!("because updating {}", workers[0]));
        let other = usize::from(is_first);
        assert_eq!(pid(workers[other]), pids[other], "{}", workers[other]);
        assert_eq!(self.operator.ready_nodes(&self.cluster).len(), 4);
        fs::write(self.inventory(), &before).unwrap();
        self.noop();
    }

    fn a_host_is_gone_for_good(&self) {
        self.says("a host that is off");
        let host = &self.hosts[2];
        let before = self.text();
        self.lab.verb(&["kill", host]);
        self.run(&["remove-node", host, "--yes"])
            .exits(1)
            .says(&["--unreachable"]);
        assert_eq!(self.text(), before);
        crate::reset::eventually("the end of its readiness", || {
            self.operator.ready_nodes(&self.cluster).len() == 3
        });
        self.run(&["remove-node", host, "--unreachable", "--yes"])
            .exits(0);
        assert_eq!(self.operator.ready_nodes(&self.cluster).len(), 3);
        self.noop();
        self.says("it is back, and cleaned by the same command");
        self.lab.verb(&["start", host]);
        std::thread::sleep(std::time::Duration::from_secs(2));
        self.run(&["remove-node", host, "--yes"])
            .exits(0)
            .says(&["removed and cleaned"]);
        self.noop();
    }
}
