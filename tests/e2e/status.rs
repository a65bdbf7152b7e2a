//! `status`: what it says of a cluster that is well, and of one that isn't.

use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::components::Components;
use crate::lab::Lab;
use crate::operator::Operator;
use crate::{scenario, traces};

/// The lab, the operator and the cluster of this story.
struct Story {
    lab: Lab,
    operator: Operator,
    cluster: String,
    hosts: Vec<String>,
}

#[test]
fn status_says_how_the_cluster_fares() {
    let components = Components::find();
    let lab = Lab::up('s', 3);
    let operator = Operator::new(&components);
    let inventory = lab.inventory(&components);
    operator.write_inventory(&inventory);
    let hosts = (1..=3).map(|number| lab.name(number)).collect();
    let story = Story {
        cluster: inventory["metadata"]["name"].as_str().unwrap().to_owned(),
        lab,
        operator,
        hosts,
    };
    story.bare_hosts_are_no_cluster_yet();
    story.operator.run(&["apply", "--yes"]).exits(0);
    story.a_healthy_cluster_is_well_and_stays_untouched();
    story.a_file_changed_by_hand_is_drift();
    story.a_node_that_nobody_asked_for_is_shown();
    story.a_watch_sees_a_worker_die_and_come_back();
    story.a_stopped_kubelet_is_seen();
    story.a_dead_control_plane_does_not_hold_up_the_rest();
}

impl Story {
    fn says(&self, what: &str) {
        scenario("status", what);
    }

    /// The status as JSON, and how long it took.
    fn status(&self) -> (Value, Duration) {
        let began = Instant::now();
        let ended = self.operator.run(&["status", "--output", "json"]).exits(0);
        (ended.json(), began.elapsed())
    }

    /// Looks until the status is as it should be.
    fn wait_until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let (status, _) = self.status();
            if wanted(&status) {
                return status;
            }
            assert!(
                began.elapsed() < Duration::from_secs(120),
                "{what} never came: {status:#}"
            );
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    fn bare_hosts_are_no_cluster_yet(&self) {
        self.says("bare hosts");
        let (status, _) = self.status();
        assert_eq!(status["healthy"], false);
        assert_eq!(status["api"]["reachable"], false);
        for name in &self.hosts {
            let one = host(&status, name);
            assert_eq!(one["reachable"], true, "{one:#}");
            assert_eq!(one["ready"], Value::Null);
            assert_eq!(health(one, "kubelet"), "unhealthy");
            assert_eq!(health(one, "containerd"), "healthy");
            assert!(one["drift"]["changes"].as_u64().unwrap() > 10, "{one:#}");
        }
        assert!(!self.operator.state(&self.cluster, "").exists());
    }

    fn a_healthy_cluster_is_well_and_stays_untouched(&self) {
        self.says("a healthy cluster");
        self.wait_until("health", |status| status["healthy"] == true);
        let since = SystemTime::now();
        let look = || {
            let mut traces = traces::of_directory(&self.operator.dir);
            for name in &self.hosts {
                traces.extend(traces::of_host(&self.lab, name, since));
            }
            traces
        };
        let before = traces::settled(look);
        let (status, took) = self.status();
        traces::assert_same(&before, &look());
        self.says(&format!("took {:.1} s", took.as_secs_f64()));
        assert_eq!(status["drifted"], false, "{status:#}");
        assert_eq!(status["drift"]["changes"], 0);
        assert_eq!(status["api"]["through"], *self.hosts[0]);
        assert_eq!(status["unknownNodes"], Value::Array(Vec::new()));
        for (index, name) in self.hosts.iter().enumerate() {
            let one = host(&status, name);
            assert_eq!(one["ready"], true);
            assert_eq!(one["schedulable"], true);
            assert_eq!(one["kubeletVersion"], status["kubernetesVersion"]);
            let components = one["components"].as_array().unwrap();
            assert_eq!(components.len(), if index == 0 { 6 } else { 2 });
        }
        let members = status["etcd"]["members"].as_array().unwrap();
        assert_eq!(members.len(), 1);
        assert_eq!(status["etcd"]["leader"], *self.hosts[0]);
        assert!(members[0]["dbSize"].as_u64().unwrap() > 0);
        let certificates = status["certificates"].as_array().unwrap();
        for (name, place) in [
            ("apiserver", 0),
            ("admin.conf", 0),
            ("etcd/peer", 0),
            ("kubelet-client", 1),
            ("kubelet-client", 2),
        ] {
            assert!(
                certificates.iter().any(|one| one["name"] == name
                    && one["hosts"]
                        .as_array()
                        .unwrap()
                        .contains(&self.hosts[place].clone().into())),
                "no {name} of {}: {certificates:#?}",
                self.hosts[place]
            );
        }
        let ca = certificates.iter().find(|one| one["name"] == "ca").unwrap();
        assert_eq!(ca["hosts"].as_array().unwrap().len(), 3);
        assert_eq!(ca["operator"], true);
        assert!(!status.to_string().contains("PRIVATE"));

        let text = self.operator.run(&["status", "--exit-code"]).exits(0);
        eprintln!("{}", text.stdout);
        text.says(&["): healthy", "drift: none"]);
    }

    fn a_file_changed_by_hand_is_drift(&self) {
        self.says("drift");
        let third = &self.hosts[2];
        self.lab
            .sh(third, "chmod 0600 /var/lib/kubelet/config.yaml");
        let (status, _) = self.status();
        assert_eq!(status["healthy"], true, "{status:#}");
        assert_eq!(status["drifted"], true);
        assert_eq!(host(&status, third)["drift"]["changes"], 1);
        assert_eq!(host(&status, &self.hosts[1])["drift"]["changes"], 0);
        self.operator.run(&["status", "--exit-code"]).exits(3);
        self.lab
            .sh(third, "chmod 0644 /var/lib/kubelet/config.yaml");
    }

    fn a_node_that_nobody_asked_for_is_shown(&self) {
        self.says("a Node that the inventory doesn't know");
        let path = self.operator.dir.join("inventory.yaml");
        let whole = std::fs::read_to_string(&path).unwrap();
        let mut less: Value = serde_json::from_str(&whole).unwrap();
        less["spec"]["hosts"].as_array_mut().unwrap().pop();
        self.operator.write_inventory(&less);
        let (status, _) = self.status();
        std::fs::write(&path, whole).unwrap();
        let unknown = &status["unknownNodes"];
        assert_eq!(unknown[0]["name"], *self.hosts[2], "{status:#}");
        assert_eq!(unknown[0]["ready"], true);
    }

    fn a_watch_sees_a_worker_die_and_come_back(&self) {
        self.says("a worker is killed while somebody watches");
        let third = &self.hosts[2];
        let mut watch = self
            .operator
            .start(&["status", "--watch=1", "--output", "json"]);
        let seen = |watch: &crate::operator::Running, from: usize, reachable: bool| {
            let began = Instant::now();
            loop {
                let stdout = watch.stdout();
                // The last line may not be whole yet.
                let whole = stdout.rsplit_once('\n').map_or("", |(whole, _)| whole);
                let lines: Vec<&str> = whole.lines().collect();
                let found = lines.iter().skip(from).any(|line| {
                    let status: Value = serde_json::from_str(line).unwrap();
                    host(&status, third)["reachable"] == reachable
                        && host(&status, &self.hosts[1])["reachable"] == true
                });
                if found {
                    return lines.len();
                }
                assert!(
                    began.elapsed() < Duration::from_secs(90),
                    "{reachable} never came: {stdout}{}",
                    watch.stderr()
                );
                std::thread::sleep(Duration::from_millis(50));
            }
        };
        let lines = seen(&watch, 0, true);
        self.lab.verb(&["kill", third]);
        let lines = seen(&watch, lines, false);

        self.says("a look of its own at the dead worker");
        let (status, took) = self.status();
        self.says(&format!("took {:.1} s", took.as_secs_f64()));
        assert!(took < Duration::from_secs(20), "{took:?}");
        let dead = host(&status, third);
        assert_eq!(status["healthy"], false);
        assert!(!dead["error"].as_str().unwrap().is_empty());
        assert_eq!(health(dead, "kubelet"), "unknown");
        assert_eq!(dead["drift"]["changes"], Value::Null);
        assert_eq!(host(&status, &self.hosts[1])["drift"]["changes"], 0);
        let text = self.operator.run(&["status", "--exit-code"]).exits(3);
        eprintln!("{}", text.stdout);
        text.says(&[&format!("{third}: unreachable: ")]);

        self.lab.verb(&["start", third]);
        seen(&watch, lines, true);
        let pid = watch.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-INT", &pid])
                .status()
                .unwrap()
                .success()
        );
        watch.wait().exits(0);
        self.wait_until("health", |status| status["healthy"] == true);
    }

    fn a_stopped_kubelet_is_seen(&self) {
        self.says("a kubelet is stopped");
        let second = &self.hosts[1];
        self.lab.sh(second, "systemctl stop kubelet");
        let (status, _) = self.status();
        let one = host(&status, second);
        assert_eq!(one["reachable"], true);
        assert_eq!(health(one, "kubelet"), "unhealthy", "{one:#}");
        assert_eq!(one["components"][0]["reason"], "inactive");
        assert_eq!(one["drift"]["changes"], 1, "{one:#}");
        // The API takes most of a minute to believe it.
        self.wait_until("NotReady", |status| host(status, second)["ready"] == false);
        self.lab.sh(second, "systemctl start kubelet");
        self.wait_until("health", |status| status["healthy"] == true);
    }

    fn a_dead_control_plane_does_not_hold_up_the_rest(&self) {
        self.says("the only control plane is killed");
        let first = &self.hosts[0];
        self.lab.verb(&["kill", first]);
        let (status, took) = self.status();
        self.says(&format!("took {:.1} s", took.as_secs_f64()));
        assert!(took < Duration::from_secs(20), "{took:?}");
        assert_eq!(status["api"]["reachable"], false);
        assert_eq!(host(&status, first)["reachable"], false);
        for name in &self.hosts[1..] {
            let one = host(&status, name);
            assert_eq!(one["reachable"], true, "{one:#}");
            assert_eq!(one["ready"], Value::Null);
            assert_eq!(health(one, "kubelet"), "healthy", "{one:#}");
        }
        assert_eq!(status["drifted"], Value::Null, "{status:#}");
    }
}

/// A host of a status.
fn host<'a>(status: &'a Value, name: &str) -> &'a Value {
    let hosts = status["hosts"].as_array().unwrap();
    hosts.iter().find(|host| host["name"] == name).unwrap()
}

/// How a component of a host fares.
fn health<'a>(host: &'a Value, component: &str) -> &'a str {
    let components = host["components"].as_array().unwrap();
    let one = components.iter().find(|one| one["name"] == component);
    one.unwrap()["health"].as_str().unwrap()
}
