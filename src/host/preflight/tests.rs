mod networks;

use std::collections::BTreeMap;

use super::*;
use crate::host::Owner;
use crate::host::facts::{Address, Gathered, Listener, ManifestFile, Runtime};
use crate::host::systemd::UnitState;
use crate::host::testing::cluster;
use crate::inventory::{Cluster, Endpoint, LoadBalancer};

/// A host without a fault.
fn good(name: &str) -> Gathered {
    let set = |words: &str| words.split(' ').map(str::to_owned).collect();
    let mut gathered = Gathered {
        commands: set(
            "losetup mount cp sha256sum stat base64 xargs systemctl ip modprobe swapoff containerd",
        ),
        present: set("/run/systemd/system"),
        kernel_options: Some(
            crate::host::facts::KERNEL_OPTIONS
                .iter()
                .map(|option| (*option).to_owned())
                .chain(["CGROUP_BPF".into()])
                .collect(),
        ),
        cgroup_controllers: set("cpu cpuset memory pids io hugetlb"),
        cgroup_freezer: true,
        runtime: Runtime::Ready,
        endpoint_addresses: Some(vec![[192, 0, 2, 10].into()]),
        clock_offset: Some(0),
        ..Gathered::default()
    };
    for disk in crate::host::facts::DISKS {
        gathered.disks.insert(disk.into(), 100 << 30);
    }
    for key in ["net.ipv4.ip_forward", "net.bridge.bridge-nf-call-iptables"] {
        gathered.sysctls.insert(key.into(), "1".into());
    }
    let facts = &mut gathered.facts;
    facts.hostname = name.into();
    facts.arch = "amd64".into();
    facts.kernel = "6.1.0-40-amd64".into();
    facts.cgroup_version = 2;
    facts.cpus = 2;
    facts.memory = 4 << 30;
    facts.machine_id = format!("id of {name}");
    facts.mtu = 1500;
    facts.nameservers = vec![[192, 0, 2, 53].into()];
    facts.package_manager = "apt".into();
    facts.containerd_version = Some("2.1.9".into());
    gathered
}

/// The two hosts, before they are part of any cluster.
fn new_hosts<'a>(cluster: &'a Cluster, gathered: [&'a Gathered; 2]) -> Vec<Subject<'a>> {
    let hosts = cluster.hosts.iter().zip(gathered);
    let subject = |(host, gathered)| Subject {
        host,
        gathered,
        owned: false,
    };
    hosts.map(subject).collect()
}

/// What isn't as it should be, when `change` was done to the two hosts.
fn found(change: impl FnOnce(&mut Cluster, &mut Gathered, &mut Gathered)) -> Vec<String> {
    let mut cluster = cluster();
    let (mut cp, mut worker) = (good("cp1"), good("w1"));
    change(&mut cluster, &mut cp, &mut worker);
    let subjects: Vec<Subject<'_>> = cluster
        .hosts
        .iter()
        .zip([&cp, &worker])
        .map(|(host, gathered)| Subject {
            host,
            gathered,
            owned: belongs_to_cluster(&Owner::named("demo"), gathered, None),
        })
        .collect();
    check_hosts(&cluster, &subjects)
        .into_iter()
        .filter(|finding| finding.severity > Severity::Passed)
        .map(|f| format!("{} {:?} {}: {}", f.host, f.severity, f.check, f.message))
        .collect()
}

/// What a control plane is told about an external etcd of two.
fn external_etcd(first: Result<&str, &str>, second: Result<&str, &str>) -> Vec<String> {
    let (cluster, gathered) = (cluster(), good("cp1"));
    let subject = Subject {
        host: &cluster.hosts[0],
        gathered: &gathered,
        owned: false,
    };
    let answers = [
        ("https://etcd1:2379", first),
        ("https://etcd2:2379", second),
    ]
    .map(|(url, answer)| {
        let answer = answer.map(str::to_owned).map_err(str::to_owned);
        (url.to_owned(), answer)
    });
    check_external_etcd(&subject, &answers)
        .into_iter()
        .map(|f| format!("{:?} {}: {}", f.severity, f.check, f.message))
        .collect()
}

#[test]
fn an_external_etcd_has_to_answer_and_be_new_enough() {
    let (well, refused) = (Ok("3.6.8"), Err("connection refused"));
    assert_eq!(external_etcd(well, well), ["Passed ExternalEtcdVersion: "]);
    assert_eq!(
        external_etcd(well, refused),
        ["Warning ExternalEtcdVersion: https://etcd2:2379: connection refused"]
    );
    assert_eq!(
        external_etcd(refused, refused),
        [
            "Error ExternalEtcdVersion: https://etcd1:2379: connection refused",
            "Error ExternalEtcdVersion: https://etcd2:2379: connection refused"
        ]
    );
    assert_eq!(
        external_etcd(Ok("3.4.36"), well),
        ["Error ExternalEtcdVersion: https://etcd1:2379 is etcd 3.4.36"]
    );
}

#[test]
fn good_hosts_pass() {
    assert_eq!(found(|_, _, _| {}), [""; 0]);
}

#[test]
fn a_bare_host_is_no_fault_where_apply_can_help() {
    insta::assert_snapshot!(
        found(|_, cp, _| {
            cp.runtime = Runtime::Absent;
            cp.commands.remove("containerd");
            cp.commands.remove("ip");
            cp.facts.containerd_version = None;
            cp.facts.swap = vec!["/dev/sda2".into()];
            cp.sysctls.clear();
            cp.sysctls.insert("net.ipv4.ip_forward".into(), "0".into());
        })
        .join("\n"),
        @r#"
        cp1 Info FileExisting-ip: iproute2 will be installed
        cp1 Info FileContent--proc-sys-net-ipv4-ip_forward: net.ipv4.ip_forward will be set to 1
        cp1 Info BridgeNetfilter: br_netfilter will be loaded
        cp1 Info Swap: swap on /dev/sda2 will be switched off
        cp1 Info CRI: containerd will be installed by apt
        "#
    );
}

#[test]
fn what_apply_cannot_bring_is_an_error() {
    insta::assert_snapshot!(
        found(|_, cp, worker| {
            for gathered in [cp, worker] {
                gathered.uid = 1000;
                gathered.present.clear();
                gathered.facts.arch = "riscv64".into();
                gathered.facts.cpus = 1;
                gathered.facts.memory = 1 << 30;
                gathered.facts.package_manager = String::new();
                gathered.facts.containerd_version = None;
                gathered.facts.swap = vec!["/dev/zram0".into()];
                gathered.commands.clear();
                gathered.runtime = Runtime::Absent;
                gathered.sysctls.clear();
                gathered.disks = [("etcd".to_owned(), 0), ("kubelet".to_owned(), 3 << 30)].into();
                gathered.endpoint_addresses = Some(vec![]);
                gathered.hostname_addresses = Some(vec![]);
            }
        })
        .join("\n"),
        @r#"
        cp1 Error IsPrivilegedUser: commands run as user id 1000, not as root
        cp1 Error Systemd: systemd doesn't run
        cp1 Error Architecture: there is no Kubernetes for `riscv64`
        cp1 Error NumCPU: 1 processor, a control plane needs 2
        cp1 Error Mem: 1024 MiB of memory, a control plane needs 1700
        cp1 Error FileExisting-losetup: there is no `losetup` in PATH
        cp1 Error FileExisting-mount: there is no `mount` in PATH
        cp1 Error FileExisting-cp: there is no `cp` in PATH
        cp1 Error FileExisting-sha256sum: there is no `sha256sum` in PATH
        cp1 Error FileExisting-stat: there is no `stat` in PATH
        cp1 Error FileExisting-base64: there is no `base64` in PATH
        cp1 Error FileExisting-xargs: there is no `xargs` in PATH
        cp1 Error FileExisting-systemctl: there is no `systemctl` in PATH
        cp1 Error FileExisting-ip: there is no `ip`, and no supported package manager
        cp1 Error FileContent--proc-sys-net-ipv4-ip_forward: the kernel has no net.ipv4.ip_forward
        cp1 Error BridgeNetfilter: traffic over a bridge doesn't pass iptables, and there is no modprobe
        cp1 Error Swap: swap is on (/dev/zram0), and there is no swapoff
        cp1 Error DiskSpace: 0.0 GiB free for etcd, 1 GiB are needed
        cp1 Error CRI: there is no containerd, and no supported package manager (apt, dnf, yum, zypper)
        cp1 Warning Hostname: the host can't resolve its own name `cp1`
        cp1 Error EndpointResolution: `k8s.example.com` (controlPlaneEndpoint) doesn't resolve
        w1 Error IsPrivilegedUser: commands run as user id 1000, not as root
        w1 Error Systemd: systemd doesn't run
        w1 Error Architecture: there is no Kubernetes for `riscv64`
        w1 Error FileExisting-losetup: there is no `losetup` in PATH
        w1 Error FileExisting-mount: there is no `mount` in PATH
        w1 Error FileExisting-cp: there is no `cp` in PATH
        w1 Error FileExisting-sha256sum: there is no `sha256sum` in PATH
        w1 Error FileExisting-stat: there is no `stat` in PATH
        w1 Error FileExisting-base64: there is no `base64` in PATH
        w1 Error FileExisting-xargs: there is no `xargs` in PATH
        w1 Error FileExisting-systemctl: there is no `systemctl` in PATH
        w1 Error FileExisting-ip: there is no `ip`, and no supported package manager
        w1 Error FileContent--proc-sys-net-ipv4-ip_forward: the kernel has no net.ipv4.ip_forward
        w1 Error BridgeNetfilter: traffic over a bridge doesn't pass iptables, and there is no modprobe
        w1 Error Swap: swap is on (/dev/zram0), and there is no swapoff
        w1 Warning DiskSpace: 3.0 GiB free for kubelet
        w1 Error CRI: there is no containerd, and no supported package manager (apt, dnf, yum, zypper)
        w1 Warning Hostname: the host can't resolve its own name `w1`
        w1 Error EndpointResolution: `k8s.example.com` (controlPlaneEndpoint) doesn't resolve
        "#
    );
}

#[test]
fn remains_of_a_cluster_stop_a_stranger_but_not_our_own_node() {
    let remains = |cp: &mut Gathered| {
        cp.present.extend([
            "/etc/kubernetes/kubelet.conf".into(),
            "/etc/kubernetes/manifests/etcd.yaml".into(),
        ]);
        cp.filled.insert("/var/lib/etcd".into());
        cp.listeners = vec![
            Listener {
                port: 6443,
                processes: vec!["tokio-rt-worker".into(), "kube-apiserver".into()],
            },
            Listener {
                port: 10250,
                processes: Vec::new(),
            },
        ];
    };
    insta::assert_snapshot!(found(|_, cp, _| remains(cp)).join("\n"), @r#"
    cp1 Error Port-6443: tokio-rt-worker, kube-apiserver listens on port 6443
    cp1 Error Port-10250: another process listens on port 10250
    cp1 Error FileAvailable--etc-kubernetes-kubelet.conf: /etc/kubernetes/kubelet.conf is there already
    cp1 Error FileAvailable--etc-kubernetes-manifests-etcd.yaml: /etc/kubernetes/manifests/etcd.yaml is there already
    cp1 Error DirAvailable--var-lib-etcd: /var/lib/etcd is not empty
    "#);
    let own = found(|_, cp, _| {
        remains(cp);
        cp.receipt_owner = Some(Owner::named("demo"));
    });
    assert_eq!(own, [""; 0]);
    let stranger = found(|_, cp, _| {
        cp.receipt_owner = Some(Owner::named("demo"));
        cp.listeners = vec![Listener {
            port: 2379,
            processes: vec!["nginx".into()],
        }];
    });
    assert_eq!(
        stranger,
        ["cp1 Error Port-2379: nginx listens on port 2379"]
    );
    let other = found(|_, _, worker| worker.receipt_owner = Some(Owner::named("other")));
    assert_eq!(
        other,
        ["w1 Error OtherCluster: the host belongs to cluster `other`"]
    );
}

#[test]
fn a_kubelet_that_trusts_our_ca_is_ours() {
    let mut gathered = good("cp1");
    gathered.kubelet_ca = Some("UEVN".into());
    assert!(belongs_to_cluster(
        &Owner::named("demo"),
        &gathered,
        Some(b"PEM")
    ));
    assert!(!belongs_to_cluster(
        &Owner::named("demo"),
        &gathered,
        Some(b"another")
    ));
    assert!(!belongs_to_cluster(&Owner::named("demo"), &gathered, None));
    gathered.receipt_owner = Some(Owner::named("other"));
    assert!(!belongs_to_cluster(
        &Owner::named("demo"),
        &gathered,
        Some(b"PEM")
    ));
}

#[test]
fn cgroup_v1_is_an_error_from_1_35_on_unless_it_is_ignored() {
    let v1 = |minor: u32, ignore: &[&str]| {
        found(|cluster, cp, _| {
            cluster.version.minor = minor;
            cluster.hosts[0].preflight_ignore =
                ignore.iter().map(|name| (*name).to_owned()).collect();
            cp.facts.cgroup_version = 1;
            let options = cp.kernel_options.get_or_insert_default();
            options.extend(["CGROUP_CPUACCT", "CGROUP_DEVICE", "CGROUP_FREEZER"].map(String::from));
            let more = ["cpuacct", "devices", "freezer", "blkio"];
            cp.cgroup_controllers.extend(more.map(String::from));
        })
    };
    let refused =
        "SystemVerification: the host uses cgroup v1, which the kubelet refuses from v1.35 on";
    assert_eq!(v1(36, &[]), [format!("cp1 Error {refused}")]);
    assert_eq!(
        v1(36, &["systemverification"]),
        [format!("cp1 Warning {refused}")]
    );
    assert_eq!(v1(36, &["all"]), [format!("cp1 Warning {refused}")]);
    assert!(v1(34, &[])[0].starts_with("cp1 Warning"));
}

#[test]
fn no_remedy_says_to_set_what_is_set() {
    let mut cluster = cluster();
    let mut gathered = good("cp1");
    gathered.facts.cgroup_version = 1;
    let remedy = |cluster: &Cluster| {
        let subject = Subject {
            host: &cluster.hosts[0],
            gathered: &gathered,
            owned: false,
        };
        let findings = check_hosts(cluster, &[subject]);
        let mut of_cgroups = findings
            .into_iter()
            .filter(|f| f.message.contains("cgroup v1"));
        of_cgroups
            .next()
            .and_then(|found| found.remedy)
            .unwrap_or_default()
    };
    let setting = "failCgroupV1: false";
    assert!(remedy(&cluster).contains(setting));
    let host = &mut cluster.hosts[0];
    host.kubelet_config
        .insert("failCgroupV1".into(), false.into());
    assert!(
        remedy(&cluster).contains(setting),
        "the check is still to be ignored"
    );
    cluster.hosts[0].preflight_ignore = vec!["systemverification".into()];
    assert!(!remedy(&cluster).contains(setting));
}

#[test]
fn missing_kernel_features_are_named() {
    let missing = found(|_, cp, _| {
        cp.kernel_options.get_or_insert_default().remove("MEMCG");
        cp.cgroup_controllers.remove("pids");
        cp.cgroup_controllers.remove("io");
        cp.facts.kernel = "4.19.0".into();
    });
    insta::assert_snapshot!(missing.join("\n"), @"cp1 Error SystemVerification: the kernel lacks CONFIG_MEMCG; cgroup controllers are missing: pids; kernel 4.19.0 is not supported (5.4, 5.10, 5.15, and 6 or newer); optional cgroup controllers are missing: io");
    // A configuration that can't be read says nothing about the kernel.
    let unknown = found(|_, cp, _| cp.kernel_options = None);
    assert!(unknown[0].starts_with("cp1 Warning SystemVerification"));
}

#[test]
fn hosts_are_compared_with_each_other() {
    insta::assert_snapshot!(
        found(|_, cp, worker| {
            worker.facts.hostname = "cp1".into();
            worker.facts.machine_id = cp.facts.machine_id.clone();
            cp.facts.product_uuid = "u".into();
            worker.facts.product_uuid = "u".into();
            worker.facts.mtu = 1400;
            worker.facts.default_interface = "eth0".into();
            worker.clock_offset = Some(-600_000_000_000);
        })
        .join("\n"),
        @r#"
    cp1 Warning DuplicateMachineID: cp1 and w1 have the same machine-id
    cp1 Warning DuplicateProductUUID: cp1 and w1 have the same product_uuid
    cp1 Warning DuplicateHostname: cp1 and w1 have the same host name, `cp1`
    w1 Error ClockSkew: the clock is 600.0 s behind the workstation's, 600.0 s from the middle of all hosts
    w1 Warning DuplicateMachineID: cp1 and w1 have the same machine-id
    w1 Warning DuplicateProductUUID: cp1 and w1 have the same product_uuid
    w1 Warning DuplicateHostname: cp1 and w1 have the same host name, `cp1`
    w1 Warning MTU: MTU 1400 on eth0, other hosts have 1500
    "#
    );
    let twice = found(|_, cp, worker| {
        cp.facts.default_ip = Some([192, 0, 2, 1].into());
        worker.facts = cp.facts.clone();
    });
    assert!(
        twice.contains(&"w1 Error DuplicateMachineID: this is the same machine as cp1".to_owned()),
        "{twice:?}"
    );
}

#[test]
fn proxies_firewalls_and_loopback_resolvers_are_warned_of() {
    insta::assert_snapshot!(
        found(|_, cp, _| {
            cp.facts.proxy_env = vec![
                ("https_proxy".into(), "http://proxy".into()),
                ("no_proxy".into(), "10.96.0.0/12".into()),
            ];
            cp.facts.nameservers = vec![[127, 0, 0, 53].into()];
            cp.facts.containerd_version = Some("1.7.28".into());
            let active = UnitState {
                active: "active".into(),
                ..UnitState::default()
            };
            cp.units.insert("firewalld.service".into(), active);
        })
        .join("\n"),
        @r#"
        cp1 Warning Firewalld: firewalld is active: ports 6443, 10259, 10257, 2379, 2380, 10250 have to be open
        cp1 Warning ContainerRuntimeVersion: containerd 1.7.28 doesn't tell the kubelet its cgroup driver, which v1.38 demands
        cp1 Warning LoopbackResolvConf: resolv.conf names 127.0.0.53: CoreDNS would forward to itself, see a loop and exit
        cp1 Warning HTTPProxy: 192.0.2.11 would be reached through a proxy
        cp1 Warning HTTPProxyCIDR: 10.244.0.0/16 would be reached through a proxy
        "#
    );
}

#[test]
fn without_a_name_server_coredns_would_exit() {
    let none = found(|_, cp, _| cp.facts.nameservers.clear());
    assert!(none[0].starts_with("cp1 Warning LoopbackResolvConf: resolv.conf names no server"));
    let disabled = found(|cluster, cp, _| {
        cluster.dns.disabled = true;
        cp.facts.nameservers.clear();
    });
    assert_eq!(disabled, [""; 0]);
}

#[test]
fn only_blocked_ports_are_found() {
    let cluster = cluster();
    let (cp, worker) = (good("cp1"), good("w1"));
    let subjects = new_hosts(&cluster, [&cp, &worker]);
    let connections = required_connections(&cluster, &subjects);
    let listed: Vec<String> = connections
        .iter()
        .map(|c| format!("{} -> {} {}:{}", c.from, c.to, c.address, c.port))
        .collect();
    assert_eq!(
        listed,
        ["cp1 -> w1 192.0.2.21:10250", "w1 -> cp1 192.0.2.11:6443"]
    );
    let said = b"@@clusterctl reach 1\n@@section reach\n192.0.2.11,6443 timeout\n@@end\n";
    let probes = parse_reachability(said).expect("an answer");
    let findings = check_reachability(&subjects[1], &connections, &probes);
    assert_eq!(findings[0].severity, Severity::Error);
    assert_eq!(findings[0].message, "can't reach port 6443 of cp1");
    let refused = BTreeMap::from([(([192, 0, 2, 11].into(), 6443), Probe::Refused)]);
    let findings = check_reachability(&subjects[1], &connections, &refused);
    assert_eq!(findings[0].severity, Severity::Passed);
    let findings = check_reachability(&subjects[1], &connections, &BTreeMap::new());
    assert_eq!(findings[0].severity, Severity::Info);
}

/// What the first control plane is told about kube-vip's address.
fn about_the_address(probe: Option<Probe>, change: impl FnOnce(&mut Gathered)) -> Vec<String> {
    let mut cluster = cluster();
    cluster.load_balancer = LoadBalancer::KubeVip {
        image: None,
        interface: None,
    };
    let address = [192, 0, 2, 10].into();
    cluster.control_plane_endpoint = Some(Endpoint {
        host: "192.0.2.10".into(),
        port: 6443,
    });
    let (cp, mut worker) = (good("cp1"), good("w1"));
    change(&mut worker);
    let subjects = new_hosts(&cluster, [&cp, &worker]);
    let attempt = virtual_address(&cluster, &subjects).expect("an attempt");
    let probes = probe.map(|probe| ((address, 6443), probe));
    check_virtual_address(&subjects, &attempt, &probes.into_iter().collect())
        .into_iter()
        .map(|f| format!("{} {:?} {}: {}", f.host, f.severity, f.check, f.message))
        .collect()
}

#[test]
fn the_address_of_kube_vip_has_to_be_free() {
    let passed = ["cp1 Passed AddressAvailable: "];
    assert_eq!(about_the_address(Some(Probe::Unreachable), |_| ()), passed);
    assert_eq!(about_the_address(Some(Probe::Timeout), |_| ()), passed);
    assert_eq!(about_the_address(None, |_| ()), passed);
    for answer in [Probe::Open, Probe::Refused] {
        assert_eq!(
            about_the_address(Some(answer), |_| ()),
            [
                "cp1 Error AddressAvailable: 192.0.2.10 (controlPlaneEndpoint, for kube-vip) is already in use: something answers there"
            ]
        );
    }
    let left = |worker: &mut Gathered| {
        worker.facts.addresses.push(Address {
            interface: "eth0".into(),
            address: [192, 0, 2, 10].into(),
            prefix: 32,
        });
    };
    assert_eq!(
        about_the_address(Some(Probe::Refused), left),
        [
            "cp1 Error AddressAvailable: 192.0.2.10 (controlPlaneEndpoint, for kube-vip) is already in use: w1 has it on eth0"
        ]
    );
}

#[test]
fn the_address_of_kube_vip_needs_an_interface() {
    let named = |name: &str, addresses: &[&str]| {
        found(|cluster, cp, _| {
            cluster.load_balancer = LoadBalancer::KubeVip {
                image: None,
                interface: Some(name.into()),
            };
            let of = |interface: &&str| Address {
                interface: (*interface).into(),
                address: [192, 0, 2, 11].into(),
                prefix: 24,
            };
            cp.facts.default_ip = Some([192, 0, 2, 11].into());
            cp.facts.addresses = addresses.iter().map(of).collect();
        })
    };
    assert_eq!(named("eth0", &["eth0", "eth1"]), [""; 0]);
    assert_eq!(named("eth0", &[]), [""; 0], "nothing is known");
    assert_eq!(
        named("ens3", &["eth1", "eth0"]),
        [
            "cp1 Error NetworkInterface: there is no interface ens3 with an address of its own for kube-vip, only eth0, eth1"
        ]
    );
}

#[test]
fn what_kubelet_and_runtime_read_beside_ours_is_told() {
    let manifest = |name: &str, component: Option<&str>| ManifestFile {
        path: format!("/etc/kubernetes/manifests/{name}"),
        is_ours: false,
        component: component.map(str::to_owned),
    };
    let found = found(|cluster, cp, worker| {
        cluster.networking.cni = crate::inventory::CniType::Bridge;
        cp.beside.manifests = vec![
            manifest("kube-scheduler.yaml", Some("kube-scheduler")),
            manifest("kube-scheduler.yaml.bak", Some("kube-scheduler")),
        ];
        worker.beside.manifests = vec![manifest("old.yaml", Some("kube-scheduler"))];
        worker.beside.networks = vec!["05-x.conflist".into(), "87-podman.conflist".into()];
        worker.beside.units = vec![
            "/usr/lib/systemd/system/kubelet.service".into(),
            "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf".into(),
            "/etc/systemd/system/kubelet.service.d/20-x.conf".into(),
        ];
        let line = "KUBELET_EXTRA_ARGS=--v=9".to_owned();
        worker.beside.arguments = vec![("/etc/default/kubelet".into(), line)];
    });
    assert_eq!(
        found,
        [
            "cp1 Error StrayManifest: /etc/kubernetes/manifests/kube-scheduler.yaml.bak makes the \
             kubelet run a second kube-scheduler",
            "w1 Warning StrayManifest: the kubelet runs /etc/kubernetes/manifests/old.yaml, which \
             is not ours",
            "w1 Warning OtherCNIConfiguration: /etc/cni/net.d/05-x.conflist sorts before \
             10-clusterctl.conflist, so that new pods get that network instead",
            "w1 Warning KubeletDropIn: /etc/systemd/system/kubelet.service.d/20-x.conf changes how \
             the kubelet is started, and is not ours",
            "w1 Warning KubeletExtraArgs: /etc/default/kubelet adds arguments to the kubelet's: \
             KUBELET_EXTRA_ARGS=--v=9",
        ]
    );
}
