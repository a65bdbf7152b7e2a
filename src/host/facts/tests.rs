use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::parse::{MAX_CA, certificate_authority, listeners};
use super::*;
use crate::host::owner::Owner;
use crate::host::testing::cluster;

const COMMANDS: [(&str, &str); 9] = [
    (
        "uname",
        "case $1 in -n) echo Node-1;; -r) echo 6.1.0;; -m) echo aarch64;; esac",
    ),
    ("nproc", "echo 4"),
    ("kubelet", "echo Kubernetes v1.36.2"),
    (
        "containerd",
        "echo containerd github.com/containerd/containerd v2.1.9+x abcdef",
    ),
    (
        "systemctl",
        r"printf 'Id=kubelet.service\nLoadState=loaded\nActiveState=activating\nUnitFileState=enabled\n\nId=systemd-resolved.service\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\n'",
    ),
    (
        "ss",
        r#"printf 'State Recv-Q Send-Q Local Peer Process\nLISTEN 0 4096 *:10250 *:* users:(("kubelet",pid=1,fd=2))\nLISTEN 0 1 [::1]:53 [::]:*\n'"#,
    ),
    (
        "ip",
        r"case $* in
'-o addr show') printf '1: lo    inet 127.0.0.1/8 scope host lo\\       valid\n2: eth0    inet 192.0.2.7/24 brd 192.0.2.255 scope global dynamic eth0\\ x\n2: eth0    inet6 2001:db8::7/64 scope global \\ x\n2: eth0    inet6 2001:db8::8/64 scope global temporary \\ x\n3: wg0@if3    inet 10.9.0.1 peer 10.9.0.2/32 scope global wg0\n' ;;
'-4 route show default') printf 'default via 10.9.0.2 dev wg0 metric 900\ndefault via 192.0.2.1 dev eth0 proto dhcp src 192.0.2.7 metric 100\n' ;;
'-6 route show default') printf 'default via fe80::1 dev eth0 metric 1\n' ;;
esac",
    ),
    (
        "getent",
        "case $2 in k8s.example.com) printf '192.0.2.10 STREAM x\\n192.0.2.10 DGRAM\\n';; *) exit 2;; esac",
    ),
    ("env", r"printf 'HTTPS_PROXY=http://p:1\nSECRET=x\n'"),
];

const FILES: [(&str, &str); 20] = [
    (
        "etc/os-release",
        "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian \u{1b}[31m12\"\n",
    ),
    ("etc/machine-id", "0123\n"),
    ("etc/resolv.conf", "nameserver 127.0.0.53\n"),
    (
        "run/systemd/resolve/resolv.conf",
        "# made\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\n",
    ),
    ("run/systemd/system/x", ""),
    ("etc/environment", "no_proxy=\"localhost\"\nLANG=C\n"),
    ("proc/swaps", "Filename\tType\n/dev/sda2 partition 1 0 -2\n"),
    ("proc/meminfo", "MemTotal:        4096 kB\nMemFree: 1 kB\n"),
    ("proc/sys/net/ipv4/ip_forward", "0\n"),
    ("sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n"),
    ("sys/fs/cgroup/init.scope/cgroup.freeze", "0\n"),
    ("sys/class/net/eth0/mtu", "1450\n"),
    ("sys/class/dmi/id/product_uuid", "ABC-1\n"),
    (
        "boot/config-6.1.0",
        "CONFIG_INET=y\nCONFIG_EXT4_FS=m\n# CONFIG_MEMCG is not set\nCONFIG_OTHER=y\n",
    ),
    (
        "etc/kubernetes/kubelet.conf",
        "clusters:\n- cluster:\n    certificate-authority-data: UEVN\n    server: https://127.0.0.1:6443\n",
    ),
    (
        "var/lib/clusterctl/receipt.json",
        "{\n  \"version\": 1,\n  \"cluster\": \"demo\",\n  \"clusterId\": \"5f0c\",\n  \"ca\": \"sha256:00\",\n}\n",
    ),
    ("var/lib/etcd/member/wal/x", ""),
    ("etc/kubernetes/pki/ca.crt", "-----BEGIN\nAAAA\n"),
    ("etc/kubernetes/pki/etcd/ca.key", "secret\n"),
    (
        "etc/kubernetes/manifests/etcd.yaml",
        "  - command:\n    - etcd\n    - --initial-cluster=cp1=https://192.0.2.7:2380,cp2=https://192.0.2.8:2380\n    - --initial-cluster-state=existing\n    - --data-dir=/var/lib/etcd\n",
    ),
];

/// What the script says by `shell` where `/` is `root`.
fn run(shell: &[&str], root: &Path) -> Vec<u8> {
    let cluster = cluster();
    let script = gather(&cluster, &cluster.hosts[0]).expect("a script");
    let path = format!(
        "{}/bin:{}",
        root.display(),
        std::env::var("PATH").expect("a PATH")
    );
    let output = Command::new(shell[0])
        .args(&shell[1..])
        .args(["-c", &script.text])
        .env("CLUSTERCTL_ROOT", root)
        .env("PATH", path)
        .output()
        .expect("a shell");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    output.stdout
}

#[test]
fn a_host_is_read_by_every_shell() {
    let root = tempfile::tempdir().expect("a directory");
    for (path, text) in FILES {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    }
    fs::create_dir(root.path().join("bin")).expect("made");
    for (name, body) in COMMANDS {
        let path = root.path().join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("written");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("set");
    }
    for shell in [&["dash"][..], &["bash", "--posix"]] {
        let gathered = parse_gathered(&run(shell, root.path())).expect("an answer");
        let mut facts = gathered.facts.clone();
        // Whatever this machine has, its own tools being in PATH.
        facts.package_manager.clear();
        facts.kubeadm_version = None;
        insta::allow_duplicates! {
            insta::assert_json_snapshot!(facts, @r#"
            {
              "hostname": "node-1",
              "arch": "arm64",
              "osId": "debian",
              "osVersion": "12",
              "osName": "Debian \\u{1b}[31m12",
              "kernel": "6.1.0",
              "cgroupVersion": 2,
              "defaultIp": "192.0.2.7",
              "defaultInterface": "eth0",
              "addresses": [
                {
                  "interface": "eth0",
                  "address": "192.0.2.7",
                  "prefix": 24
                },
                {
                  "interface": "eth0",
                  "address": "2001:db8::7",
                  "prefix": 64
                },
                {
                  "interface": "wg0",
                  "address": "10.9.0.1",
                  "prefix": 32
                }
              ],
              "systemdResolved": true,
              "caDirectories": [],
              "proxyEnv": [
                [
                  "HTTPS_PROXY",
                  "http://p:1"
                ],
                [
                  "no_proxy",
                  "localhost"
                ]
              ],
              "kubeletVersion": "v1.36.2",
              "containerdVersion": "2.1.9",
              "packageManager": "",
              "cniBinDir": null,
              "cpus": 4,
              "memory": 4194304,
              "machineId": "0123",
              "productUuid": "abc-1",
              "swap": [
                "/dev/sda2"
              ],
              "nameservers": [
                "192.0.2.53",
                "fe80::1"
              ],
              "mtu": 1450,
              "mtus": {
                "eth0": 1450
              },
              "runtimeProxies": [
                [
                  "HTTPS_PROXY",
                  "http://p:1"
                ],
                [
                  "no_proxy",
                  "localhost"
                ]
              ],
              "joined": true,
              "etcdInitialCluster": "cp1=https://192.0.2.7:2380,cp2=https://192.0.2.8:2380",
              "etcdInitialClusterState": "existing",
              "superAdmin": false,
              "kubeletServer": "https://127.0.0.1:6443",
              "kubeletCertificateEnd": null,
              "kubeadmVersion": null
            }
            "#);
        }
        assert!(gathered.commands.contains("kubelet") && gathered.commands.contains("stat"));
        let present = "/etc/kubernetes/manifests/etcd.yaml";
        assert!(gathered.present.contains(present));
        assert_eq!(gathered.filled, ["/var/lib/etcd".to_owned()].into());
        assert_eq!(gathered.disks.len(), 3);
        assert!(gathered.disks.values().all(|free| *free > 0));
        assert_eq!(gathered.units["kubelet.service"].file, "enabled");
        assert_eq!(gathered.units["kubelet.service"].active, "activating");
        let listener = |port, process: Option<&str>| Listener {
            port,
            processes: process.into_iter().map(str::to_owned).collect(),
        };
        assert_eq!(
            gathered.listeners,
            [listener(53, None), listener(10250, Some("kubelet"))]
        );
        let options = ["EXT4_FS", "INET"].map(String::from);
        assert_eq!(gathered.kernel_options, Some(options.into()));
        assert_eq!(gathered.cgroup_controllers.len(), 3);
        assert!(gathered.cgroup_freezer);
        assert_eq!(gathered.sysctls["net.ipv4.ip_forward"], "0");
        assert_eq!(gathered.resolv_conf, [IpAddr::from([127, 0, 0, 53])]);
        assert_eq!(gathered.hostname_addresses, Some(vec![]));
        assert_eq!(
            gathered.endpoint_addresses,
            Some(vec![IpAddr::from([192, 0, 2, 10])])
        );
        assert_eq!(gathered.runtime, Runtime::Absent);
        assert_eq!(gathered.kubelet_ca.as_deref(), Some("UEVN"));
        assert_eq!(
            gathered.receipt_owner,
            Some(Owner {
                cluster: "demo".into(),
                cluster_id: "5f0c".into(),
                ca: "sha256:00".into(),
            })
        );
        assert_eq!(gathered.authorities["ca.crt"], "-----BEGIN\nAAAA\n");
        assert_eq!(gathered.authorities["etcd/ca.key"], "\n");
        assert!(gathered.etcd_has_data);
        assert!(
            gathered.clock.0 > 1_700_000_000_000_000_000 && gathered.clock.1 >= gathered.clock.0
        );
    }
}

#[test]
fn what_runs_is_read_from_kubeadms_own_files_by_every_shell() {
    let root = tempfile::tempdir().expect("a directory");
    let write = |path: &str, text: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    };
    for pod in ["kube-apiserver", "kube-controller-manager", "etcd"] {
        let fixture = format!("tests/fixtures/kubeadm-v1.36.2/manifests/{pod}.yaml");
        let text = fs::read_to_string(fixture).expect("a manifest");
        write(&format!("etc/kubernetes/manifests/{pod}.yaml"), &text);
    }
    write(
        "etc/kubernetes/manifests/kube-apiserver.yaml.bak",
        "    - --secure-port=1\n",
    );
    write(
        "var/lib/kubelet/pki/kubelet-client-current.pem",
        "-----BEGIN CERTIFICATE-----\nQ0VSVA==\n-----END CERTIFICATE-----\n\
         -----BEGIN EC PRIVATE KEY-----\nS0VZ\n-----END EC PRIVATE KEY-----\n",
    );
    write(
        "etc/kubernetes/admin.conf",
        "    server: https://192.0.2.11:6443\n    client-key-data: S0VZ\n",
    );
    write(
        "var/lib/kubelet/config.yaml",
        "cgroupDriver: systemd\nclusterDNS:\n- 10.96.0.10\nclusterDomain: cluster.local\n",
    );
    write(
        "var/lib/kubelet/kubeadm-flags.env",
        "KUBELET_KUBEADM_ARGS=\"--hostname-override=cp1 --node-ip=192.0.2.11\"\n",
    );
    write(
        "etc/containerd/config.toml",
        "root = '/srv/c'\n[plugins.cri.containerd.runtimes.runc.options]\nSystemdCgroup = true\n",
    );
    write("etc/cni/net.d/10-clusterctl.conflist", "{}\n");
    for shell in [&["dash"][..], &["bash", "--posix"]] {
        let answer = run(shell, root.path());
        assert!(
            !String::from_utf8_lossy(&answer).contains("S0VZ"),
            "no key leaves the host"
        );
        let running = parse_gathered(&answer).expect("an answer").running;
        let flag = |pod, name| running.flag(pod, name).unwrap_or("-").to_owned();
        assert_eq!(
            flag("kube-apiserver", IMAGE),
            "registry.k8s.io/kube-apiserver:v1.36.2"
        );
        assert_eq!(flag("kube-apiserver", "secure-port"), "6443");
        assert_eq!(flag("kube-apiserver", "etcd-prefix"), "-");
        assert_eq!(
            flag("kube-controller-manager", "cluster-cidr"),
            "10.244.0.0/16"
        );
        assert_eq!(flag("etcd", "name"), "cp1");
        assert_eq!(flag("etcd", "data-dir"), "/var/lib/etcd");
        let setting = |path, name| running.value(path, name).unwrap_or("-").to_owned();
        let config = "/var/lib/kubelet/config.yaml";
        assert_eq!(setting(config, "clusterDomain"), "cluster.local");
        assert_eq!(setting(config, "cgroupDriver"), "systemd");
        let flags = "/var/lib/kubelet/kubeadm-flags.env";
        assert_eq!(setting(flags, "hostname-override"), "cp1");
        let containerd = "/etc/containerd/config.toml";
        assert_eq!(setting(containerd, "SystemdCgroup"), "true");
        assert_eq!(setting(containerd, "root"), "/srv/c");
        let admin = "/etc/kubernetes/admin.conf";
        assert_eq!(setting(admin, "server"), "https://192.0.2.11:6443");
        assert_eq!(running.networks, ["10-clusterctl.conflist"]);
        assert_eq!(
            running.kubelet_certificate.trim(),
            "-----BEGIN CERTIFICATE-----\nQ0VSVA==\n-----END CERTIFICATE-----"
        );
    }
}

#[test]
fn the_clock_is_compared_as_in_ntp() {
    let at = |seconds: u64| UNIX_EPOCH + Duration::from_secs(seconds);
    let mut gathered = Gathered {
        clock: (112_000_000_000, 113_000_000_000),
        ..Gathered::default()
    };
    // Two seconds there, one to think, two back; and ten ahead.
    gathered.timed(at(100), at(105));
    assert_eq!(gathered.clock_offset, Some(10_000_000_000));
}

#[test]
fn listeners_without_ss() {
    let lines = [
        "  0: 00000000:192B 00000000:0000 0A 0 0",
        "nonsense",
        "1: x:y z 0A",
    ];
    let lines = lines.map(str::to_owned);
    assert_eq!(
        listeners(&lines),
        [Listener {
            port: 6443,
            processes: Vec::new()
        }]
    );
}

proptest! {
    #[test]
    fn no_answer_makes_the_parser_panic(lines in proptest::collection::vec(
        prop_oneof![
            "(@@section (started|machine|files|commands|present|filled|disks|kernel|units|ports|addresses|routes|joined|slow|ended))",
            "(default|LISTEN|Id=|CONFIG_|kubelet |cri |ca |1: eth0 inet6? |\\./proc/swaps:|\\./etc/os-release:)[ -~]{0,40}",
            "\\PC{0,60}",
        ], 0..60)) {
        let whole = format!("@@clusterctl gather 1\n{}\n@@end\n", lines.join("\n"));
        prop_assert!(parse_gathered(whole.as_bytes()).is_ok());
    }
}

#[test]
fn the_ca_of_an_rsa_cluster_is_kept_whole() {
    let long = "QUJD".repeat(1000);
    let line = format!("ca {long}");
    assert_eq!(certificate_authority(&[b"x", line.as_bytes()]), Some(long));
    assert_eq!(certificate_authority(&[b"ca \x1b[31m"]), None);
    let flood = format!("ca {}", "A".repeat(MAX_CA + 1));
    assert_eq!(certificate_authority(&[flood.as_bytes()]), None);
}

#[test]
fn containerds_configuration_is_read_with_all_that_it_imports() {
    let root = tempfile::tempdir().expect("a directory");
    let write = |path: &str, text: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    };
    let main = "version = 2\n  imports = [\n  \"/srv/one.toml\",\n  'more/*.toml'] # these\n[plugins]\n\"x\" = 1\n";
    write("etc/containerd/config.toml", main);
    write(
        "srv/one.toml",
        "imports = [\"/srv/two.toml\"]\n[a.\"/srv/no.toml\"]\n",
    );
    write(
        "srv/two.toml",
        "imports = [\"/etc/containerd/config.toml\"]\n",
    );
    write("srv/no.toml", "");
    write("etc/containerd/more/b.toml", "b = 1\n");
    write("etc/containerd/more/a.toml", "a = 1\n");
    write("etc/containerd/more/a.toml.bak", "");
    write(
        "etc/containerd/conf.d/99-nvidia.toml",
        &"#".repeat(256 << 10),
    );
    write(
        "etc/containerd/conf.d/large.toml",
        &"#".repeat((256 << 10) + 1),
    );
    write(
        "run/containerd/io.containerd.runtime.v2.task/default/web/pid",
        "1",
    );
    write(
        "run/containerd/io.containerd.runtime.v2.task/k8s.io/pod/pid",
        "1",
    );
    write(
        "var/lib/clusterctl/originals/etc/containerd/config.toml",
        "root = \"/o\"\n",
    );
    let mut receipt = crate::host::Receipt::new(&Owner::named("demo"));
    for (path, ours) in [
        ("/etc/containerd/config.toml", "{\"a\":\"é\"}"),
        ("/etc/motd", "x"),
    ] {
        let entry = crate::host::ReceiptFile {
            sha256: "12".into(),
            original: true,
            ours: Some(ours.into()),
        };
        receipt.files.insert(path.into(), entry);
    }
    write("var/lib/clusterctl/receipt.json", &receipt.to_json());
    for shell in [&["dash"][..], &["bash", "--posix"]] {
        let facts = parse_gathered(&run(shell, root.path()))
            .expect("an answer")
            .facts;
        let files = facts.containerd;
        assert_eq!(files.config.as_deref(), Some(main));
        assert_eq!(files.original.as_deref(), Some("root = \"/o\"\n"));
        assert_eq!(files.ours(), Some("{\"a\":\"é\"}"));
        assert_eq!(files.running, ["default/web"]);
        let imported = files.imported.iter();
        let names: Vec<(&str, bool)> = imported
            .map(|(path, text)| (path.as_str(), text.is_some()))
            .collect();
        assert_eq!(
            names,
            [
                ("/srv/one.toml", true),
                ("/etc/containerd/more/a.toml", true),
                ("/etc/containerd/more/b.toml", true),
                ("/etc/containerd/conf.d/99-nvidia.toml", true),
                ("/etc/containerd/conf.d/large.toml", false),
                ("/srv/two.toml", true),
            ]
        );
        assert!(!files.is_ours());
    }
    // Whoever may write to a directory could have root read something else.
    let shared = root.path().join("etc/containerd");
    fs::set_permissions(shared, fs::Permissions::from_mode(0o777)).expect("set");
    let facts = parse_gathered(&run(&["dash"], root.path()))
        .expect("an answer")
        .facts;
    assert_eq!(facts.containerd.config, None);
    assert!(facts.containerd.unreadable.is_some());
}
