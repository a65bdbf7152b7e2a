//! Edits that a running cluster would not survive: each is refused, with its field and its
//! line, and leaves the cluster as it was. And those that only a component itself can refuse:
//! each is taken back.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::components::Components;
use crate::lab::Lab;
use crate::operator::Operator;
use crate::scenario;

/// An edit: what it sets, as the path of a field and its value, and what the refusal names.
type Edit = (&'static str, &'static str, Value, &'static str);

/// A running cluster that edits are tried on.
pub(crate) struct Running<'a> {
    pub(crate) lab: &'a Lab,
    pub(crate) operator: &'a Operator,
    pub(crate) cluster: &'a str,
    pub(crate) inventory: &'a Value,
    pub(crate) control_planes: &'a [String],
}

#[test]
fn edits_that_would_destroy_a_cluster_of_one_are_refused() {
    let components = Components::find();
    let lab = Lab::up('d', 2);
    let operator = Operator::new(&components);
    let inventory = lab.inventory(&components);
    let cluster = inventory["metadata"]["name"].as_str().unwrap();
    scenario("edits", "a typo before there is a cluster");
    let mut typo = inventory.clone();
    let argument = json!([{"name": "no-such-flag", "value": "true"}]);
    set(&mut typo, "controllerManager.extraArgs", argument);
    operator.write_inventory(&typo);
    let says = ["kube-controller-manager: ", "no-such-flag", "crash-looping"];
    operator.run(&["apply", "--yes"]).exits(1).says(&says);
    scenario("edits", "a control plane and a worker");
    operator.write_inventory(&inventory);
    operator.run(&["apply", "--yes"]).exits(0);
    operator.run(&["apply", "--assert-noop"]).exits(0);
    let running = Running {
        lab: &lab,
        operator: &operator,
        cluster,
        inventory: &inventory,
        control_planes: &[lab.name(1)],
    };
    running.refuses_what_would_destroy_it();
    running.takes_back_what_does_not_come_up();
}

impl Running<'_> {
    /// Tries every edit. The inventory is the old one at the end.
    pub(crate) fn refuses_what_would_destroy_it(&self) {
        crate::reset::eventually("running pods", || {
            let phases = "jsonpath={.items[*].status.conditions[?(@.type==\"Ready\")].status}";
            let phases = self.kubectl(&["get", "pods", "-A", "-o", phases]);
            phases.split(' ').all(|ready| ready == "True")
        });
        let before = self.look();
        let mut wrong = Vec::new();
        for (what, path, value, named) in self.edits() {
            scenario("edits", what);
            let mut edited = self.inventory.clone();
            set(&mut edited, path, value);
            self.operator.write_inventory(&edited);
            let run = self.operator.run(&["apply", "--yes"]);
            let says = |text| run.stderr.contains(text);
            if run.status != Some(2) || !says(named) || !says("inventory.yaml:") {
                wrong.push(format!("{what}: no refusal that names {named}: {run:?}"));
            }
            self.operator.write_inventory(self.inventory);
            assert_same(what, &before, &self.look());
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        scenario("edits", "no edit");
        self.operator.run(&["apply", "--assert-noop"]).exits(0);
    }

    /// Tries arguments and settings that each component refuses.
    pub(crate) fn takes_back_what_does_not_come_up(&self) {
        let objects = |looked: BTreeMap<String, String>| {
            let kept = |name: &String| name.contains('/') && !name.starts_with("pod ");
            looked
                .into_iter()
                .filter(|(name, _)| kept(name))
                .collect::<BTreeMap<_, _>>()
        };
        let before = objects(self.look());
        let mut wrong = Vec::new();
        let typo = json!([{"name": "no-such-flag", "value": "true"}]);
        let typos: [Edit; 6] = [
            (
                "kube-apiserver",
                "apiServer.extraArgs",
                typo.clone(),
                "no-such-flag",
            ),
            (
                "kube-controller-manager",
                "controllerManager.extraArgs",
                typo.clone(),
                "no-such-flag",
            ),
            (
                "kube-scheduler",
                "scheduler.extraArgs",
                typo.clone(),
                "no-such-flag",
            ),
            ("etcd", "etcd.local.extraArgs", typo, "no-such-flag"),
            (
                "kubelet",
                "kubelet.config.topologyManagerPolicy",
                json!("nonsense"),
                "kubelet: ",
            ),
            (
                "containerd",
                "runtime.containerd.config.grpc",
                json!("nonsense"),
                "containerd: ",
            ),
        ];
        for (component, path, value, named) in typos {
            scenario("edits", &format!("a typo for {component}"));
            let mut edited = self.inventory.clone();
            set(&mut edited, path, value);
            self.operator.write_inventory(&edited);
            let run = self.operator.run(&["apply", "--yes"]);
            let all = [
                &format!("{component}: "),
                named,
                "the previous configuration is back and healthy",
            ];
            let says = all.iter().all(|text| run.stderr.contains(*text));
            if !matches!(run.status, Some(1 | 4)) || !says {
                wrong.push(format!("{component}: {run:?}"));
            }
            scenario("edits", "it is whole again");
            crate::reset::eventually("ready nodes", || {
                self.operator.ready_nodes(self.cluster).len() == self.hosts()
            });
            self.operator.write_inventory(self.inventory);
            assert_same(component, &before, &objects(self.look()));
            self.operator.run(&["apply", "--assert-noop"]).exits(0);
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    fn hosts(&self) -> usize {
        self.inventory["spec"]["hosts"].as_array().unwrap().len()
    }

    fn edits(&self) -> Vec<Edit> {
        let node = self.hosts() - 1;
        // Hosts with cgroup v1 have the one, all others the other.
        let driver = match self.inventory["spec"]["kubelet"]["config"]["cgroupDriver"].as_str() {
            Some("cgroupfs") => "systemd",
            _ => "cgroupfs",
        };
        // A worker, whose own settings are the easiest to lose sight of.
        let own = |field: &str| -> &'static str { format!("hosts.{node}.{field}").leak() };
        let arg = |name: &str, value: &str| json!([{"name": name, "value": value}]);
        let api = "apiServer.extraArgs";
        let manager = "controllerManager.extraArgs";
        let etcd = "etcd.local.extraArgs";
        vec![
            (
                "etcd elsewhere",
                "etcd.local.dataDir",
                json!("/srv/etcd"),
                "etcd.local.dataDir",
            ),
            (
                "etcd elsewhere, by argument",
                etcd,
                arg("data-dir", "/srv/etcd"),
                "data-dir",
            ),
            (
                "etcd's log elsewhere",
                etcd,
                arg("wal-dir", "/srv/wal"),
                "wal-dir",
            ),
            (
                "an etcd of its own",
                etcd,
                arg("force-new-cluster", "true"),
                "force-new-cluster",
            ),
            (
                "another token of etcd",
                etcd,
                arg("initial-cluster-token", "x"),
                "initial-cluster-token",
            ),
            (
                "another prefix in etcd",
                api,
                arg("etcd-prefix", "/other"),
                "etcd-prefix",
            ),
            ("another etcd", "etcd", external(), "etcd"),
            (
                "other pods",
                "networking.podSubnet",
                json!("10.20.0.0/16"),
                "networking.podSubnet",
            ),
            (
                "other Services",
                "networking.serviceSubnet",
                json!("10.30.0.0/16"),
                "networking.serviceSubnet",
            ),
            (
                "other Services, by argument",
                api,
                arg("service-cluster-ip-range", "10.30.0.0/16"),
                "service-cluster-ip-range",
            ),
            (
                "other ranges of nodes",
                manager,
                arg("node-cidr-mask-size", "25"),
                "node-cidr-mask-size",
            ),
            (
                "another domain",
                "networking.dnsDomain",
                json!("other.local"),
                "networking.dnsDomain",
            ),
            (
                "another issuer",
                api,
                arg("service-account-issuer", "https://other"),
                "service-account-issuer",
            ),
            (
                "another name of the cluster",
                "clusterName",
                json!("other"),
                "clusterName",
            ),
            (
                "another port",
                "localAPIEndpoint.bindPort",
                json!(7443),
                "localAPIEndpoint.bindPort",
            ),
            (
                "other certificates",
                "certificatesDir",
                json!("/etc/kubernetes/other"),
                "certificatesDir",
            ),
            (
                "other static pods",
                "kubelet.config.staticPodPath",
                json!("/srv/pods"),
                "staticPodPath",
            ),
            (
                "another cgroup driver",
                "kubelet.config.cgroupDriver",
                json!(driver),
                "cgroupDriver",
            ),
            (
                "another root of containerd",
                "runtime.containerd.config.root",
                json!("/srv/c"),
                "root",
            ),
            (
                "another minor version",
                "kubernetesVersion",
                json!("v1.33.1"),
                "kubernetesVersion",
            ),
            (
                "another name of a Node",
                own("nodeRegistration.name"),
                json!("other"),
                "name",
            ),
            (
                "another name of a host",
                own("name"),
                json!("other"),
                "name",
            ),
            (
                "another root of a kubelet",
                own("nodeRegistration.kubeletExtraArgs"),
                arg("root-dir", "/srv/k"),
                "root-dir",
            ),
            (
                "another role",
                own("roles"),
                json!(["control-plane"]),
                "roles",
            ),
        ]
    }

    /// What must be the same afterwards: the objects, the pods' containers, etcd's members
    /// and their cluster.
    fn look(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let kinds = "nodes,namespaces,configmaps,secrets,serviceaccounts,services,daemonsets,\
                     deployments,clusterroles,clusterrolebindings,roles,rolebindings";
        let uids = "jsonpath={range .items[*]}{.kind}/{.metadata.namespace}/{.metadata.name}={.metadata.uid}\n{end}";
        for line in self.kubectl(&["get", kinds, "-A", "-o", uids]).lines() {
            let (name, uid) = line.split_once('=').unwrap();
            // The run's own: written, and taken away again.
            if !name.contains("bootstrap-token") {
                found.insert(name.to_owned(), uid.to_owned());
            }
        }
        let pods = "jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name}=\
                    {.metadata.uid} {.status.startTime} {.status.containerStatuses[*].containerID}\n{end}";
        for line in self.kubectl(&["get", "pods", "-A", "-o", pods]).lines() {
            let (name, state) = line.split_once('=').unwrap();
            found.insert(format!("pod {name}"), state.to_owned());
        }
        for host in self.control_planes {
            let ids = "find /var/lib/etcd -name '*.wal' -o -name '*.snap' | sort | head -1; \
                       pidof etcd kube-apiserver kube-controller-manager kube-scheduler kubelet";
            found.insert(format!("processes of {host}"), self.lab.sh(host, ids));
        }
        let status = self.operator.run(&["status", "--output", "json"]).json();
        let members = status["etcd"]["members"].as_array().unwrap().iter();
        let members = members.map(|one| format!("{} {}", one["name"], one["id"]));
        found.insert("etcd".into(), members.collect::<Vec<_>>().join(", "));
        found
    }

    fn kubectl(&self, args: &[&str]) -> String {
        self.operator.kubectl(self.cluster, args)
    }
}

/// Two looks, of which only the difference is worth reading.
#[track_caller]
fn assert_same(what: &str, before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let other: Vec<String> = names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| format!("{name}: {:?}, then {:?}", before.get(name), after.get(name)))
        .collect();
    assert!(
        other.is_empty(),
        "{what}: the cluster is another: {other:#?}"
    );
}

fn external() -> Value {
    json!({"external": {"endpoints": ["https://192.0.2.9:2379"]}})
}

/// Sets a field below `spec`, and makes what it is in.
fn set(inventory: &mut Value, path: &str, value: Value) {
    let mut at = &mut inventory["spec"];
    for key in path.split('.') {
        at = match key.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[key],
        };
    }
    *at = value;
}
