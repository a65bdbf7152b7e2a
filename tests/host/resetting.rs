//! A node becomes the machine that it was.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use clusterctl::host::{
    Cleaned, Directory, FileResource, HostError, ImagePull, KernelModule, Merged, Observed, Owner,
    Receipt, ReceiptUnit, Reset, Resource, SeedLink, SwapOff, Sysctl, Unit, cleaned,
    look_for_receipt, reset, reset_progress,
};
use ssh::{Output, Script};

use crate::root::{Root, roots};

/// Commands that would reach beyond the directory that stands in for `/`.
const STAND_INS: [(&str, &str); 8] = [
    (
        "ctr",
        r#"root=$CLUSTERCTL_ROOT
case $* in
*" version") [ ! -e "$root/runtime-is-dead" ] ;;
*"containers ls -q") cat "$root/containers" 2>/dev/null ;;
*"tasks "*) echo "ctr ${*#*k8s.io }" >>"$root/log" ;;
*"containers rm "*) echo "ctr ${*#*k8s.io }" >>"$root/log"; : >"$root/containers" ;;
*"images ls") cat "$root/image-list" 2>/dev/null ;;
*"images ls -q") cat "$root/images" ;;
*"images pull "*) echo "$5" >>"$root/images" ;;
*"images rm --sync "*) echo "ctr ${*#*k8s.io }" >>"$root/log" ;;
esac"#,
    ),
    (
        "ip",
        r#"root=$CLUSTERCTL_ROOT
case $* in
"-o address show to "*) grep -F " $5/" "$root/addresses" 2>/dev/null ;;
"address delete "*)
  echo "ip $*" >>"$root/log"
  [ -e "$root/busy" ] || sed -i "\\| $3 |d" "$root/addresses" ;;
*) echo "ip $*" >>"$root/log"; rm -rf "$root/sys/class/net/$3" "$root"/sys/class/net/*/brif/"$3" ;;
esac"#,
    ),
    ("nft", "exit 1"),
    (
        "umount",
        r#"root=$CLUSTERCTL_ROOT
for path; do :; done
[ ! -e "$root/busy" ] || exit 1
echo "umount ${path#"$root"}" >>"$root/log"
: >"$root/proc/self/mountinfo""#,
    ),
    (
        "swapon",
        r#"echo "swapon $*" >>"$CLUSTERCTL_ROOT/log"
[ "$1" = -a ] || echo "$1 partition" >>"$CLUSTERCTL_ROOT/proc/swaps""#,
    ),
    (
        "iptables-save",
        r#"cat "$CLUSTERCTL_ROOT/iptables" 2>/dev/null"#,
    ),
    (
        "iptables-restore",
        r#"cat >"$CLUSTERCTL_ROOT/restored"
sed -i '/KUBE-/d;/CNI-/d' "$CLUSTERCTL_ROOT/iptables""#,
    ),
    ("restorecon", ""),
];

/// A root where nothing can reach the machine's own network and mounts.
pub(crate) fn sealed() -> Vec<Root> {
    let mut roots = roots();
    for root in &mut roots {
        let nothing = ["iptables-nft", "iptables-legacy", "ip6tables"];
        let more = ["ip6tables-nft", "ip6tables-legacy"];
        let nothing = nothing.iter().chain(&more).flat_map(|tool| {
            ["save", "restore"].map(|verb| (format!("{tool}-{verb}"), String::new()))
        });
        let stand_ins = STAND_INS.iter();
        let stand_ins = stand_ins.map(|(name, body)| ((*name).to_owned(), (*body).to_owned()));
        for (name, body) in stand_ins.chain(nothing) {
            root.write(&format!("bin/{name}"), &format!("#!/bin/sh\n{body}\n"));
            let path = root.path(&format!("bin/{name}"));
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        root.write("proc/self/mountinfo", "");
    }
    roots
}

/// Everything below a root that a reset has to put back.
fn tree(root: &Root) -> BTreeMap<String, String> {
    fn walk(top: &Path, directory: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(top).unwrap().display().to_string();
            let stand_in = [
                "bin",
                "log",
                "units",
                "images",
                "script.sh",
                "restored",
                "run",
            ];
            if stand_in.contains(&name.as_str()) {
                continue;
            }
            let metadata = fs::symlink_metadata(&path).unwrap();
            let mode = metadata.permissions().mode() & 0o7777;
            let content = if metadata.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap().display())
            } else if metadata.is_dir() {
                walk(top, &path, found);
                format!("{mode:04o} directory")
            } else {
                format!("{mode:04o} {}", fs::read_to_string(&path).unwrap())
            };
            found.insert(name, content);
        }
    }
    let mut found = BTreeMap::new();
    let top = root.path("");
    walk(&top, &top, &mut found);
    found
}

fn file(root: &Root, path: &str, text: &str) -> FileResource {
    FileResource {
        owner: root.owner(),
        ..FileResource::text(path, text)
    }
}

/// A machine with a life of its own.
fn furnish(root: &Root) {
    root.write("etc/containerd/config.toml", "the host's own\n");
    root.write("etc/fstab", "/dev/sda1 / ext4\n/dev/sdb none swap sw 0 0\n");
    root.write("proc/swaps", "Filename Type\n/dev/sdb partition\n");
    root.write("etc/cni/net.d/87-podman.conflist", "podman's\n");
    fs::set_permissions(
        root.path("etc/cni/net.d"),
        fs::Permissions::from_mode(0o700),
    )
    .unwrap();
    root.write("etc/elsewhere.conf", "shared\n");
    symlink("elsewhere.conf", root.path("etc/linked.conf")).unwrap();
    root.write("var/log/syslog", "\n");
    root.write(
        "units/containerd.service",
        "Id=containerd.service\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\n",
    );
}

fn node(root: &Root) -> Vec<Resource> {
    let unit = |name: &str| {
        Resource::Unit(Unit {
            name: name.into(),
            enabled: true,
            active: true,
        })
    };
    vec![
        Resource::Directory(Directory {
            path: "/var/lib/etcd".into(),
            mode: 0o700,
            owner: root.owner(),
        }),
        Resource::Directory(Directory {
            path: "/etc/cni/net.d".into(),
            mode: 0o755,
            owner: root.owner(),
        }),
        Resource::File(
            file(root, "/etc/containerd/config.toml", "ours\n").notify("containerd.service"),
        ),
        Resource::File(file(root, "/etc/linked.conf", "ours\n")),
        Resource::File(file(root, "/etc/kubernetes/manifests/etcd.yaml", "pod\n")),
        Resource::File(file(root, "/etc/kubernetes/it's $HOME", "x\n").secret()),
        Resource::File(file(root, "/var/lib/kubelet/config.yaml", "a: 1\n")),
        Resource::SeedLink(SeedLink {
            path: "/var/lib/kubelet/pki/current.pem".into(),
            target: "1.pem".into(),
            replace: false,
        }),
        Resource::KernelModule(KernelModule {
            name: "br_netfilter".into(),
            effect: "/sys/module/br_netfilter".into(),
        }),
        Resource::Sysctl(Sysctl {
            key: "net.ipv4.ip_forward".into(),
            value: "1".into(),
        }),
        Resource::SwapOff(SwapOff),
        unit("containerd.service"),
        unit("kubelet.service"),
        Resource::ImagePull(ImagePull {
            reference: "registry.k8s.io/etcd:3.6.8-0".into(),
        }),
    ]
}

/// What Kubernetes leaves behind once it has run.
fn live(root: &Root) {
    root.write("etc/kubernetes/kubelet.conf", "rotates\n");
    root.write("var/lib/kubelet/pods/1/volumes/a b/data", "x\n");
    root.write("var/lib/kubelet/pki/1.pem", "key\n");
    root.write("var/lib/etcd/member/wal/0.wal", "log\n");
    root.write("var/lib/cni/networks/clusterctl/10.244.1.2", "id\n");
    root.write("var/lib/cni/results/clusterctl-id-eth0", "{}\n");
    root.write("usr/libexec/kubernetes/kubelet-plugins/volume/exec/.x", "");
    fs::remove_file(root.path("usr/libexec/kubernetes/kubelet-plugins/volume/exec/.x")).unwrap();
    root.write("sys/class/net/cni0/brif/veth1/.x", "");
    root.write("sys/class/net/eth0/.x", "");
    root.write("containers", "pod1\n");
}

fn receipt(root: &Root) -> Receipt {
    let output = root.run(&look_for_receipt().unwrap());
    Observed::parse(&output.stdout).unwrap().receipt.unwrap()
}

pub(crate) fn wanted(receipt: &Receipt) -> Reset<'_> {
    Reset {
        receipt,
        cri_socket: "unix:///run/containerd/containerd.sock",
        etcd_data: Some("/var/lib/etcd"),
        networks: &["clusterctl"],
        virtual_address: Some([10, 0, 0, 9].into()),
        keep_images: false,
        turn: None,
    }
}

fn script(receipt: &Receipt) -> Script {
    reset(&wanted(receipt)).unwrap()
}

fn run(root: &Root, script: &Script) -> Result<Cleaned, HostError> {
    let output = root.run(script);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stderr, "", "{}", root.shell());
    cleaned(&output)
}

#[test]
fn a_node_becomes_the_machine_that_it_was() {
    for root in sealed() {
        furnish(&root);
        // What the kernel shows and Kubernetes makes in passing.
        root.write("sys/class/net/eth0/.x", "");
        root.write("usr/libexec/.x", "");
        root.write("var/lib/.x", "");
        root.write("containers", "");
        root.write("sys/module/.x", "");
        let before = tree(&root);
        root.converge(&node(&root));
        live(&root);
        root.log();
        let cleaned = run(&root, &script(&receipt(&root))).unwrap();
        let mut after = tree(&root);
        // The kernel keeps a module that is in use.
        after.retain(|path, _| !path.starts_with("sys/module/br_netfilter"));
        assert_eq!(after, before, "{}", root.shell());
        assert_eq!(cleaned.left, ["/etc/cni/net.d/87-podman.conflist"]);
        insta::allow_duplicates! {
            insta::assert_snapshot!(root.log(), @r"
        systemctl stop kubelet.service
        ctr tasks kill -a -s SIGKILL pod1
        ctr tasks rm -f pod1
        ctr containers rm pod1
        systemctl stop kubepods.slice
        systemctl stop kubelet.service
        systemctl disable kubelet.service
        ip link delete veth1
        ip link delete cni0
        systemctl daemon-reload
        systemctl reset-failed kubelet.service
        systemctl restart containerd.service
        modprobe br_netfilter
        swapon -a
        swapon /dev/sdb
        ");
        }
    }
}

#[test]
fn an_address_that_kube_vip_could_not_take_back_goes() {
    let own =
        "2: eth0    inet 10.0.0.5/24 brd 10.0.0.255 scope global eth0\\       valid_lft forever\n";
    let given = "2: eth0    inet 10.0.0.9/32 scope global eth0\\       valid_lft forever\n";
    for root in sealed() {
        root.write("var/lib/clusterctl/receipt.json", "{}");
        root.write("addresses", &format!("{own}{given}"));
        run(&root, &script(&Receipt::new(&Owner::named("c")))).unwrap();
        assert!(
            root.log()
                .contains("ip address delete 10.0.0.9/32 dev eth0\n")
        );
        assert_eq!(fs::read_to_string(root.path("addresses")).unwrap(), own);

        root.write("addresses", given);
        root.write("busy", "");
        let error = run(&root, &script(&Receipt::new(&Owner::named("c")))).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("the address 10.0.0.9/32 on eth0"),
            "{error}"
        );

        root.write("var/lib/clusterctl/receipt.json", "{}");
        // A machine's own one, should the inventory be wrong.
        root.write("addresses", &given.replace("/32", "/24"));
        root.log();
        run(&root, &script(&Receipt::new(&Owner::named("c")))).unwrap();
        assert!(!root.log().contains("ip address"));
    }
}

#[test]
fn a_kubelet_that_had_joined_by_hand_stays_stopped() {
    let mut receipt = Receipt::new(&Owner::named("c"));
    for unit in ["kubelet.service", "other.service"] {
        let before = ReceiptUnit {
            enabled: true,
            active: true,
        };
        receipt.units.insert(unit.into(), before);
    }
    let text = script(&receipt).text;
    let starts = |line: &&str| line.starts_with("unit_back start");
    let started: Vec<&str> = text.lines().filter(starts).collect();
    assert_eq!(started, ["unit_back start other.service"]);
}

#[test]
fn whenever_a_reset_is_killed_the_next_one_ends_it() {
    let root = sealed().remove(0);
    furnish(&root);
    root.write("var/lib/.x", "");
    root.write("usr/libexec/.x", "");
    root.write("sys/class/net/eth0/.x", "");
    root.write("sys/module/br_netfilter/.x", "");
    root.write("containers", "");
    let before = tree(&root);
    let begin = "\necho '@@clusterctl reset 1'\n";
    let mut killed = 0;
    loop {
        root.converge(&node(&root));
        live(&root);
        let whole = script(&receipt(&root));
        let (functions, calls) = whole.text.split_once(begin).unwrap();
        let calls: Vec<&str> = calls.lines().collect();
        if killed == calls.len() {
            break;
        }
        let text = format!("{functions}{begin}{}\n", calls[..killed].join("\n"));
        let cut = Script {
            text,
            ..whole.clone()
        };
        assert!(matches!(run(&root, &cut), Err(HostError::Truncated { .. })));
        run(&root, &script(&receipt(&root))).unwrap();
        assert_eq!(tree(&root), before, "after {:?}", calls.get(killed));
        killed += 1;
    }
    assert!(killed > 15, "{killed}");
}

#[test]
fn what_is_mounted_is_never_emptied() {
    for root in sealed() {
        root.converge(&node(&root));
        let volume = root.path("var/lib/kubelet/pods/1/my volume");
        fs::create_dir_all(&volume).unwrap();
        fs::write(volume.join("precious"), "data").unwrap();
        let escaped = volume.display().to_string().replace(' ', r"\040");
        let line = format!("36 25 0:31 / {escaped} rw - nfs server:/x rw\n");
        root.write("proc/self/mountinfo", &line);
        root.write("busy", "");
        let told = run(&root, &script(&receipt(&root))).unwrap_err();
        assert!(
            matches!(&told, HostError::NotClean { stuck } if stuck == &["something is still mounted below /var/lib/kubelet"]),
            "{told}"
        );
        assert!(volume.join("precious").exists());
        assert!(root.path("var/lib/clusterctl/receipt.json").exists());

        fs::remove_file(root.path("busy")).unwrap();
        root.log();
        run(&root, &script(&receipt(&root))).unwrap();
        assert!(
            root.log()
                .contains("umount /var/lib/kubelet/pods/1/my volume\n")
        );
        assert!(!root.path("var/lib/kubelet").exists());
    }
}

#[test]
fn a_directory_of_somebody_else_loses_only_what_the_kubelet_made() {
    for root in sealed() {
        root.write("var/lib/kubelet/config.json", "pull secrets\n");
        root.converge(&node(&root));
        live(&root);
        let told = run(&root, &script(&receipt(&root))).unwrap();
        assert_eq!(told.left, ["/var/lib/kubelet/config.json"]);
        assert!(!root.path("var/lib/kubelet/pods").exists());
        assert_eq!(root.read("var/lib/kubelet/config.json"), "pull secrets\n");
    }
}

#[test]
fn what_was_edited_since_is_not_overwritten() {
    for root in sealed() {
        furnish(&root);
        root.converge(&node(&root));
        root.write("etc/fstab", "/dev/sda1 / ext4\n/dev/new /data ext4\n");
        let told = run(&root, &script(&receipt(&root))).unwrap();
        assert!(told.left[0].starts_with("/etc/cni/") || told.left[0].starts_with("/etc/fstab"));
        assert!(
            told.left
                .iter()
                .any(|line| line.starts_with("/etc/fstab (changed"))
        );
        assert!(root.read("etc/fstab").contains("/dev/new"));
    }
}

const RULES: &str = r#"# Generated by iptables-save
*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
:KUBE-SERVICES - [1:60]
:KUBE-SVC-A - [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE
-A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -j KUBE-SVC-A
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
COMMIT
"#;

#[test]
fn only_rules_of_kubernetes_go() {
    for root in sealed() {
        root.converge(&node(&root));
        root.write("iptables", RULES);
        run(&root, &script(&receipt(&root))).unwrap();
        insta::allow_duplicates! {
            insta::assert_snapshot!(root.read("restored"), @r#"
        *nat
        :KUBE-SERVICES - [0:0]
        :KUBE-SVC-A - [0:0]
        :CNI-HOSTPORT-DNAT - [0:0]
        -D PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
        -D PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
        -X KUBE-SERVICES
        -X KUBE-SVC-A
        -X CNI-HOSTPORT-DNAT
        COMMIT
        "#);
        }

        // Another network of CNI plugins keeps their chains.
        root.converge(&node(&root));
        let other = r#"-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \"nerd\" id: \"1\"" -j CNI-DN-1"#;
        root.write(
            "iptables",
            &RULES.replacen("COMMIT", &format!("{other}\nCOMMIT"), 1),
        );
        let _ = run(&root, &script(&receipt(&root)));
        assert!(!root.read("restored").contains("CNI-"));
    }
}

#[test]
fn images_go_with_their_digests_unless_somebody_else_named_them() {
    for root in sealed() {
        root.converge(&node(&root));
        root.write(
            "image-list",
            "REF TYPE DIGEST SIZE PLATFORMS LABELS\n\
             registry.k8s.io/etcd:3.6.8-0 v2+json sha256:aa 1 MiB linux/amd64 -\n\
             sha256:0a v2+json sha256:aa 1 MiB linux/amd64 -\n\
             example.org/app:1 v2+json sha256:bb 1 MiB linux/amd64 -\n\
             sha256:0b v2+json sha256:bb 1 MiB linux/amd64 -\n",
        );
        root.log();
        run(&root, &script(&receipt(&root))).unwrap();
        let log = root.log();
        assert!(
            log.contains("ctr images rm --sync registry.k8s.io/etcd:3.6.8-0 sha256:0a\n"),
            "{log}"
        );
    }
}

#[test]
fn a_host_without_a_receipt_shows_whether_it_joined() {
    for root in sealed() {
        let look = |root: &Root| {
            let output = root.run(&look_for_receipt().unwrap());
            let observed = Observed::parse(&output.stdout).unwrap();
            (observed.receipt.is_some(), observed.has_joined())
        };
        assert_eq!(look(&root), (false, false));
        root.write("etc/kubernetes/kubelet.conf", "x");
        assert_eq!(look(&root), (false, true));
    }
}

#[test]
fn answers_and_receipts_are_not_trusted() {
    let said = |text: &str| {
        cleaned(&Output {
            status: 0,
            stdout: text.as_bytes().to_vec(),
            stderr: Vec::new(),
            elapsed: std::time::Duration::ZERO,
        })
    };
    assert!(said("").is_err());
    assert!(said("@@clusterctl reset 1\n@@doing x\n").is_err());
    let told = said("@@clusterctl reset 1\n@@left /a\u{1b}[2J\n@@end\n").unwrap();
    assert_eq!(told.left, ["/a\\u{1b}[2J"]);
    assert_eq!(
        reset_progress("@@doing a\u{7}b").as_deref(),
        Some("a\\u{7}b")
    );

    let mut receipt = Receipt::new(&Owner::named("demo"));
    receipt.directories.insert("/../etc".into());
    let wanted = Reset {
        receipt: &receipt,
        cri_socket: "unix:///run/x.sock",
        etcd_data: None,
        networks: &["clusterctl"],
        virtual_address: None,
        keep_images: false,
        turn: None,
    };
    assert!(matches!(reset(&wanted), Err(HostError::Name { .. })));
}

#[test]
fn what_others_added_to_a_file_of_ours_is_not_lost_by_a_reset() {
    for root in roots() {
        let mut ours = file(&root, "/etc/containerd/config.toml", "ours\n");
        ours.merged = Some(Merged {
            ours: "{}".into(),
            based_on: None,
        });
        root.converge(&[Resource::File(ours)]);
        root.write("etc/containerd/config.toml", "ours\nand a GPU's\n");
        let cleaned = run(&root, &script(&receipt(&root))).unwrap();
        let kept = cleaned.left.join("\n");
        assert!(
            kept.contains("it was changed after apply wrote it"),
            "{kept}"
        );
        assert_eq!(root.read("etc/containerd/config.toml"), "");
        let copies = tree(&root).into_iter();
        let copies: Vec<_> = copies
            .filter(|(path, _)| path.contains("replaced/"))
            .collect();
        assert!(
            copies.iter().any(|(path, _)| path.ends_with("config.toml")),
            "{copies:?}"
        );
    }
}
