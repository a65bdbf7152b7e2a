//! What a run that changes nothing must leave as it was.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::lab::{Lab, checked};
use crate::operator::Operator;

/// Lines, each of which says what something is like.
pub(crate) type Traces = BTreeSet<String>;

/// Nothing may have come, gone or changed.
#[track_caller]
pub(crate) fn assert_same(before: &Traces, after: &Traces) {
    let gone: Vec<_> = before.difference(after).collect();
    let new: Vec<_> = after.difference(before).collect();
    assert!(
        gone.is_empty() && new.is_empty(),
        "before: {gone:#?}\nafter: {new:#?}"
    );
}

/// Looks until twice the same is seen: controllers and kubelets may still be at
/// it.
pub(crate) fn settled(look: impl Fn() -> Traces) -> Traces {
    let mut before = look();
    for _ in 0..20 {
        std::thread::sleep(Duration::from_secs(2));
        let now = look();
        if now == before {
            break;
        }
        before = now;
    }
    before
}

/// Files of hosts with mode, owner, size and the time of the last change if that
/// is later than `since`. Of older ones an overlay file system may speak late: it
/// goes on telling a directory's times from before there was an own copy of it,
/// until its cache is emptied. What a kubelet writes while it runs is left out.
pub(crate) fn of_host(lab: &Lab, host: &str, since: SystemTime) -> Traces {
    let since = since.duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let listing = lab.sh(
        host,
        "cd /; find etc usr/bin usr/lib/systemd usr/local opt root var/lib/clusterctl \
         var/lib/kubelet/pki var/lib/kubelet/*.yaml var/lib/kubelet/*.env \
         $(ls -A tmp | sed s:^:tmp/:) $(ls -A run | grep -i clusterctl | sed s:^:run/:) \
         -xdev -printf '%p %m %U:%G %s %C@\\n' 2>/dev/null; true",
    );
    assert!(listing.lines().count() > 100, "{host}: {listing}");
    listing
        .lines()
        .map(|line| {
            let (file, changed) = line.rsplit_once(' ').unwrap();
            match changed.parse::<f64>().unwrap() > since {
                true => format!("{host} {line}"),
                false => format!("{host} {file}"),
            }
        })
        .collect()
}

/// Every path of a host that outlives a reboot, with kind, mode, owner, target
/// and hash. Left out: logs, containerd's own store, which keeps its databases
/// once it has run, and what lies below `but`.
pub(crate) fn of_disk(lab: &Lab, host: &str, but: &[&str]) -> Traces {
    let left_out: Vec<String> = [
        "/proc",
        "/sys",
        "/dev",
        "/run",
        "/tmp",
        "/var/tmp",
        "/var/log",
        "/var/lib/systemd/random-seed",
        "/var/lib/containerd",
    ]
    .iter()
    .chain(but)
    .map(|path| format!("-path '{path}'"))
    .collect();
    let find = format!(
        "find / /var/lib -xdev \\( {} \\) -prune -o",
        left_out.join(" -o ")
    );
    let script = format!(
        "{find} -printf '%p %y %m %U:%G %l\\n' | sort -u
        {find} -type f -print0 | xargs -0 sha256sum | sort -u"
    );
    let listing = lab.sh(host, &script);
    assert!(listing.lines().count() > 1000, "{host}: {listing}");
    listing
        .lines()
        .map(|line| format!("{host} {line}"))
        .collect()
}

/// Files of a directory on the workstation with mode, size and times.
pub(crate) fn of_directory(dir: &Path) -> Traces {
    let mut find = std::process::Command::new("find");
    find.arg(dir).args(["-printf", "%p %m %s %T@\n"]);
    checked("find", find.output())
        .lines()
        .map(str::to_owned)
        .collect()
}

/// Kinds of which clusters hold objects of ours.
const KINDS: [&str; 11] = [
    "/api/v1/configmaps",
    "/api/v1/secrets",
    "/api/v1/serviceaccounts",
    "/api/v1/services",
    "/apis/apps/v1/daemonsets",
    "/apis/apps/v1/deployments",
    "/apis/rbac.authorization.k8s.io/v1/roles",
    "/apis/rbac.authorization.k8s.io/v1/rolebindings",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "/apis/certificates.k8s.io/v1/certificatesigningrequests",
];

/// Every object of these kinds, with its version, and of the Nodes what doesn't
/// move by itself. Some of the objects must be ours.
pub(crate) fn of_api(operator: &Operator, cluster: &str) -> Traces {
    let mut lines = Traces::new();
    let mut ours = 0;
    for path in KINDS {
        let list = operator.get_json(cluster, path);
        for object in list["items"].as_array().unwrap() {
            let metadata = &object["metadata"];
            let managers = metadata["managedFields"].as_array();
            let by_us = |one: &Value| one["manager"] == "clusterctl-rs";
            ours += usize::from(managers.is_some_and(|list| list.iter().any(by_us)));
            // A workload's status moves by itself; its generation is the spec's.
            let version = match metadata["generation"].is_null() {
                true => &metadata["resourceVersion"],
                false => &metadata["generation"],
            };
            lines.insert(format!(
                "{path} {} {} {version}",
                metadata["namespace"], metadata["name"]
            ));
        }
    }
    // Nothing of ours at all would mean that this looks for the wrong thing.
    assert!(ours > 10, "only {ours} of {lines:?} are ours");
    for node in operator.get_json(cluster, "/api/v1/nodes")["items"]
        .as_array()
        .unwrap()
    {
        let metadata = &node["metadata"];
        lines.insert(format!(
            "node {} {} {} {}",
            metadata["name"], metadata["labels"], metadata["annotations"], node["spec"]
        ));
    }
    lines
}
