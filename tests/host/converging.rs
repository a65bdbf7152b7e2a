//! Observe, diff, converge, and again.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::thread::JoinHandle;
use std::time::Duration;

use clusterctl::host::{
    Absent, Action, Content, Detail, Directory, FileResource, HostError, HostPlan, ImageArchive,
    ImagePull, KernelModule, Kind, Owner, Package, Progress, Receipt, Resource, SeedLink, SwapOff,
    Sysctl, Unit, converge, converged, diff,
};
use sha2::{Digest, Sha256};

use crate::root::{Root, roots, roots_and_busybox};

pub(crate) fn file(root: &Root, path: &str, text: &str) -> FileResource {
    FileResource {
        owner: root.owner(),
        ..FileResource::text(path, text)
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

pub(crate) fn lines(plan: &HostPlan) -> Vec<String> {
    plan.changes.iter().map(ToString::to_string).collect()
}

/// A bit of everything, as a node would have it.
pub(crate) fn node(root: &Root) -> Vec<Resource> {
    vec![
        Resource::Package(Package {
            name: "containerd".into(),
            provides: "containerd-command".into(),
        }),
        Resource::Directory(Directory {
            path: "/etc/kubernetes/manifests".into(),
            mode: 0o700,
            owner: root.owner(),
        }),
        Resource::File(file(root, "/etc/kubernetes/manifests/etcd.yaml", "pod\n").mode(0o600)),
        Resource::File(file(root, "/etc/kubernetes/pki/ca.key", "key\n").secret()),
        Resource::File(
            file(root, "/var/lib/kubelet/config.yaml", "a: 1\n").notify("kubelet.service"),
        ),
        Resource::File(
            file(root, "/etc/containerd/it's $HOME.toml", "x = 1\n").notify("containerd"),
        ),
        Resource::File(
            file(root, "/etc/kubernetes/kubelet.conf", "seed\n")
                .seed()
                .secret(),
        ),
        Resource::SeedLink(SeedLink {
            path: "/var/lib/kubelet/pki/current.pem".into(),
            target: "one two.pem".into(),
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
        Resource::Unit(Unit {
            name: "kubelet.service".into(),
            enabled: true,
            active: true,
        }),
        Resource::Unit(Unit {
            name: "containerd.service".into(),
            enabled: true,
            active: true,
        }),
        Resource::ImagePull(ImagePull {
            reference: "registry.k8s.io/etcd:3.6.8-0".into(),
        }),
    ]
}

#[test]
fn a_bare_host_becomes_a_node_and_stays_one() {
    for root in roots() {
        root.write(
            "etc/fstab",
            "/dev/sda1 / ext4 defaults 0 1\n/dev/sdb none swap sw 0 0\n",
        );
        root.write("proc/swaps", "Filename Type\n/dev/sdb partition 1 0 -2\n");
        let resources = node(&root);
        let plan = root.converge(&resources);
        insta::allow_duplicates! {
            insta::assert_snapshot!(lines(&plan).join("\n"), @r#"
        install package containerd
        create directory /etc/containerd
        create directory /etc/kubernetes
        create directory /etc/kubernetes/manifests
        create directory /etc/kubernetes/pki
        create directory /var
        create directory /var/lib
        create directory /var/lib/kubelet
        create directory /var/lib/kubelet/pki
        create file /etc/containerd/it's $HOME.toml
        create file /etc/kubernetes/pki/ca.key
        create file /etc/kubernetes/kubelet.conf
        create file /var/lib/kubelet/config.yaml
        create file /etc/kubernetes/manifests/etcd.yaml
        create link /var/lib/kubelet/pki/current.pem
        load module br_netfilter
        set sysctl net.ipv4.ip_forward
        disable swap /dev/sdb, /etc/fstab
        enable unit containerd.service
        start unit containerd.service
        pull image registry.k8s.io/etcd:3.6.8-0
        enable unit kubelet.service
        start unit kubelet.service
        "#);
            insta::assert_snapshot!(root.log(), @r#"
        apt-get -q -y -o DPkg::Lock::Timeout=300 --no-install-recommends -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold install containerd
        modprobe br_netfilter
        swapoff /dev/sdb
        systemctl enable --no-reload -- containerd.service
        systemctl restart -- containerd.service
        pull registry.k8s.io/etcd:3.6.8-0
        systemctl enable --no-reload -- kubelet.service
        systemctl restart -- kubelet.service
        "#);
        }
        assert_eq!(root.read("etc/kubernetes/pki/ca.key"), "key\n");
        assert_eq!(root.mode("etc/kubernetes/pki/ca.key"), 0o600);
        assert_eq!(root.mode("etc/kubernetes/pki"), 0o755);
        assert_eq!(root.mode("etc/kubernetes/manifests"), 0o700);
        assert_eq!(root.mode("var/lib/clusterctl"), 0o700);
        assert_eq!(root.mode("var/lib/clusterctl/receipt.json"), 0o600);
        assert_eq!(root.read("proc/sys/net/ipv4/ip_forward"), "1\n");
        assert_eq!(root.read("etc/containerd/it's $HOME.toml"), "x = 1\n");
        assert_eq!(
            root.read("etc/fstab"),
            "/dev/sda1 / ext4 defaults 0 1\n#/dev/sdb none swap sw 0 0\n"
        );
        assert!(
            root.read("var/lib/clusterctl/originals/etc/fstab")
                .contains("\n/dev/sdb")
        );
        let receipt =
            Receipt::parse(root.read("var/lib/clusterctl/receipt.json").as_bytes()).unwrap();
        insta::allow_duplicates! {
            insta::assert_json_snapshot!(receipt, @r#"
        {
          "version": 1,
          "cluster": "demo",
          "directories": [
            "/etc/containerd",
            "/etc/kubernetes",
            "/etc/kubernetes/manifests",
            "/etc/kubernetes/pki",
            "/var",
            "/var/lib",
            "/var/lib/kubelet",
            "/var/lib/kubelet/pki"
          ],
          "files": {
            "/etc/containerd/it's $HOME.toml": {
              "sha256": "9e26bf369911c45c243c684147b23fc9e1dcfcf257d299a1c632016a6fcd33f4",
              "original": false
            },
            "/etc/kubernetes/kubelet.conf": {
              "sha256": "4a6689419b00b11700c9b6246bcfa8936c8f5e1e824db3a7e57030e2d1c1a684",
              "original": false
            },
            "/etc/kubernetes/manifests/etcd.yaml": {
              "sha256": "0cd675b67cc45f257d4bc62132c605c444504caaada759ad94c9f1e0a8d84e34",
              "original": false
            },
            "/etc/kubernetes/pki/ca.key": {
              "sha256": "a7998f247bd965694ff227fa325c81169a07471a8b6808d3e002a486c4e65975",
              "original": false
            },
            "/var/lib/kubelet/config.yaml": {
              "sha256": "37b128c59f1f5097f73f82691cb519f1f568667faab5ced1b4ab979d36837eae",
              "original": false
            }
          },
          "links": [
            "/var/lib/kubelet/pki/current.pem"
          ],
          "packages": [
            "containerd"
          ],
          "units": {
            "containerd.service": {
              "enabled": false,
              "active": false
            },
            "kubelet.service": {
              "enabled": false,
              "active": false
            }
          },
          "masked": [],
          "modules": [
            "br_netfilter"
          ],
          "sysctls": {
            "net.ipv4.ip_forward": "0"
          },
          "swap": [
            "/dev/sdb"
          ],
          "images": {
            "registry.k8s.io/etcd:3.6.8-0": null
          }
        }
        "#);
        }
    }
}

#[test]
fn a_file_changed_by_hand_is_put_right_with_the_restart_that_it_needs() {
    for root in roots() {
        let resources = node(&root);
        root.converge(&resources);
        root.log();
        root.write("var/lib/kubelet/config.yaml", "a: 2\n\u{1b}[31mb: 3\n");
        root.write("etc/kubernetes/kubelet.conf", "rotated by the kubelet\n");
        let plan = root.converge(&resources);
        assert_eq!(
            lines(&plan),
            [
                "update file /var/lib/kubelet/config.yaml",
                "restart unit kubelet.service"
            ]
        );
        // What a host says is escaped before anybody sees it.
        assert_eq!(
            plan.changes[0].detail,
            Detail::Diff {
                unified: "@@ -1,2 +1 @@\n-a: 2\n-\\u{1b}[31mb: 3\n+a: 1\n".into()
            }
        );
        assert_eq!(root.log(), "systemctl restart -- kubelet.service\n");
        assert_eq!(
            root.read("etc/kubernetes/kubelet.conf"),
            "rotated by the kubelet\n"
        );
    }
}

#[test]
fn what_was_there_before_is_kept_once() {
    for root in roots_and_busybox() {
        root.write("etc/motd", "the host's own\n");
        root.converge(&[Resource::File(file(&root, "/etc/motd", "ours\n"))]);
        root.converge(&[Resource::File(file(&root, "/etc/motd", "ours, newer\n"))]);
        root.write("etc/motd", "by hand\n");
        root.converge(&[Resource::File(file(&root, "/etc/motd", "ours, newest\n"))]);
        assert_eq!(
            root.read("var/lib/clusterctl/originals/etc/motd"),
            "the host's own\n"
        );
        assert_eq!(root.mode("var/lib/clusterctl/originals"), 0o700);
    }
}

#[test]
fn a_failing_step_is_named_with_what_the_host_said() {
    for root in roots() {
        root.write("systemctl-fails", "");
        let unit = [Resource::Unit(Unit {
            name: "kubelet".into(),
            enabled: true,
            active: true,
        })];
        let plan = root.plan(&unit);
        let output = root.run(&converge(&plan).unwrap());
        let error = converged(&plan, &output).unwrap_err();
        insta::allow_duplicates! {
            insta::assert_snapshot!(error, @r#"
        enable unit kubelet.service: systemctl enable kubelet.service failed
        Job failed
        the unit said why
        "#);
        }
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(
            stdout
                .lines()
                .any(|line| Progress::parse_line(line) == Some(Progress::Started(0)))
        );
        assert!(
            stdout
                .lines()
                .all(|line| Progress::parse_line(line) != Some(Progress::Done(0)))
        );
    }
}

#[test]
fn a_module_that_is_not_there_fails_by_its_effect() {
    for root in roots() {
        let module = |name: &str| {
            Resource::KernelModule(KernelModule {
                name: name.into(),
                effect: format!("/sys/module/{name}"),
            })
        };
        // Built in: no such module, but a file system of that name.
        assert!(root.plan(&[module("ext4")]).is_empty());
        let plan = root.plan(&[module("absent")]);
        let output = root.run(&converge(&plan).unwrap());
        let error = converged(&plan, &output).unwrap_err().to_string();
        assert!(error.contains("the kernel has no absent"), "{error}");
        assert!(error.contains("FATAL"), "{error}");
    }
}

#[test]
fn big_files_and_images_are_streamed_and_not_hashed_twice() {
    for root in roots_and_busybox() {
        let local = tempfile::NamedTempFile::new().unwrap();
        let bytes = vec![7; 3 << 20];
        fs::write(local.path(), &bytes).unwrap();
        let kubelet = FileResource {
            content: Content::Local {
                path: local.path().into(),
                sha256: hex(&bytes),
                size: bytes.len() as u64,
            },
            mode: 0o755,
            ..file(&root, "/usr/bin/kubelet", "")
        };
        let image = tempfile::NamedTempFile::new().unwrap();
        fs::write(image.path(), "registry.k8s.io/etcd:1\n").unwrap();
        let archive = Resource::ImageArchive(ImageArchive {
            archive: image.path().into(),
            sha256: hex(b"registry.k8s.io/etcd:1\n"),
            size: 23,
            references: vec!["registry.k8s.io/etcd:1".into()],
        });
        let resources = [Resource::File(kubelet), archive];
        root.converge(&resources);
        assert_eq!(root.log(), "import registry.k8s.io/etcd:1\n");
        assert_eq!(root.mode("usr/bin/kubelet"), 0o755);

        // The stamp is what counts: with a lie in it, the lie is told.
        let stamps = root.read("var/lib/clusterctl/stamps");
        assert!(stamps.contains("./usr/bin/kubelet\t"), "{stamps:?}");
        let lie = stamps.replace(&hex(&bytes), &"0".repeat(64));
        root.write("var/lib/clusterctl/stamps", &lie);
        let observed = root.observe(&resources);
        assert_eq!(observed.hashes["/usr/bin/kubelet"], "0".repeat(64));
        // A file that was touched is hashed again.
        let mut other = bytes.clone();
        other[0] = 8;
        fs::write(root.path("usr/bin/kubelet"), &other).unwrap();
        fs::File::open(root.path("usr/bin/kubelet"))
            .unwrap()
            .set_modified(std::time::SystemTime::UNIX_EPOCH)
            .unwrap();
        let observed = root.observe(&resources);
        assert_eq!(observed.hashes["/usr/bin/kubelet"], hex(&other));
        root.converge(&resources);
    }
}

/// Whoever put the binaries into the machine's image pays for the first look only.
#[test]
fn a_big_file_that_was_there_is_hashed_once() {
    for root in roots_and_busybox() {
        let bytes = vec![7; 3 << 20];
        root.write("usr/bin/kubelet", "");
        fs::write(root.path("usr/bin/kubelet"), &bytes).unwrap();
        let kubelet = FileResource {
            content: Content::Bytes(bytes.clone().into()),
            mode: 0o755,
            ..file(&root, "/usr/bin/kubelet", "")
        };
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(root.path("usr/bin/kubelet"), executable).unwrap();
        let resources = [
            Resource::File(kubelet),
            Resource::File(file(&root, "/etc/kubernetes/admin.conf", "a")),
        ];
        let plan = root.converge(&resources);
        assert!(!lines(&plan).concat().contains("kubelet"), "it is in place");
        let stamps = root.read("var/lib/clusterctl/stamps");
        let stamp = format!("./usr/bin/kubelet\t{}\n", hex(&bytes));
        assert!(stamps.contains(&stamp), "{stamps:?}");
        root.write(
            "var/lib/clusterctl/stamps",
            &stamps.replace(&hex(&bytes), &"0".repeat(64)),
        );
        assert_eq!(
            root.observe(&resources).hashes["/usr/bin/kubelet"],
            "0".repeat(64)
        );
    }
}

#[test]
fn absent_paths_go_and_links_to_directories_stay() {
    for root in roots_and_busybox() {
        root.write("data/etcd/x", "");
        fs::create_dir_all(root.path("var/lib")).unwrap();
        symlink("../../data", root.path("var/lib/data")).unwrap();
        root.write("etc/cni/net.d/87-podman.conflist", "podman\n");
        let resources = [
            Resource::Absent(Absent {
                path: "/etc/cni/net.d/87-podman.conflist".into(),
                notify: vec![],
            }),
            Resource::Directory(Directory {
                path: "/var/lib/data/etcd".into(),
                mode: 0o700,
                owner: root.owner(),
            }),
        ];
        let plan = root.converge(&resources);
        assert_eq!(
            lines(&plan),
            [
                "update directory /var/lib/data/etcd",
                "remove file /etc/cni/net.d/87-podman.conflist"
            ]
        );
        assert!(root.path("var/lib/data").is_symlink());
        assert_eq!(
            root.read("var/lib/clusterctl/originals/etc/cni/net.d/87-podman.conflist"),
            "podman\n"
        );
    }
}

#[test]
fn another_clusters_host_is_refused() {
    for root in roots_and_busybox() {
        let resources = [Resource::File(file(&root, "/etc/motd", "ours\n"))];
        root.converge(&resources);
        let observed = root.observe(&resources);
        let error = diff(&resources, &observed, &Owner::named("other")).unwrap_err();
        assert!(matches!(error, HostError::OtherCluster { .. }));
        assert_eq!(
            error.to_string(),
            "the host belongs to cluster `demo`, not to `other`"
        );
        assert!(error.hint().unwrap().contains("its own cluster"));
    }
}

#[test]
fn no_key_is_ever_readable_by_others_and_none_is_in_the_script() {
    for root in roots_and_busybox() {
        let key = "-----BEGIN EC PRIVATE KEY-----\n";
        let resources = [Resource::File(
            file(&root, "/etc/kubernetes/pki/sa.key", key).secret(),
        )];
        let plan = root.plan(&resources);
        let script = converge(&plan).unwrap();
        assert!(!script.text.contains("PRIVATE"));
        assert!(
            !format!("{plan:?}").contains("PRIVATE") && !format!("{plan:?}").contains("45, 45, 45")
        );
        assert_eq!(plan.changes[2].action, Action::Create);
        assert_eq!(plan.changes[3].kind, Kind::File);
        // Between receiving and placing, as others would see it.
        let spy = script.text.replace(
            "\nflush ",
            "\nstat -c '%a %n' ./etc/kubernetes/pki/.sa.key.clusterctl-new >>./log\nflush ",
        );
        let spy = spy.replace(
            "verify 3<<'",
            "stat -c '%a' ./etc/kubernetes/pki/.sa* >>./log\nverify 3<<'",
        );
        let output = root.run(&ssh::Script {
            text: spy,
            ..script
        });
        assert_eq!(output.status, 0);
        assert_eq!(
            root.log(),
            "600\n600 ./etc/kubernetes/pki/.sa.key.clusterctl-new\n"
        );
    }
}

/// A process of a static pod, as the host of a test sees it: its number, and
/// which signal ended it.
fn container(root: &Root, name: &str, cgroup: &str) -> (String, JoinHandle<Option<i32>>) {
    let mut child = Command::new("sleep").arg("300").spawn().unwrap();
    let pid = child.id().to_string();
    root.write(&format!("proc/{pid}/cmdline"), &format!("{name}\0--flag\0"));
    root.write(&format!("proc/{pid}/cgroup"), cgroup);
    let ended = std::thread::spawn(move || child.wait().unwrap().signal());
    (pid, ended)
}

fn kill(pid: &str) {
    let killed = Command::new("kill").args(["-KILL", pid]).status().unwrap();
    assert!(killed.success());
}

#[test]
fn a_static_pod_is_started_anew_for_what_it_reads_once() {
    let root = &roots()[0];
    let resources = |manifest: &str, key: &str| {
        [
            Resource::File(file(root, "/etc/kubernetes/manifests/etcd.yaml", manifest)),
            Resource::File(file(root, "/etc/kubernetes/pki/ca.key", key).restarts(&["etcd"])),
        ]
    };
    let first = root.converge(&resources("pod\n", "key\n"));
    assert!(
        !lines(&first).iter().any(|line| line.starts_with("restart")),
        "nothing ran yet"
    );
    let (_, pod) = container(root, "/usr/bin/etcd", "0::/kubepods/burstable/podx\n");
    let (pid, stranger) = container(root, "etcd", "0::/user.slice\n");
    let plan = root.converge(&resources("pod\n", "other\n"));
    assert_eq!(
        lines(&plan),
        [
            "update file /etc/kubernetes/pki/ca.key",
            "restart static pod etcd"
        ]
    );
    assert_eq!(pod.join().unwrap(), Some(15));
    assert!(!stranger.is_finished(), "that etcd is nobody's pod");
    kill(&pid);

    // A changed manifest is the kubelet's to act on: we wait until it has.
    let (pid, pod) = container(root, "etcd", "0::/kubepods/podx\n");
    let kubelet = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(700));
        kill(&pid);
    });
    let plan = root.converge(&resources("pod 2\n", "other\n"));
    assert_eq!(lines(&plan).last().unwrap(), "restart static pod etcd");
    assert!(kubelet.is_finished(), "converging did not wait");
    assert_eq!(pod.join().unwrap(), Some(9));
    assert_eq!(root.log(), "");

    // One that fails over and over keeps the kubelet from starting another.
    fs::remove_dir_all(root.path("proc")).unwrap();
    root.converge(&resources("pod 3\n", "other\n"));
    assert_eq!(root.log(), "systemctl restart -- kubelet.service\n");
}

#[test]
fn a_link_is_replaced_only_if_it_has_to_be() {
    for root in roots() {
        let path = "/var/lib/kubelet/pki/current.pem";
        let link = |target: &str, replace| {
            Resource::SeedLink(SeedLink {
                path: path.into(),
                target: target.into(),
                replace,
            })
        };
        root.converge(&[link("first.pem", false)]);
        assert!(root.plan(&[link("second.pem", false)]).is_empty());
        // Planned as long as what is there is of no use, which only its content tells.
        let plan = root.plan(&[link("second.pem", true)]);
        assert_eq!(root.run(&converge(&plan).unwrap()).status, 0);
        let target = std::fs::read_link(root.path(path)).unwrap();
        assert_eq!(target.to_str(), Some("second.pem"));
    }
}
