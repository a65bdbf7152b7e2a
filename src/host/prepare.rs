//! What makes a bare machine ready for a kubelet.

use std::collections::{BTreeMap, BTreeSet};

use crate::inventory::{Cluster, ContainerRuntime, Etcd, Host, UserFile};

use super::facts::Facts;
use super::packages::PackageManager;
use super::resource::{
    Content, Directory, FileResource, KernelModule, Package, PackageHold, Resource, SwapOff,
    Sysctl, Unit,
};
use crate::layout::{names, paths};

/// Kernel features that containers and pod networks need, each with the path
/// that proves it.
const MODULES: [(&str, &str); 2] = [
    ("overlay", "/sys/module/overlay"),
    ("br_netfilter", "/proc/sys/net/bridge"),
];

/// Modules without which the kernel has no sysctls of these names.
const MODULES_OF_SYSCTLS: [(&str, &str, &str); 4] = [
    (
        "net.netfilter.nf_conntrack",
        "nf_conntrack",
        "/proc/sys/net/netfilter/nf_conntrack_max",
    ),
    (
        "net.nf_conntrack_max",
        "nf_conntrack",
        "/proc/sys/net/netfilter/nf_conntrack_max",
    ),
    ("net.ipv4.vs.", "ip_vs", "/proc/sys/net/ipv4/vs"),
    ("sunrpc.", "sunrpc", "/proc/sys/sunrpc"),
];

/// Whether a module is one that we may have loaded.
pub(super) fn is_module_of_ours(name: &str) -> bool {
    MODULES.iter().any(|(module, _)| *module == name)
        || MODULES_OF_SYSCTLS
            .iter()
            .any(|(_, module, _)| *module == name)
}

/// The modules of a node, with what proves each: those that containers and pod networks need,
/// and those that bring the sysctls that the operator wants to set.
fn modules(host: &Host) -> Vec<(&'static str, &'static str)> {
    let mut modules = MODULES.to_vec();
    for (start, name, effect) in MODULES_OF_SYSCTLS {
        // As in sysctl(8), a key may be written as a path.
        let wanted = host
            .sysctls
            .keys()
            .any(|key| key.replace('/', ".").starts_with(start));
        if wanted && !modules.contains(&(name, effect)) {
            modules.push((name, effect));
        }
    }
    modules
}

/// The host's side of a cluster: kernel, swap, container runtime, directories,
/// and `files`, the operator's own, already rendered (see [`user_file`]).
///
/// containerd's configuration, the kubelet and the images come from elsewhere.
pub fn prepare_resources(
    cluster: &Cluster,
    host: &Host,
    facts: &Facts,
    files: Vec<FileResource>,
) -> Vec<Resource> {
    let packages = PackageManager::by_name(&facts.package_manager);
    let mut resources = Vec::new();
    for command in cluster.networking.cni.commands() {
        resources.push(Resource::Package(Package {
            name: packages.package_of(command).into(),
            provides: (*command).into(),
        }));
    }
    if cluster.manages_containerd(host) {
        resources.push(Resource::Package(Package {
            name: packages.containerd_package(&facts.os_id).into(),
            provides: "containerd".into(),
        }));
        resources.push(Resource::PackageHold(PackageHold {
            name: packages.containerd_package(&facts.os_id).into(),
            brings: vec!["runc".into()],
        }));
        resources.push(Resource::Unit(Unit {
            name: "containerd.service".into(),
            enabled: true,
            active: true,
        }));
    }
    if host.runtime() == ContainerRuntime::CriO {
        resources.extend(cri_o(host));
    }
    let directory = |path: &str| {
        Resource::Directory(Directory {
            path: path.into(),
            mode: 0o700,
            owner: "root:root".into(),
        })
    };
    resources.push(directory(paths::MANIFESTS_DIR));
    if let (Etcd::Local(local), true) = (&cluster.etcd, host.is_control_plane()) {
        resources.push(directory(&local.data_dir));
    }
    kernel(cluster, host, &mut resources);
    if swap_must_go(host) {
        resources.push(Resource::SwapOff(SwapOff));
    }
    resources.extend(files.into_iter().map(Resource::File));
    resources
}

/// What CRI-O needs of us: to start at boot, and tools that find it. Its packages and its
/// configuration are the operator's.
fn cri_o(host: &Host) -> [Resource; 2] {
    let socket = &host.cri_socket;
    let crictl = format!("runtime-endpoint: {socket}\nimage-endpoint: {socket}\n");
    [
        Resource::Unit(Unit {
            name: names::CRIO_UNIT.into(),
            enabled: true,
            active: true,
        }),
        // The host's own stays.
        Resource::File(FileResource::text(paths::CRICTL_CONFIG, crictl).seed()),
    ]
}

/// Where files of the operator's are that only root's services read, and that may hold
/// credentials: of registries, and of proxies.
const CREDENTIAL_DIRECTORIES: [&str; 6] = [
    "/etc/containerd/",
    "/etc/containers/",
    "/etc/crio/",
    "/etc/docker/",
    "/etc/systemd/system/",
    "/var/lib/kubelet/",
];

/// The packages that a host with these commands lacks.
pub(super) fn missing_packages(
    cluster: &Cluster,
    host: &Host,
    facts: &Facts,
    commands: &BTreeSet<String>,
) -> Vec<&'static str> {
    let packages = PackageManager::by_name(&facts.package_manager);
    let needed = cluster.networking.cni.commands().iter();
    let needed = needed.map(|command| (*command, packages.package_of(command)));
    let runtime = packages.containerd_package(&facts.os_id);
    let runtime = cluster
        .manages_containerd(host)
        .then_some(("containerd", runtime));
    let missing = needed
        .chain(runtime)
        .filter(|(command, _)| !commands.contains(*command));
    missing.map(|(_, package)| package).collect()
}

/// One of the operator's files, with its content as read or rendered. One with the credentials
/// of a registry or a proxy is a secret without being called one; a mode that the operator
/// gave stays.
pub fn user_file(file: &UserFile, content: Content) -> FileResource {
    let is_found = match &content {
        Content::Bytes(bytes) => {
            let mut directories = CREDENTIAL_DIRECTORIES.iter();
            directories.any(|directory| file.destination.starts_with(directory))
                && std::str::from_utf8(bytes).is_ok_and(text::password::holds_credentials)
        }
        Content::Local { .. } => false,
    };
    FileResource {
        path: file.destination.clone(),
        content,
        mode: match is_found && !file.has_mode {
            true => 0o600,
            false => file.mode,
        },
        owner: file.owner.clone(),
        secret: file.secret || is_found,
        seed: false,
        notify: Vec::new(),
        static_pods: Vec::new(),
        merged: None,
    }
}

/// Whether the kubelet would refuse to start with swap on.
pub(super) fn swap_must_go(host: &Host) -> bool {
    host.kubelet_config.get("failSwapOn") != Some(&serde_json::Value::Bool(false))
}

/// Sysctls of a node: ours by kubeadm's preflight and the Kubernetes
/// documentation, the operator's over them.
pub(super) fn sysctls(cluster: &Cluster, host: &Host) -> BTreeMap<String, String> {
    let networking = &cluster.networking;
    let subnets = networking
        .pod_subnets
        .iter()
        .chain(&networking.service_subnets);
    let (v4, v6) = subnets.fold((false, false), |(v4, v6), net| {
        let is_v4 = net.addr().is_ipv4();
        (v4 | is_v4, v6 | !is_v4)
    });
    let mut keys = vec![
        "net.bridge.bridge-nf-call-ip6tables",
        "net.bridge.bridge-nf-call-iptables",
    ];
    if v4 {
        keys.push("net.ipv4.ip_forward");
    }
    if v6 {
        keys.extend([
            "net.ipv6.conf.all.forwarding",
            "net.ipv6.conf.default.forwarding",
        ]);
    }
    let mut sysctls: BTreeMap<String, String> = keys
        .into_iter()
        .map(|key| (key.to_owned(), "1".to_owned()))
        .collect();
    sysctls.extend(host.sysctls.clone());
    sysctls
}

/// Modules and sysctls, now and after a reboot, in the files that the
/// Kubernetes documentation names.
fn kernel(cluster: &Cluster, host: &Host, resources: &mut Vec<Resource>) {
    let mut text = String::new();
    for (name, effect) in modules(host) {
        text += &format!("{name}\n");
        resources.push(Resource::KernelModule(KernelModule {
            name: name.into(),
            effect: effect.into(),
        }));
    }
    resources.push(Resource::File(FileResource::text(
        "/etc/modules-load.d/k8s.conf",
        text,
    )));
    let mut text = String::new();
    for (key, value) in sysctls(cluster, host) {
        text += &format!("{key} = {value}\n");
        resources.push(Resource::Sysctl(Sysctl { key, value }));
    }
    resources.push(Resource::File(FileResource::text(
        "/etc/sysctl.d/k8s.conf",
        text,
    )));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::{cluster, net};

    fn described(resources: &[Resource]) -> String {
        let describe = |resource: &Resource| match resource {
            Resource::Package(Package { name, provides }) => {
                format!("package {name} for {provides}")
            }
            Resource::Directory(Directory { path, mode, .. }) => {
                format!("directory {path} {mode:04o}")
            }
            Resource::File(file) => match &file.content {
                Content::Bytes(bytes) => {
                    format!("{}: {:?}", file.path, String::from_utf8_lossy(bytes))
                }
                Content::Local { .. } => file.path.clone(),
            },
            other => format!("{:?}", other.as_piece()),
        };
        resources
            .iter()
            .map(describe)
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn a_debian_control_plane() {
        let cluster = cluster();
        let facts = Facts {
            package_manager: "apt".into(),
            os_id: "debian".into(),
            ..Facts::default()
        };
        let motd = FileResource::text("/etc/motd", "hello\n");
        let resources = prepare_resources(&cluster, &cluster.hosts[0], &facts, vec![motd]);
        insta::assert_snapshot!(described(&resources), @r#"
        package iproute2 for ip
        package containerd for containerd
        PackageHold { name: "containerd", brings: ["runc"] }
        Unit { name: "containerd.service", enabled: true, active: true }
        directory /etc/kubernetes/manifests 0700
        directory /var/lib/etcd 0700
        KernelModule { name: "overlay", effect: "/sys/module/overlay" }
        KernelModule { name: "br_netfilter", effect: "/proc/sys/net/bridge" }
        /etc/modules-load.d/k8s.conf: "overlay\nbr_netfilter\n"
        Sysctl { key: "net.bridge.bridge-nf-call-ip6tables", value: "1" }
        Sysctl { key: "net.bridge.bridge-nf-call-iptables", value: "1" }
        Sysctl { key: "net.ipv4.ip_forward", value: "1" }
        /etc/sysctl.d/k8s.conf: "net.bridge.bridge-nf-call-ip6tables = 1\nnet.bridge.bridge-nf-call-iptables = 1\nnet.ipv4.ip_forward = 1\n"
        SwapOff
        /etc/motd: "hello\n"
        "#);
    }

    #[test]
    fn a_rocky_worker_with_swap_ipv6_and_its_own_containerd() {
        let mut cluster = cluster();
        cluster.networking.pod_subnets.push(net("fd00:10::/56"));
        cluster.hosts[1]
            .kubelet_config
            .insert("failSwapOn".into(), false.into());
        cluster.hosts[1]
            .sysctls
            .insert("vm.max_map_count".into(), "262144".into());
        let facts = Facts {
            package_manager: "dnf".into(),
            os_id: "rocky".into(),
            ..Facts::default()
        };
        let resources = prepare_resources(&cluster, &cluster.hosts[1], &facts, vec![]);
        let text = described(&resources);
        assert!(text.contains("package iproute for ip\npackage containerd.io for containerd"));
        assert!(
            text.contains("net.ipv6.conf.default.forwarding = 1")
                && text.contains("vm.max_map_count = 262144")
        );
        assert!(!text.contains("SwapOff") && !text.contains("/var/lib/etcd"));

        cluster.containerd.managed = false;
        let resources = prepare_resources(&cluster, &cluster.hosts[1], &facts, vec![]);
        assert!(!described(&resources).contains("containerd"));
    }

    #[test]
    fn a_file_with_credentials_of_a_registry_or_a_proxy_is_a_secret() {
        let file = |destination: &str, has_mode: bool, text: &str| {
            let file = UserFile {
                source: "x".into(),
                destination: destination.into(),
                owner: "root:root".into(),
                mode: 0o644,
                has_mode,
                template: false,
                secret: false,
            };
            let bytes = text.as_bytes().to_vec();
            let file = user_file(&file, Content::Bytes(zeroize::Zeroizing::new(bytes)));
            (file.mode, file.secret)
        };
        let hosts = "/etc/containerd/certs.d/r.example/hosts.toml";
        let header = "[host.\"https://r\".header]\n  authorization = [\"Basic eDp5\"]\n";
        assert_eq!(file(hosts, false, header), (0o600, true));
        assert_eq!(file(hosts, true, header), (0o644, true));
        assert_eq!(
            file(hosts, false, "server = \"https://r\"\n"),
            (0o644, false)
        );
        let proxy = "[Service]\nEnvironment=\"HTTPS_PROXY=http://u:p@h:1\"\n";
        let drop_in = "/etc/systemd/system/containerd.service.d/proxy.conf";
        assert_eq!(file(drop_in, false, proxy), (0o600, true));
        let plain = "[Service]\nEnvironment=HTTPS_PROXY=http://h:1\n";
        assert_eq!(file(drop_in, false, plain), (0o644, false));
        let docker = r#"{"auths": {"r.example": {"auth": "eDp5"}}}"#;
        assert_eq!(
            file("/var/lib/kubelet/config.json", false, docker),
            (0o600, true)
        );
        assert_eq!(file("/etc/motd", false, "password: x\n"), (0o644, false));
    }

    #[test]
    fn cri_o_means_cri_o() {
        let mut cluster = cluster();
        cluster.hosts[1].cri_socket = "unix:///var/run/crio/crio.sock".into();
        let facts = Facts::default();
        let text = described(&prepare_resources(
            &cluster,
            &cluster.hosts[1],
            &facts,
            vec![],
        ));
        assert!(!text.contains("containerd"), "{text}");
        let unit = "Unit { name: \"crio.service\", enabled: true, active: true }";
        assert!(text.contains(unit), "{text}");
        let crictl = "/etc/crictl.yaml: \"runtime-endpoint: unix:///var/run/crio/crio.sock\\n";
        assert!(text.contains(crictl), "{text}");
        let other = described(&prepare_resources(
            &cluster,
            &cluster.hosts[0],
            &facts,
            vec![],
        ));
        assert!(
            other.contains("containerd.service") && !other.contains("crio"),
            "{other}"
        );
        cluster.hosts[1].cri_socket = "unix:///run/cri-dockerd.sock".into();
        let text = described(&prepare_resources(
            &cluster,
            &cluster.hosts[1],
            &facts,
            vec![],
        ));
        assert!(
            !text.contains("containerd") && !text.contains("crio"),
            "{text}"
        );
    }
}
