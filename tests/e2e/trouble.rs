//! The crooked way: keys that nobody has vouched for, users with sudo, hosts
//! that aren't fit or are down, runs in parts, runs that are killed.

use std::fs;

use serde_json::{Value, json};

use crate::components::Components;
use crate::lab::Lab;
use crate::operator::{Operator, planned};
use crate::scenario;
use crate::secrets::{self, Watch};

/// The lab, the operator and the cluster of this story.
struct Story {
    lab: Lab,
    operator: Operator,
    cluster: String,
    hosts: Vec<String>,
    password: String,
}

#[test]
fn what_goes_wrong_is_said_and_a_further_run_heals_it() {
    let components = Components::find();
    let lab = Lab::up('b', 3);
    let operator = Operator::new(&components);
    let hosts: Vec<String> = (1..=3).map(|number| lab.name(number)).collect();
    let mut inventory = lab.inventory(&components);
    let spec = &mut inventory["spec"];
    // Nobody has vouched for the hosts' keys.
    spec["ssh"].as_object_mut().unwrap().remove("knownHosts");
    // Two hosts' sudo asks for a password, the third's does not.
    spec["ssh"]["user"] = "opspw".into();
    spec["ssh"]["become"] = true.into();
    spec["ssh"]["becomePasswordFile"] = "sudo-password".into();
    spec["hosts"][2]["ssh"] = json!({"user": "ops"});
    operator.write_inventory(&inventory);
    // Not the lab's own, which is too short to be looked for.
    let password = format!("Sudo-{:x}-secret", std::process::id());
    operator.write_private("sudo-password", "wrong\n");
    for host in &hosts {
        lab.sh(host, &format!("echo 'opspw:{password}' | chpasswd"));
    }
    let story = Story {
        cluster: inventory["metadata"]["name"].as_str().unwrap().to_owned(),
        lab,
        operator,
        hosts,
        password,
    };
    story.unknown_keys_are_refused_until_trusted();
    story.changed_keys_are_refused_for_good();
    story.sudo_wants_the_right_password();
    story.preflight_refuses_and_says_what_to_do();
    story.an_etcd_of_somebody_else_has_to_answer();
    story.parts_that_cannot_stand_alone_are_refused();
    story.hosts_are_prepared_without_the_one_that_is_down();
    story.a_killed_run_is_taken_up();
    story.the_host_that_was_down_is_taken_up_alone();
    story.a_pattern_restricts_a_run();
}

impl Story {
    fn says(&self, what: &str) {
        scenario("trouble", what);
    }

    fn unknown_keys_are_refused_until_trusted(&self) {
        self.says("unknown host keys");
        let first = &self.hosts[0];
        self.operator.run(&["plan"]).exits(1).says(&[
            &format!("{first}: the host key of"),
            "is not known (",
            &format!("clusterctl-rs hosts trust {first}"),
        ]);
        let trusted = self.operator.run(&["hosts", "trust", "--yes"]).exits(0);
        // What it shows is what the hosts have.
        for host in &self.hosts {
            let key = "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub";
            let fingerprint = self.lab.sh(host, key);
            let fingerprint = fingerprint.split(' ').nth(1).unwrap();
            assert!(
                trusted.stdout.contains(fingerprint),
                "no {fingerprint} in {trusted:?}"
            );
        }
    }

    fn changed_keys_are_refused_for_good(&self) {
        self.says("a changed host key");
        let file = self.operator.state(&self.cluster, "known_hosts");
        let right = fs::read_to_string(&file).unwrap();
        // The first host's name gets the third's keys: somebody in between.
        let addresses = self.lab.verb(&["list"]);
        let address = |host: &str| {
            let line = addresses
                .lines()
                .find(|line| line.starts_with(host))
                .unwrap();
            line.split('\t').nth(1).unwrap().to_owned()
        };
        let (first, third) = (address(&self.hosts[0]), address(&self.hosts[2]));
        let wrong: String = right
            .lines()
            .filter(|line| !line.starts_with(&format!("{first} ")))
            .flat_map(|line| [line.to_owned(), line.replacen(&third, &first, 1)])
            .map(|line| line + "\n")
            .collect();
        fs::write(&file, wrong).unwrap();
        self.operator.run(&["apply", "--yes"]).exits(1).says(&[
            "does not match",
            "ssh-keygen",
            "-R",
        ]);
        self.operator.run(&["hosts", "trust", "--yes"]).exits(1);
        self.operator
            .run(&["plan"])
            .exits(1)
            .says(&["does not match"]);
        fs::write(&file, right).unwrap();
    }

    fn sudo_wants_the_right_password(&self) {
        self.says("sudo with a wrong password, then with the right one");
        self.operator
            .run(&["plan"])
            .exits(1)
            .says(&["opspw cannot become root", "check ssh.becomePasswordFile"]);
        self.operator
            .write_private("sudo-password", &format!("{}\n", self.password));
        self.operator.run(&["preflight"]).exits(0);
    }

    fn preflight_refuses_and_says_what_to_do(&self) {
        self.says("preflight: a port in use, two machines with one identity");
        let [first, second, third] = &self.hosts[..] else {
            panic!("three hosts");
        };
        self.lab.sh(
            first,
            "systemd-run --quiet --unit squatter systemd-socket-activate --accept -l 6443 cat",
        );
        let identity = self.lab.sh(third, "cat /etc/machine-id");
        let twin = self.lab.sh(second, "cat /etc/machine-id");
        self.lab
            .sh(third, &format!("echo {} >/etc/machine-id", twin.trim()));
        let port = format!("{first}: Port-6443: ");
        let twins = "DuplicateMachineID";
        let found = self.operator.run(&["preflight"]).exits(5);
        for text in [&*port, twins] {
            assert!(found.stdout.contains(text), "no {text:?} in {found:?}");
        }
        let found = self
            .operator
            .run(&["preflight", "--output", "json"])
            .exits(5)
            .json();
        for finding in found["findings"].as_array().unwrap() {
            assert!(
                finding["severity"] != "error" || finding["remedy"].is_string(),
                "nothing to do about {finding}"
            );
        }
        self.operator.run(&["apply", "--yes"]).exits(5).says(&[
            "preflight found",
            &port,
            twins,
            "preflight.ignore",
        ]);
        for host in &self.hosts {
            self.lab
                .sh(host, "! ls -d /etc/kubernetes /var/lib/clusterctl");
        }
        self.lab.sh(first, "systemctl stop squatter");
        self.lab
            .sh(third, &format!("echo {} >/etc/machine-id", identity.trim()));
    }

    fn an_etcd_of_somebody_else_has_to_answer(&self) {
        self.says("an external etcd that doesn't answer");
        let path = self.operator.dir.join("inventory.yaml");
        let text = fs::read_to_string(&path).unwrap();
        let mut inventory: Value = serde_json::from_str(&text).unwrap();
        let url = "https://127.0.0.1:2379";
        inventory["spec"]["etcd"] = json!({"external": {"endpoints": [url]}});
        self.operator.write_inventory(&inventory);
        let first = &self.hosts[0];
        self.operator.run(&["apply", "--yes"]).exits(5).says(&[
            &format!("{first}: ExternalEtcdVersion: {url}: "),
            "spec.etcd.external",
        ]);
        fs::write(&path, text).unwrap();
    }

    fn parts_that_cannot_stand_alone_are_refused(&self) {
        self.says("join alone on bare hosts, phases and hosts that aren't there");
        self.operator
            .run(&["apply", "--yes", "--phases", "certs,join"])
            .exits(2)
            .says(&["cannot run phase join on its own", "hint: "]);
        self.operator
            .run(&["apply", "--yes", "--phases", "jion"])
            .exits(2)
            .says(&["unknown phase `jion`", "the phases are preflight, certs"]);
        self.operator
            .run(&["apply", "--yes", "--hosts", "nobody*"])
            .exits(2)
            .says(&["no host or group matches `nobody*`"]);
        for host in &self.hosts {
            self.lab
                .sh(host, "! ls -d /etc/kubernetes /var/lib/clusterctl");
        }
    }

    fn hosts_are_prepared_without_the_one_that_is_down(&self) {
        self.says("certs and hosts only, with a worker down, killed once on the way");
        let [first, second, third] = &self.hosts[..] else {
            panic!("three hosts");
        };
        self.lab.verb(&["kill", third]);
        let part = [
            "apply",
            "--yes",
            "--phases",
            "preflight,certs,hosts",
            "--events",
            "jsonl",
        ];
        let mut killed = self.operator.start(&part);
        killed.wait_for("/usr/bin/kubelet");
        killed.kill();
        self.says("killed");
        let prepared = self.operator.run(&part).exits(4).says(&[third]);
        assert_eq!(prepared.count("host-failed", third), 1, "{prepared:?}");
        for host in [first, second] {
            let manifests = "test -x /usr/bin/kubelet && ls -A /etc/kubernetes/manifests";
            assert_eq!(self.lab.sh(host, manifests), "", "{host}: manifests");
            self.lab.sh(host, "! systemctl is-active --quiet kubelet");
        }
        // The same again finds nothing to do.
        let again = self.operator.run(&part).exits(4);
        assert_eq!(again.changed_hosts(), Vec::<String>::new(), "{again:?}");
    }

    fn a_killed_run_is_taken_up(&self) {
        self.says("the rest: a second run is locked out, the first is killed, a third goes on");
        let [first, second, _] = &self.hosts[..] else {
            panic!("three hosts");
        };
        let mut killed = self
            .operator
            .start(&["apply", "--yes", "--events", "jsonl"]);
        killed.wait_for(r#"{"event":"phase-started","phase":"control-plane""#);
        self.operator.run(&["apply", "--yes"]).exits(6).says(&[
            "another run holds",
            "apply, process",
            "wait for that run to end",
        ]);
        killed.kill();

        let watch = Watch::start(&self.lab, &[first.clone(), second.clone()]);
        let applied = self.operator.run(&["apply", "--yes", "-vv"]);
        let seen = watch.stop();
        let applied = applied.exits(4);
        assert_eq!(
            self.operator.ready_nodes(&self.cluster),
            [first.as_str(), second.as_str()]
        );
        let mut needles = secrets::private_keys(&self.operator.state(&self.cluster, ""));
        needles.push(self.password.clone());
        needles.extend(seen.tokens.iter().cloned());
        seen.assert_without(&needles);
        secrets::assert_without("-vv's output", &applied.stderr, &needles);
        for run in fs::read_dir(self.operator.state(&self.cluster, "runs")).unwrap() {
            let journal = run.unwrap().path().join("journal.jsonl");
            let journal = fs::read_to_string(journal).unwrap();
            secrets::assert_without("a journal", &journal, &needles);
        }
        // sudo logs the commands that it runs.
        for host in [first, second] {
            let log = self.lab.sh(host, "journalctl --no-pager -q");
            secrets::assert_without("a host's journal", &log, &needles);
        }
    }

    fn the_host_that_was_down_is_taken_up_alone(&self) {
        self.says("the worker comes back");
        let third = &self.hosts[2];
        self.lab.verb(&["start", third]);
        let plan = self.operator.run(&["plan", "--output", "json"]).exits(0);
        let elsewhere: Vec<String> = planned(&plan.json())
            .into_iter()
            .filter(|line| !line.starts_with(&format!("{third} ")))
            .collect();
        assert_eq!(elsewhere, Vec::<String>::new());
        let applied = self
            .operator
            .run(&["apply", "--yes", "--events", "jsonl"])
            .exits(0);
        assert_eq!(applied.changed_hosts(), [third.as_str()]);
        // Facts, a look, and whether the new one is reached.
        for host in &self.hosts[..2] {
            let commands = applied.count("command", host);
            assert!(commands <= 3, "{host}: {commands} commands");
        }
        assert_eq!(self.operator.ready_nodes(&self.cluster), self.hosts);
        // One of each run that let somebody join, the killed one included.
        let tokens = self.operator.tokens_for_minutes(&self.cluster);
        assert!((1..=3).contains(&tokens), "{tokens} tokens");
        self.operator.run(&["apply", "--assert-noop"]).exits(0);
    }

    fn a_pattern_restricts_a_run(&self) {
        self.says("--hosts");
        let [_, second, third] = &self.hosts[..] else {
            panic!("three hosts");
        };
        for host in [second, third] {
            self.lab.sh(host, "chmod 0600 /var/lib/kubelet/config.yaml");
        }
        let mode = |host: &str| self.lab.sh(host, "stat -c %a /var/lib/kubelet/config.yaml");
        let some = ["apply", "--yes", "--hosts", second, "--events", "jsonl"];
        let applied = self.operator.run(&some).exits(0);
        assert_eq!(applied.changed_hosts(), [second.as_str()]);
        assert_eq!((&*mode(second), &*mode(third)), ("644\n", "600\n"));
        let plan = self.operator.run(&["plan", "--output", "json"]).exits(0);
        let planned = planned(&plan.json());
        assert!(
            !planned.is_empty() && planned.iter().all(|line| line.starts_with(third)),
            "{planned:?}"
        );
        self.operator.run(&["apply", "--yes"]).exits(0);
        assert_eq!(mode(third), "644\n");
        self.operator.run(&["apply", "--assert-noop"]).exits(0);
    }
}
