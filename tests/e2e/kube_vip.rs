//! Three control planes that share an address: it is given once, moves when its holder
//! dies, leaves or is reset, and stays behind nowhere.

use serde_json::{Value, json};

use crate::components::Components;
use crate::lab::Lab;
use crate::load::{Credentials, Load};
use crate::operator::{Finished, Operator};
use crate::scenario;

/// How long the API may take to answer again once the holder is gone.
const AGAIN: f64 = 10.0;

struct Story {
    lab: Lab,
    operator: Operator,
    cluster: String,
    /// Three control planes and a worker.
    hosts: Vec<String>,
    address: String,
    inventory: Value,
}

#[test]
fn the_address_is_where_a_control_plane_works() {
    let components = Components::find();
    let lab = Lab::up('v', 4);
    let operator = Operator::new(&components);
    let mut inventory = lab.inventory(&components);
    let hosts = inventory["spec"]["hosts"].as_array_mut().unwrap();
    for host in &mut hosts[..3] {
        host["roles"] = json!(["control-plane"]);
    }
    let network = hosts[0]["address"].as_str().unwrap().rsplit_once('.');
    // The lab's hosts begin at .11.
    let address = format!("{}.9", network.unwrap().0);
    inventory["spec"]["controlPlaneEndpoint"] = address.as_str().into();
    inventory["spec"]["loadBalancer"] = json!({"type": "kube-vip"});
    operator.write_inventory(&inventory);
    let mut story = Story {
        cluster: inventory["metadata"]["name"].as_str().unwrap().to_owned(),
        hosts: (1..=4).map(|number| lab.name(number)).collect(),
        address,
        lab,
        operator,
        inventory,
    };
    story.one_that_is_taken_is_refused();
    story.one_apply_is_enough();
    story.its_holder_dies();
    story.its_holder_is_changed();
    story.its_holder_leaves();
    story.without_it_the_operator_is_told();
    story.it_stays_behind_nowhere();
}

impl Story {
    fn says(&self, what: &str) {
        scenario("kube-vip", what);
    }

    fn run(&self, args: &[&str]) -> Finished {
        self.operator.run(args)
    }

    fn noop(&self) {
        self.run(&["apply", "--assert-noop"]).exits(0);
    }

    fn worker(&self) -> &str {
        &self.hosts[3]
    }

    fn has_it(&self, host: &str) -> bool {
        let shown = self.lab.sh(host, "ip -o address show");
        shown.contains(&format!(" {}/32 ", self.address))
    }

    /// Who has the address: one, once those have settled who have just lost or won it.
    fn holder(&self) -> String {
        let mut found = Vec::new();
        crate::reset::eventually("one holder of the address", || {
            let hosts = self.hosts.iter().filter(|host| self.has_it(host));
            found = hosts.cloned().collect();
            found.len() == 1
        });
        assert_ne!(found[0], self.worker());
        found.remove(0)
    }

    /// Waits until the API answers under the address and takes a write; how long that
    /// was after `since`.
    fn writes(&self, since: jiff::Timestamp) {
        let credentials = Credentials::of(&self.operator, &self.cluster);
        credentials.place(&self.lab, self.worker());
        let write = credentials.write(&self.lab, self.worker(), &self.address);
        let said = crate::lab::checked(self.worker(), write.wait_with_output());
        let wrote: jiff::Timestamp = said.trim().parse().unwrap();
        let took = wrote.duration_since(since).as_secs_f64();
        self.says(&format!("a write under the address {took:.1} s later"));
        assert!(took < AGAIN, "{said}");
    }

    fn is_well(&self) {
        crate::reset::eventually("health", || {
            self.run(&["status", "--exit-code"]).status == Some(0)
        });
    }

    fn one_that_is_taken_is_refused(&self) {
        self.says("somebody has the address");
        let ip = |verb: &str| format!("ip address {verb} {}/32 dev eth0", self.address);
        self.lab.sh(self.worker(), &ip("add"));
        self.run(&["apply", "--yes"]).exits(5).says(&[
            "AddressAvailable",
            &format!("{} has it on eth0", self.worker()),
        ]);
        self.lab.sh(self.worker(), &ip("delete"));
    }

    fn one_apply_is_enough(&self) {
        self.says("three control planes and a worker");
        self.run(&["apply", "--yes"]).exits(0);
        self.noop();
        let holder = self.holder();
        assert_eq!(self.operator.ready_nodes(&self.cluster), self.hosts);
        let worker = "grep server: /etc/kubernetes/kubelet.conf";
        let server = self.lab.sh(self.worker(), worker);
        let wanted = format!("https://{}:6443", self.address);
        assert!(server.contains(&wanted), "{server}");
        let status = self.run(&["status", "--output", "json"]).json();
        let endpoint = &status["api"]["endpoint"];
        assert_eq!(endpoint["reachable"], Value::Bool(true));
        assert_eq!(endpoint["heldBy"], json!([holder]));
    }

    fn its_holder_dies(&self) {
        let holder = self.holder();
        self.says(&format!("{holder}, who has the address, is killed"));
        self.lab.verb(&["kill", &holder]);
        self.writes(jiff::Timestamp::now());
        self.run(&["status", "--exit-code"]).exits(3).says(&[
            &format!("{holder}: unreachable"),
            "(controlPlaneEndpoint) reaches it",
        ]);
        self.lab.verb(&["start", &holder]);
        self.is_well();
        self.noop();
        self.holder();
    }

    fn load(&self) -> Load {
        let workers = [self.worker().to_owned()];
        let hosts = self.inventory["spec"]["hosts"].as_array().unwrap();
        let addresses: Vec<String> = hosts[..3]
            .iter()
            .map(|host| host["address"].as_str().unwrap().to_owned())
            .collect();
        let credentials = Credentials::of(&self.operator, &self.cluster);
        Load::start(&self.lab, &workers, &self.address, &addresses, &credentials)
    }

    fn its_holder_is_changed(&mut self) {
        self.says("an argument of the API servers, while somebody reads and writes");
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "load", "namespace": "default"},
        });
        let object = self
            .operator
            .write_private("load.json", &object.to_string());
        let apply = ["apply", "-f", object.to_str().unwrap()];
        self.operator.kubectl(&self.cluster, &apply);
        let load = self.load();
        self.inventory["spec"]["apiServer"] =
            json!({"extraArgs": [{"name": "event-ttl", "value": "2h0m0s"}]});
        self.operator.write_inventory(&self.inventory);
        self.run(&["apply", "--yes"]).exits(0);
        std::thread::sleep(std::time::Duration::from_secs(2));
        let seen = load.stop(&self.lab);
        self.says(&seen.to_string());
        seen.assert_that_one_retry_is_enough();
        seen.assert_that_no_two_were_down();
        self.noop();
    }

    fn its_holder_leaves(&self) {
        let holder = self.holder();
        self.says(&format!("{holder}, who has the address, is removed"));
        let load = self.load();
        self.run(&["remove-node", &holder, "--yes"])
            .exits(0)
            .says(&["removed and cleaned"]);
        let seen = load.stop(&self.lab);
        self.says(&seen.to_string());
        seen.assert_that_one_retry_is_enough();
        assert!(!self.has_it(&holder));
        assert_ne!(self.holder(), holder);
        self.noop();
        self.run(&["add-node", &holder, "--yes"]).exits(0);
        self.noop();
        self.is_well();
    }

    fn without_it_the_operator_is_told(&self) {
        self.says("nobody has the address");
        let manifest = "/etc/kubernetes/manifests/kube-vip.yaml";
        for host in &self.hosts[..3] {
            self.lab.sh(host, &format!("rm {manifest}"));
        }
        crate::reset::eventually("the end of the address", || {
            !self.hosts.iter().any(|host| self.has_it(host))
        });
        let nowhere = format!(
            "{}:6443 (controlPlaneEndpoint) does not reach",
            self.address
        );
        self.run(&["plan", "--exit-code"])
            .exits(3)
            .says(&[&nowhere, manifest]);
        self.run(&["status", "--exit-code"])
            .exits(3)
            .says(&["does not reach it; no host holds the address"]);
        self.run(&["apply", "--yes"]).exits(0);
        self.noop();
        self.holder();
        self.is_well();
    }

    fn it_stays_behind_nowhere(&self) {
        self.says("reset");
        self.run(&["reset", "--all", "--yes"]).exits(0);
        for host in &self.hosts {
            assert!(!self.has_it(host), "{host}");
        }
    }
}
