//! A host that was reset is the machine that it was before.

use std::collections::BTreeSet;

use std::time::{Duration, Instant};

use crate::components::Components;
use crate::lab::Lab;
use crate::operator::Operator;
use crate::{scenario, traces};

/// What the kernel and systemd hold: links, routes, sysctls, rules, units.
const STATE: &str = r#"
ls /sys/class/net
ip route; ip rule
sysctl -n net.ipv4.ip_forward net.ipv4.conf.eth0.proxy_arp
# The container engine's own rules change their ports with each start.
for tool in iptables ip6tables; do $tool-save | sed -nE 's/--(sport|to-source|to-destination) .*//; /^-A/p'; done
systemctl list-unit-files --state=enabled --no-legend --plain
systemctl list-units --failed --no-legend --plain
systemctl is-active containerd kubelet
mount | grep -c kube
pgrep -l 'kube|etcd|containerd-shim'
true
"#;

fn lines(lab: &Lab, host: &str, script: &str) -> BTreeSet<String> {
    lab.sh(host, script).lines().map(str::to_owned).collect()
}

/// Panics with what is new, gone or other on a host.
#[track_caller]
fn assert_same(lab: &Lab, host: &str, before: &[BTreeSet<String>; 2]) {
    let after = look(lab, host);
    for (before, after) in before.iter().zip(&after) {
        let gone: Vec<_> = before.difference(after).collect();
        let new: Vec<_> = after.difference(before).collect();
        assert!(
            gone.is_empty() && new.is_empty(),
            "{host}: gone or changed: {gone:#?}\nnew: {new:#?}"
        );
    }
}

fn look(lab: &Lab, host: &str) -> [BTreeSet<String>; 2] {
    [traces::of_disk(lab, host, &[]), lines(lab, host, STATE)]
}

/// Waits until `done` says so, for a minute and a half.
#[track_caller]
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(
            began.elapsed() < Duration::from_secs(90),
            "{what} did not happen in time"
        );
        std::thread::sleep(Duration::from_millis(300));
    }
}

#[test]
fn a_reset_leaves_the_machines_that_were_there_and_apply_works_at_once() {
    let components = Components::find();
    let lab = Lab::up('c', 3);
    let operator = Operator::new(&components);
    let mut inventory = lab.inventory(&components);
    operator.write_inventory(&inventory);
    let cluster = inventory["metadata"]["name"].as_str().unwrap().to_owned();
    let (first, second, third) = (lab.name(1), lab.name(2), lab.name(3));
    let assert_noop = || operator.run(&["apply", "--assert-noop"]).exits(0);

    scenario(
        "reset",
        "a machine with a life of its own: rules, and files where ours will be",
    );
    lab.sh(
        &second,
        "iptables -N MINE; iptables -A FORWARD -j MINE; iptables -A MINE -p tcp --dport 9999 -j ACCEPT
        iptables -t nat -A POSTROUTING -s 192.0.2.0/24 -j MASQUERADE
        mkdir -p /etc/containerd && containerd config default >/etc/containerd/config.toml
        chmod 0640 /etc/containerd/config.toml && systemctl restart containerd
        echo br_netfilter >/etc/modules-load.d/k8s.conf",
    );
    let before = [&first, &second, &third].map(|host| look(&lab, host));

    scenario(
        "reset",
        "nobody is asked where nobody can answer; bare hosts stay untouched",
    );
    operator.run(&["reset", "--all"]).exits(2).says(&["--yes"]);
    operator
        .run(&["reset", "--all", "--yes"])
        .exits(0)
        .says(&["untouched"]);

    operator.run(&["apply", "--yes"]).exits(0);
    assert_eq!(operator.ready_nodes(&cluster).len(), 3);
    // A volume that is mounted, and busy.
    lab.sh(
        &second,
        "mkdir -p /mnt/data '/var/lib/kubelet/pods/a b/volume' && echo precious >/mnt/data/file
        mount --bind /mnt/data '/var/lib/kubelet/pods/a b/volume'
        cd '/var/lib/kubelet/pods/a b/volume' && (sleep 600 >/dev/null 2>&1 &)",
    );

    scenario(
        "reset",
        "one worker goes, and the cluster lives on without it",
    );
    operator
        .run(&["reset", &second, "--yes"])
        .exits(0)
        .says(&["clean"]);
    assert_eq!(
        lab.sh(&second, "cat /mnt/data/file && rm -r /mnt/data"),
        "precious\n"
    );
    assert_same(&lab, &second, &before[1]);
    eventually("the end of its Node", || {
        operator.ready_nodes(&cluster) == [first.clone(), third.clone()]
    });

    scenario("reset", "it is back at once");
    operator.run(&["apply", "--yes"]).exits(0);
    eventually("three nodes", || operator.ready_nodes(&cluster).len() == 3);
    assert_noop();

    scenario(
        "reset",
        "the API is dead, and containerd, too; another host is gone",
    );
    lab.sh(
        &first,
        "rm /etc/kubernetes/manifests/kube-apiserver.yaml && systemctl stop containerd",
    );
    lab.verb(&["kill", &third]);
    operator
        .run(&["reset", "--all", "--yes"])
        .exits(4)
        .says(&[&third]);
    assert_same(&lab, &first, &before[0]);
    assert_same(&lab, &second, &before[1]);
    assert!(operator.state(&cluster, "kubeconfig").exists());

    scenario("reset", "the rest of it, killed, and once more");
    lab.verb(&["start", &third]);
    std::thread::sleep(Duration::from_millis(500));
    let mut run = operator.start(&["reset", "--all", "--yes"]);
    run.wait_for("remove Kubernetes from the hosts");
    std::thread::sleep(Duration::from_millis(200));
    run.kill();
    operator.run(&["reset", "--all", "--yes"]).exits(0);
    assert_same(&lab, &third, &before[2]);
    assert!(!operator.state(&cluster, "kubeconfig").exists());
    assert!(operator.state(&cluster, "pki/ca.key").exists());

    scenario(
        "reset",
        "a host that belongs to another cluster is refused, and stays as it is",
    );
    operator.run(&["apply", "--yes"]).exits(0);
    inventory["metadata"]["name"] = "other".into();
    operator.write_inventory(&inventory);
    operator
        .run(&["reset", "--all", "--yes"])
        .exits(1)
        .says(&[&format!("belongs to cluster `{cluster}`")]);
    inventory["metadata"]["name"] = cluster.clone().into();
    operator.write_inventory(&inventory);
    assert_eq!(operator.ready_nodes(&cluster).len(), 3);
    assert_noop();
}
