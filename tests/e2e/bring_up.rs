//! The straight way: bare hosts, one `apply`, a cluster; nothing to do the
//! second time; what somebody changes by hand is put right.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Instant, SystemTime};

use serde_json::{Value, json};

use crate::components::Components;
use crate::lab::Lab;
use crate::operator::{Operator, planned};
use crate::secrets::{self, Watch};
use crate::traces::Traces;
use crate::{certificates, modes, scenario, traces};

/// The lab, the operator and the cluster of this story.
struct Story {
    lab: Lab,
    operator: Operator,
    cluster: String,
    hosts: Vec<String>,
}

#[test]
fn from_bare_hosts_to_a_cluster_and_back_after_drift() {
    let components = Components::find();
    let lab = Lab::up('a', 3);
    let operator = Operator::new(&components);
    let mut inventory = lab.inventory(&components);
    inventory["spec"]["hosts"][2]["labels"] = json!({"tier": "web"});
    operator.write_inventory(&inventory);
    let cluster = inventory["metadata"]["name"].as_str().unwrap().to_owned();
    let hosts = (1..=3).map(|number| lab.name(number)).collect();
    let story = Story {
        lab,
        operator,
        cluster,
        hosts,
    };
    story.a_plan_for_bare_hosts_touches_nothing();
    story.one_apply_makes_a_cluster_and_shows_no_secret();
    story.hosts_hold_what_kubeadm_would_write();
    story.a_second_run_does_nothing();
    story.a_plan_for_a_cluster_touches_nothing();
    story.the_kubeconfig_is_merged();
    story.drift_is_shown_and_repaired();
}

impl Story {
    fn says(&self, what: &str) {
        scenario("bring-up", what);
    }

    fn a_plan_for_bare_hosts_touches_nothing(&self) {
        self.says("validate, preflight and plan on bare hosts");
        let valid = self.operator.run(&["validate"]).exits(0);
        assert!(
            valid.stdout.contains("1 control plane, 2 workers"),
            "{valid:?}"
        );
        let since = SystemTime::now();
        let before = self.traces(since);
        self.operator.run(&["preflight"]).exits(0);
        let plan = self
            .operator
            .run(&["plan", "--exit-code", "--output", "json"])
            .exits(3);
        self.operator.run(&["plan"]).exits(0);
        traces::assert_same(&before, &self.traces(since));
        let planned = planned(&plan.json());
        let worker = &self.hosts[1];
        for expected in [
            "certificate pki/ca.crt".to_owned(),
            format!("{worker} create file /usr/bin/kubelet"),
            format!("{worker} join"),
            format!(
                "{} create file /etc/kubernetes/manifests/etcd.yaml",
                self.hosts[0]
            ),
        ] {
            assert!(
                planned.contains(&expected),
                "no {expected:?} in {planned:#?}"
            );
        }
    }

    /// Files on hosts and on the workstation.
    fn traces(&self, since: SystemTime) -> Traces {
        let mut traces = traces::of_directory(&self.operator.dir);
        for host in &self.hosts {
            traces.extend(traces::of_host(&self.lab, host, since));
        }
        traces
    }

    fn one_apply_makes_a_cluster_and_shows_no_secret(&self) {
        self.says("apply, while processes are watched for secrets");
        let began = Instant::now();
        let watch = Watch::start(&self.lab, &self.hosts);
        let applied = self.operator.run(&["apply", "--yes", "-v"]);
        let seen = watch.stop();
        let applied = applied.exits(0);
        self.says(&format!(
            "applied in {:.0} s",
            began.elapsed().as_secs_f64()
        ));
        assert_eq!(self.operator.ready_nodes(&self.cluster), self.hosts);

        let state = self.operator.state(&self.cluster, "");
        let mut needles = secrets::private_keys(&state);
        self.says(&format!("tokens caught: {}", seen.tokens.len()));
        needles.extend(seen.tokens.iter().cloned());
        seen.assert_without(&needles);
        secrets::assert_without("-v's output", &applied.stderr, &needles);
        secrets::assert_without("the summary", &applied.stdout, &needles);
        for journal in self.journals() {
            secrets::assert_without("a journal", &journal, &needles);
        }
        for host in &self.hosts {
            let log = self.lab.sh(host, "journalctl --no-pager -q");
            secrets::assert_without(&format!("{host}'s journal"), &log, &needles);
        }
    }

    fn journals(&self) -> Vec<String> {
        let runs = self.operator.state(&self.cluster, "runs");
        let journals: Vec<String> = fs::read_dir(runs)
            .unwrap()
            .map(|run| fs::read_to_string(run.unwrap().path().join("journal.jsonl")).unwrap())
            .collect();
        assert!(
            journals
                .iter()
                .any(|journal| journal.contains("\"intent\""))
        );
        journals
    }

    fn hosts_hold_what_kubeadm_would_write(&self) {
        self.says("modes, owners, certificates, tokens");
        for (index, host) in self.hosts.iter().enumerate() {
            modes::check(&self.lab, host, index == 0);
            certificates::check(&self.lab, host, index == 0);
        }
        // One per run, and its end is set; kubeadm's end-to-end suite wants to see it.
        assert_eq!(self.operator.tokens_for_minutes(&self.cluster), 1);
        for private in ["kubeconfig", "pki/ca.key", "lock"] {
            let file = self.operator.state(&self.cluster, private);
            let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{}", file.display());
        }
        assert_eq!(self.operator.get(&self.cluster, "/readyz"), "ok");
    }

    fn a_second_run_does_nothing(&self) {
        self.says("a second run: one connection, two commands per host, no change");
        let logins = || -> Vec<usize> { self.hosts.iter().map(|host| self.logins(host)).collect() };
        let before = logins();
        let second = self
            .operator
            .run(&["apply", "--yes", "--assert-noop", "--events", "jsonl"])
            .exits(0);
        assert!(second.stdout.contains("nothing to change"), "{second:?}");
        let after = logins();
        for (index, host) in self.hosts.iter().enumerate() {
            let commands = second.count("command", host);
            assert!((1..=2).contains(&commands), "{host}: {commands} commands");
            assert_eq!(after[index] - before[index], 1, "{host}: connections");
        }
    }

    /// How often somebody has logged in by SSH.
    fn logins(&self, host: &str) -> usize {
        self.lab
            .sh(
                host,
                "journalctl --no-pager -q | grep -c 'sshd.*Accepted publickey'",
            )
            .trim()
            .parse()
            .unwrap()
    }

    fn a_plan_for_a_cluster_touches_nothing(&self) {
        self.says("plan on a finished cluster");
        let since = SystemTime::now();
        let look = || {
            let mut traces = self.traces(since);
            traces.extend(traces::of_api(&self.operator, &self.cluster));
            traces
        };
        let before = traces::settled(look);
        let plan = self.operator.run(&["plan", "--exit-code"]).exits(0);
        assert_eq!(plan.stdout.trim(), "nothing to change");
        traces::assert_same(&before, &look());
    }

    fn the_kubeconfig_is_merged(&self) {
        self.says("kubeconfig --merge into a file with entries of others");
        let theirs = "apiVersion: v1\nkind: Config\ncurrent-context: other\n\
            clusters:\n- name: other\n  cluster: {server: https://192.0.2.1:6443}\n\
            users:\n- name: other\n  user: {token: not-ours}\n\
            contexts:\n- name: other\n  context: {cluster: other, user: other}\n";
        let file = self.operator.write_private("kubeconfig.yaml", theirs);
        let merge = ["kubeconfig", "--merge", "--into", "kubeconfig.yaml"];
        self.operator.run(&merge).exits(0);
        let mut merged: Value =
            serde_saphyr::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        for list in ["clusters", "users", "contexts"] {
            let entries = merged[list].as_array().unwrap();
            assert_eq!(entries.len(), 2, "{list}: {merged:#}");
            assert!(entries.iter().any(|entry| entry["name"] == "other"));
        }
        assert_eq!(merged["users"][0]["user"]["token"], "not-ours");
        let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        assert_eq!(merged["current-context"], "other");
        self.operator.run(&merge).exits(0).says(&["is up to date"]);
        let contexts = merged["contexts"].as_array().unwrap();
        let ours = contexts.iter().find(|entry| entry["name"] != "other");
        merged["current-context"] = ours.unwrap()["name"].clone();
        fs::write(&file, merged.to_string()).unwrap();
        let readyz = ["get", "--raw", "/readyz"];
        assert_eq!(self.operator.kubectl_with(&file, &readyz), "ok");
        fs::remove_file(file).unwrap();
    }

    fn drift_is_shown_and_repaired(&self) {
        self.says("drift: a manifest, a kubelet's configuration, a label, an object");
        let [first, second, third] = &self.hosts[..] else {
            panic!("three hosts");
        };
        let manifest = "/etc/kubernetes/manifests/kube-scheduler.yaml";
        let config = "/var/lib/kubelet/config.yaml";
        self.lab.sh(
            first,
            &format!("sed -i s/leader-elect=true/leader-elect=false/ {manifest}"),
        );
        self.lab
            .sh(second, &format!("echo 'maxPods: 42' >>{config}"));
        let label = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": third, "labels": {"tier": "database"}},
        });
        fs::write(self.operator.dir.join("label.json"), label.to_string()).unwrap();
        let apply = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "-f",
            "label.json",
        ];
        self.operator.kubectl(&self.cluster, &apply);
        let delete = ["delete", "-n", "kube-system", "configmap", "kubelet-config"];
        self.operator.kubectl(&self.cluster, &delete);

        let plan = self.operator.run(&["plan", "--output", "json"]).exits(0);
        let mut expected = vec![
            "cluster create ConfigMap kubelet-config".to_owned(),
            format!("{first} update file {manifest}"),
            format!("{first} restart static-pod kube-scheduler"),
            format!("{second} restart unit kubelet.service"),
            format!("{second} update file {config}"),
            format!("{third} labels"),
        ];
        expected.sort();
        assert_eq!(planned(&plan.json()), expected);
        let plan = self.operator.run(&["plan", "--exit-code"]).exits(3);
        for line in [
            "-    - --leader-elect=false",
            "+    - --leader-elect=true",
            "-maxPods: 42",
            "database",
        ] {
            assert!(plan.stdout.contains(line), "no {line:?} in {plan:?}");
        }
        self.operator
            .run(&["apply", "--yes", "--assert-noop"])
            .exits(1)
            .says(&["allows no changes"]);

        let kubelets = || -> Vec<String> {
            let pid = "systemctl show -p MainPID --value kubelet";
            self.hosts
                .iter()
                .map(|host| self.lab.sh(host, pid))
                .collect()
        };
        let before = kubelets();
        let repaired = self
            .operator
            .run(&["apply", "--yes", "--events", "jsonl"])
            .exits(0);
        assert_eq!(repaired.changed_hosts(), self.hosts);
        let after = kubelets();
        assert_eq!(after[0], before[0], "{first}'s kubelet was restarted");
        assert_ne!(after[1], before[1], "{second}'s kubelet was not restarted");
        assert_eq!(after[2], before[2], "{third}'s kubelet was restarted");
        let node = self
            .operator
            .get_json(&self.cluster, &format!("/api/v1/nodes/{third}"));
        assert_eq!(node["metadata"]["labels"]["tier"], "web");
        self.operator.run(&["apply", "--assert-noop"]).exits(0);
    }
}
