//! Components that end again and again are seen by their logs.

#![allow(clippy::unwrap_used)]

use clusterctl::host::{crashes, parse_crashes};

use crate::root::roots_and_busybox;

#[test]
fn attempts_and_last_words_are_told() {
    for root in roots_and_busybox() {
        let logs = "var/log/pods/kube-system_kube-apiserver-cp1_abc/kube-apiserver";
        root.write(
            &format!("{logs}/2.log"),
            "2026-11-27T20:00:00.0Z stderr F Error: unknown flag: --no-such-flag\n",
        );
        let usage = "2026-11-27T20:00:00.0Z stderr F Usage:\n".repeat(50);
        root.write(
            &format!("{logs}/10.log"),
            &format!(
                "2026-11-27T20:00:00.0Z stderr F Error: unknown flag: --no-such-flag\n{usage}"
            ),
        );
        root.write(
            "var/log/pods/kube-system_etcd-cp1_1/etcd/0.log",
            "x stderr F y\n",
        );
        root.write("proc/77/cmdline", "etcd\0--a\0");
        root.write("proc/77/cgroup", "0::/kubepods/x\n");
        let output = root.run(&crashes(Some(0)));
        let shell = root.shell();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{shell}");
        let seen = parse_crashes(&output.stdout).unwrap();
        let api = &seen.pods["kube-apiserver"];
        assert_eq!((api.attempt, api.ended), (10, true), "{shell}");
        assert!(
            api.said[0] == "Error: unknown flag: --no-such-flag",
            "{shell}: {:?}",
            api.said
        );
        assert_eq!(seen.places[&format!("./{logs}")].attempt, 10);
        assert!(!seen.pods["etcd"].ended, "{shell}");
        assert!(!seen.pods.contains_key("kube-scheduler"));
        assert!(seen.now > 1_700_000_000);
    }
}
