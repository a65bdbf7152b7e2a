//! Three control planes: grown from one, one of them lost, all of them changed,
//! the first replaced, and all of it from nothing once more.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::components::Components;
use crate::lab::{Lab, checked};
use crate::load::{Credentials, Load};
use crate::operator::{Finished, Operator};
use crate::scenario;

/// How long the API may take to answer again once a control plane is gone.
const AGAIN: f64 = 10.0;

/// Says what etcd and the API server run as, so that a restart shows.
const PIDS: &str = "for name in etcd kube-apiserver; do echo $name $(pidof $name); done";

/// The lab, the operator and the cluster of this story.
struct Story {
    lab: Lab,
    operator: Operator,
    cluster: String,
    /// Three that become control planes, and two workers.
    hosts: Vec<String>,
    inventory: Value,
}

#[test]
fn no_control_plane_is_missed() {
    let components = Components::find();
    let lab = Lab::up('h', 5);
    let operator = Operator::new(&components);
    let inventory = lab.inventory(&components);
    let mut story = Story {
        cluster: inventory["metadata"]["name"].as_str().unwrap().to_owned(),
        hosts: (1..=5).map(|number| lab.name(number)).collect(),
        lab,
        operator,
        inventory,
    };
    story.one_control_plane_becomes_three();
    // Minutes, and of a cluster of one it is tried with stand-ins, too.
    if !components.are_standins() {
        story.edits_that_would_destroy_it_are_refused();
    }
    story.one_is_lost_and_comes_back();
    story.a_change_takes_one_at_a_time();
    story.the_first_is_replaced();
    story.one_is_gone_for_good();
    story.all_at_once_from_nothing();
}

impl Story {
    fn says(&self, what: &str) {
        scenario("ha", what);
    }

    fn run(&self, args: &[&str]) -> Finished {
        self.operator.run(args)
    }

    fn noop(&self) {
        self.run(&["apply", "--assert-noop"]).exits(0);
    }

    fn workers(&self) -> &[String] {
        &self.hosts[3..]
    }

    fn address(&self, host: &str) -> String {
        let hosts = self.inventory["spec"]["hosts"].as_array().unwrap();
        let one = hosts.iter().find(|one| one["name"] == host).unwrap();
        one["address"].as_str().unwrap().to_owned()
    }

    fn write(&self, hosts: &[usize]) {
        let mut inventory = self.inventory.clone();
        let all = inventory["spec"]["hosts"].as_array().unwrap();
        let some: Vec<Value> = hosts.iter().map(|index| all[*index].clone()).collect();
        inventory["spec"]["hosts"] = some.into();
        self.write_all(&inventory);
    }

    /// As text that the program can edit in place.
    fn write_all(&self, inventory: &Value) {
        let text = crate::nodes::inventory(inventory);
        std::fs::write(self.operator.dir.join("inventory.yaml"), text).unwrap();
    }

    /// Whether the API is ready, seen through the balancer of a worker.
    fn answers(&self, worker: &str) -> bool {
        let ready = "curl -sk -m 2 -o /dev/null -w '%{http_code}' https://127.0.0.1:6443/readyz";
        let output = self.lab.exec(worker, ready).output().unwrap();
        output.stdout == b"200"
    }

    /// The control planes that each worker's balancer knows.
    fn balancers_know(&self, known: &[&str]) {
        let wanted: BTreeSet<String> = known.iter().map(|host| self.address(host)).collect();
        for worker in self.workers() {
            let servers = "sed -nE 's/^ *server .* ([0-9.]+):6443.*/\\1/p' \
                           /etc/kubernetes/haproxy/haproxy.cfg";
            let servers = self.lab.sh(worker, servers);
            let servers: BTreeSet<String> = servers.lines().map(str::to_owned).collect();
            assert_eq!(servers, wanted, "{worker}");
            crate::reset::eventually("an answer through its balancer", || self.answers(worker));
        }
    }

    /// Processes of etcd and API servers on some hosts.
    fn pids(&self, hosts: &[&str]) -> BTreeMap<String, String> {
        hosts
            .iter()
            .map(|host| {
                let pids = self.lab.sh(host, PIDS);
                assert!(pids.lines().all(|line| line.contains(' ')), "{pids}");
                ((*host).to_owned(), pids)
            })
            .collect()
    }

    /// Names of etcd's members with a vote.
    fn members(&self) -> Vec<String> {
        let status = self.run(&["status", "--output", "json"]).json();
        let members = status["etcd"]["members"].as_array().unwrap();
        let voting = members.iter().filter(|one| one["learner"] == false);
        let mut names: Vec<String> = voting
            .map(|one| one["name"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    }

    fn is_well(&self) {
        crate::reset::eventually("health", || {
            self.run(&["status", "--exit-code"]).status == Some(0)
        });
    }

    fn one_control_plane_becomes_three(&mut self) {
        self.says("one control plane and two workers");
        self.write(&[0, 3, 4]);
        self.run(&["apply", "--yes"]).exits(0);
        self.noop();
        self.says("two control planes more");
        for index in [1, 2] {
            self.inventory["spec"]["hosts"][index]["roles"] = json!(["control-plane"]);
        }
        self.write_all(&self.inventory);
        self.run(&["apply", "--yes"]).exits(0);
        self.noop();
        assert_eq!(self.operator.ready_nodes(&self.cluster), self.hosts);
        assert_eq!(self.members(), self.hosts[..3]);
        let all: Vec<&str> = self.hosts[..3].iter().map(String::as_str).collect();
        self.balancers_know(&all);
        for worker in self.workers() {
            let server = self
                .lab
                .sh(worker, "grep server: /etc/kubernetes/kubelet.conf");
            assert!(server.contains("https://127.0.0.1:6443"), "{server}");
        }
    }

    fn edits_that_would_destroy_it_are_refused(&self) {
        let running = crate::edits::Running {
            lab: &self.lab,
            operator: &self.operator,
            cluster: &self.cluster,
            inventory: &self.inventory,
            control_planes: &self.hosts[..3],
        };
        running.refuses_what_would_destroy_it();
        self.write_all(&self.inventory);
    }

    fn one_is_lost_and_comes_back(&self) {
        self.says("the first is killed");
        let (lost, credentials) = (&self.hosts[0], self.credentials());
        for worker in self.workers() {
            credentials.place(&self.lab, worker);
        }
        self.lab.verb(&["kill", lost]);
        // Clocks are the machine's; starting a command on a host may take a while.
        let killed = jiff::Timestamp::now();
        let writes: Vec<_> = self
            .workers()
            .iter()
            .map(|worker| credentials.write(&self.lab, worker, "127.0.0.1"))
            .collect();
        for (worker, write) in self.workers().iter().zip(writes) {
            let said = checked(worker, write.wait_with_output());
            let wrote: jiff::Timestamp = said.trim().parse().unwrap();
            let took = wrote.duration_since(killed).as_secs_f64();
            self.says(&format!("{worker} reads and writes {took:.1} s later"));
            assert!(took < AGAIN, "{worker}: {said}");
        }
        self.run(&["status", "--exit-code"])
            .exits(3)
            .says(&[&format!("{lost}: unreachable"), "UNHEALTHY"]);
        self.run(&["plan", "--exit-code"])
            .exits(4)
            .says(&["set aside:", lost]);
        self.says("quorum is not put at risk");
        let (second, third) = (&self.hosts[1], &self.hosts[2]);
        self.run(&["remove-node", second, "--yes"])
            .exits(1)
            .says(&["quorum", third]);
        self.says("it is back");
        self.lab.verb(&["start", lost]);
        self.is_well();
        self.noop();
    }

    fn credentials(&self) -> Credentials {
        Credentials::of(&self.operator, &self.cluster)
    }

    fn a_change_takes_one_at_a_time(&mut self) {
        self.says("an argument of the API servers, while clients read and write");
        self.operator.kubectl(
            &self.cluster,
            &["apply", "-f", self.load_object().to_str().unwrap()],
        );
        let addresses: Vec<String> = self.hosts[..3].iter().map(|h| self.address(h)).collect();
        let all: Vec<&str> = self.hosts[..3].iter().map(String::as_str).collect();
        let before = self.pids(&all);
        let load = Load::start(
            &self.lab,
            self.workers(),
            "127.0.0.1",
            &addresses,
            &self.credentials(),
        );
        self.inventory["spec"]["apiServer"] =
            json!({"extraArgs": [{"name": "event-ttl", "value": "2h0m0s"}]});
        self.write_all(&self.inventory);
        let run = self.run(&["apply", "--yes", "--events", "jsonl"]).exits(0);
        std::thread::sleep(Duration::from_secs(2));
        let seen = load.stop(&self.lab);
        self.says(&seen.to_string());
        seen.assert_that_one_retry_is_enough();
        seen.assert_that_no_two_were_down();
        for (host, after) in self.pids(&all) {
            let same = |name: &str| {
                let of = |pids: &str| {
                    pids.lines()
                        .find(|l| l.starts_with(name))
                        .map(str::to_owned)
                };
                of(&before[&host]) == of(&after)
            };
            assert!(same("etcd") && !same("kube-apiserver"), "{host}: {after}");
        }
        assert_eq!(run.changed_hosts(), self.hosts[..3]);
        self.noop();
    }

    fn load_object(&self) -> std::path::PathBuf {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": {"n": "0"},
            "metadata": {"name": "load", "namespace": "default"},
        });
        self.operator
            .write_private("load.json", &object.to_string())
    }

    fn the_first_is_replaced(&self) {
        self.says("the first is removed");
        let (first, others) = (&self.hosts[0], [&*self.hosts[1], &*self.hosts[2]]);
        let before = self.pids(&others);
        self.run(&["remove-node", first, "--yes"])
            .exits(0)
            .says(&["removed and cleaned"]);
        assert_eq!(self.members(), self.hosts[1..3]);
        self.balancers_know(&others);
        self.noop();
        self.says("and added again");
        self.run(&["add-node", first, "--yes"]).exits(0);
        assert_eq!(self.members(), self.hosts[..3]);
        self.balancers_know(&[first, others[0], others[1]]);
        assert_eq!(before, self.pids(&others), "nobody else is restarted");
        self.noop();
        self.is_well();
    }

    fn one_is_gone_for_good(&self) {
        self.says("one is gone for good");
        let lost = &self.hosts[1];
        self.lab.verb(&["kill", lost]);
        crate::reset::eventually("the end of its readiness", || {
            self.operator.ready_nodes(&self.cluster).len() == 4
        });
        self.run(&["remove-node", lost, "--unreachable", "--yes"])
            .exits(0);
        assert_eq!(self.members(), [&*self.hosts[0], &*self.hosts[2]]);
        self.balancers_know(&[&self.hosts[0], &self.hosts[2]]);
        self.noop();
        self.lab.verb(&["start", lost]);
    }

    fn all_at_once_from_nothing(&self) {
        self.says("all of it from nothing");
        // The one that was gone for good has its old self on its disk.
        self.write_all(&self.inventory);
        self.run(&["reset", "--all", "--yes"]).exits(0);
        self.run(&["apply", "--yes"]).exits(0);
        self.noop();
        assert_eq!(self.operator.ready_nodes(&self.cluster), self.hosts);
        assert_eq!(self.members(), self.hosts[..3]);
        let all: Vec<&str> = self.hosts[..3].iter().map(String::as_str).collect();
        self.balancers_know(&all);
    }
}

/// Hands `input` to a script on a host. It must succeed.
pub(crate) fn give(lab: &Lab, host: &str, script: &str, input: &[u8]) {
    use std::io::Write;
    let mut child = lab
        .exec(host, script)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    assert!(child.wait().unwrap().success(), "{host}: {script}");
}
