//! Edits that a running cluster would not survive: each is refused, with its field and its
//! line, and leaves the cluster as it was. And those that only a component itself can refuse:
//! each is taken back.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::components::Components;
use crate::lab::Lab;
use crate::operator::Operator;
use crate::scenario;

const PODS: &str = "/api/v1/pods";

/// What must be the same after a refusal, objects and pods.
const OBJECTS: [&str; 11] = [
    "/api/v1/nodes",
    "/api/v1/namespaces",
    "/api/v1/configmaps",
    "/api/v1/secrets",
    "/api/v1/services",
    "/api/v1/serviceaccounts",
    "/apis/apps/v1/daemonsets",
    "/apis/apps/v1/deployments",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    PODS,
];

/// Edits that are refused. `worker` is the last host's entry, `first` the first one's, and
/// `arg` stands for a list of one argument.
const REFUSED: &str = "
- {what: etcd elsewhere, at: etcd.local.dataDir, to: /srv/etcd}
- {what: etcd elsewhere by argument, at: etcd.local.extraArgs, arg: [data-dir, /srv/etcd]}
- {what: etcd's log elsewhere, at: etcd.local.extraArgs, arg: [wal-dir, /srv/wal]}
- {what: an etcd alone, at: etcd.local.extraArgs, arg: [force-new-cluster, 'true']}
- {what: another token of etcd, at: etcd.local.extraArgs, arg: [initial-cluster-token, x]}
- {what: another name in etcd, at: etcd.local.extraArgs, arg: [name, other]}
- {what: an older etcd, at: etcd.local.imageTag, to: 3.4.13-0}
- {what: another etcd, at: etcd, to: {external: {endpoints: ['https://192.0.2.9:2379']}}}
- {what: other servers of etcd, at: apiServer.extraArgs, arg: [etcd-servers, 'https://192.0.2.9:2379']}
- {what: another prefix in etcd, at: apiServer.extraArgs, arg: [etcd-prefix, /other]}
- {what: other pods, at: networking.podSubnet, to: 10.20.0.0/16}
- {what: other pods by argument, at: controllerManager.extraArgs, arg: [cluster-cidr, 10.20.0.0/16]}
- {what: other ranges of nodes, at: controllerManager.extraArgs, arg: [node-cidr-mask-size, '25']}
- {what: other Services, at: networking.serviceSubnet, to: 10.30.0.0/16}
- {what: other Services by argument, at: apiServer.extraArgs, arg: [service-cluster-ip-range, 10.30.0.0/16]}
- {what: another domain, at: networking.dnsDomain, to: other.local}
- {what: another domain of kubelets, at: kubelet.config.clusterDomain, to: other.local}
- {what: another issuer, at: apiServer.extraArgs, arg: [service-account-issuer, 'https://other']}
- {what: another name of the cluster, at: clusterName, to: other}
- {what: another name by argument, at: controllerManager.extraArgs, arg: [cluster-name, other]}
- {what: another port, at: localAPIEndpoint.bindPort, to: 7443}
- {what: another port by argument, at: apiServer.extraArgs, arg: [secure-port, '7443']}
- {what: another address of the API server, at: first.localAPIEndpoint.advertiseAddress, to: 192.0.2.9}
- {what: other certificates, at: certificatesDir, to: /etc/kubernetes/other}
- {what: other static pods, at: kubelet.config.staticPodPath, to: /srv/pods}
- {what: another cgroup driver, at: kubelet.config.cgroupDriver, to: DRIVER}
- {what: another root of containerd, at: runtime.containerd.config.root, to: /srv/containerd}
- {what: another state of containerd, at: runtime.containerd.config.state, to: /srv/state}
- {what: another minor version, at: kubernetesVersion, to: v1.33.1}
- {what: another name of a Node, at: worker.nodeRegistration.name, to: other}
- {what: another name of a host, at: worker.name, to: other}
- {what: another address of a Node, at: worker.nodeRegistration.kubeletExtraArgs, arg: [node-ip, 192.0.2.9]}
- {what: another root of a kubelet, at: worker.nodeRegistration.kubeletExtraArgs, arg: [root-dir, /srv/k]}
- {what: other certificates of a kubelet, at: worker.nodeRegistration.kubeletExtraArgs, arg: [cert-dir, /srv/pki]}
- {what: another role, at: worker.roles, to: [control-plane]}
";

/// Typos that only a component itself can refuse, and what it says. Names of settings as above.
const TYPOS: &str = "
- {what: kube-apiserver, at: apiServer.extraArgs, arg: [no-such-flag, 'true']}
- {what: kube-controller-manager, at: controllerManager.extraArgs, arg: [no-such-flag, 'true']}
- {what: kube-scheduler, at: scheduler.extraArgs, arg: [no-such-flag, 'true']}
- {what: etcd, at: etcd.local.extraArgs, arg: [no-such-flag, 'true']}
- {what: kubelet, at: kubelet.config.topologyManagerPolicy, to: nonsense}
- {what: containerd, at: runtime.containerd.config.grpc, to: nonsense}
";

/// An edit of an inventory.
#[derive(serde::Deserialize)]
struct Edit {
    what: String,
    at: String,
    to: Option<Value>,
    arg: Option<[String; 2]>,
}

impl Edit {
    fn apply(&self, inventory: &Value) -> Value {
        let value = match &self.arg {
            Some([name, value]) => json!([{"name": name, "value": value}]),
            None => self.to.clone().unwrap(),
        };
        let mut edited = inventory.clone();
        set(&mut edited, &self.at, value);
        edited
    }

    /// The argument or field that a message about it names.
    fn setting(&self) -> &str {
        match &self.arg {
            Some([name, _]) => name,
            None => self.at.rsplit('.').next().unwrap(),
        }
    }
}

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
    refuses_a_typo_at_once(&operator, &inventory);
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

/// A typo before there is a cluster ends the wait for it.
fn refuses_a_typo_at_once(operator: &Operator, inventory: &Value) {
    scenario("edits", "a typo before there is a cluster");
    let mut typo = inventory.clone();
    let argument = json!([{"name": "no-such-flag", "value": "true"}]);
    set(&mut typo, "controllerManager.extraArgs", argument);
    operator.write_inventory(&typo);
    let says = ["kube-controller-manager: ", "no-such-flag", "crash-looping"];
    operator.run(&["apply", "--yes"]).exits(1).says(&says);
}

impl Running<'_> {
    /// Tries every edit. The inventory is the old one at the end.
    pub(crate) fn refuses_what_would_destroy_it(&self) {
        crate::reset::eventually("running pods", || {
            let pods = self.operator.get_json(self.cluster, PODS);
            let ready = |pod: &Value| {
                let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
                let mut ready = conditions.filter(|one| one["type"] == "Ready");
                ready.any(|one| one["status"] == "True")
            };
            pods["items"].as_array().unwrap().iter().all(ready)
        });
        let before = self.look();
        let mut wrong = Vec::new();
        for edit in self.edits() {
            let what = edit.what.as_str();
            scenario("edits", what);
            self.operator.write_inventory(&edit.apply(self.inventory));
            let run = self.operator.run(&["apply", "--yes"]);
            let says = |text| run.stderr.contains(text);
            if run.status != Some(2) || !says(edit.setting()) || !says("inventory.yaml:") {
                wrong.push(format!("{what}: not refused by name: {run:?}"));
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
            let kept = |name: &String| name.starts_with('/') && !name.starts_with(PODS);
            looked
                .into_iter()
                .filter(|(name, _)| kept(name))
                .collect::<BTreeMap<_, _>>()
        };
        let before = objects(self.look());
        let mut wrong = Vec::new();
        let typos: Vec<Edit> = serde_saphyr::from_str(TYPOS).unwrap();
        for typo in typos {
            let component = typo.what.as_str();
            scenario("edits", &format!("a typo for {component}"));
            self.operator.write_inventory(&typo.apply(self.inventory));
            let run = self.operator.run(&["apply", "--yes"]);
            let named = if typo.arg.is_some() {
                typo.setting()
            } else {
                ""
            };
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
        // Hosts with cgroup v1 have the one, all others the other.
        let driver = match self.inventory["spec"]["kubelet"]["config"]["cgroupDriver"].as_str() {
            Some("cgroupfs") => "systemd",
            _ => "cgroupfs",
        };
        serde_saphyr::from_str(&REFUSED.replace("DRIVER", driver)).unwrap()
    }

    /// What must be the same afterwards: the objects, the pods' containers, etcd's members
    /// and their cluster.
    fn look(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for path in OBJECTS {
            let list = self.operator.get_json(self.cluster, path);
            for object in list["items"].as_array().unwrap() {
                let metadata = &object["metadata"];
                let name = metadata["name"].as_str().unwrap();
                let namespace = metadata["namespace"].as_str().unwrap_or_default();
                // The run's own: written, and taken away again.
                if name.starts_with("bootstrap-token") {
                    continue;
                }
                let name = format!("{path} {namespace}/{name}");
                let status = &object["status"];
                let container = &status["containerStatuses"][0];
                let [uid, start, id] = [
                    &metadata["uid"],
                    &status["startTime"],
                    &container["containerID"],
                ];
                found.insert(name, format!("{uid} {start} {id}"));
            }
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

/// Sets a field below `spec`, and makes what it is in.
fn set(inventory: &mut Value, path: &str, value: Value) {
    let last = inventory["spec"]["hosts"].as_array().unwrap().len() - 1;
    let mut at = &mut inventory["spec"];
    for key in path.split('.') {
        at = match key {
            "first" => &mut at["hosts"][0],
            "worker" => &mut at["hosts"][last],
            _ => &mut at[key],
        };
    }
    *at = value;
}
