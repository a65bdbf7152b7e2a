use proptest::prelude::*;

use super::*;
use crate::host::Owner;
use crate::host::change::Detail;
use crate::host::observed::{PathKind, PathState};
use crate::host::receipt::ReceiptFile;
use crate::host::resource::file::WriteFile;
use crate::host::resource::static_pod::RestartStaticPod;
use crate::host::resource::sysctl::Set;
use crate::host::resource::{
    Content, FileResource, ImageArchive, ImagePull, SwapOff, Sysctl, Unit, Withdrawn,
};
use crate::host::systemd::UnitState;

fn observed(answer: &str) -> Observed {
    Observed::parse(format!("@@clusterctl observe 1\n{answer}@@end\n").as_bytes())
        .expect("an answer")
}

fn lines(resources: &[Resource], observed: &Observed) -> Vec<String> {
    let plan = diff(resources, observed, &Owner::named("demo")).expect("a plan");
    plan.changes.iter().map(ToString::to_string).collect()
}

fn with_unit(name: &str, load: &str, active: &str, file: &str) -> Observed {
    let mut observed = Observed::default();
    let state = UnitState {
        load: load.into(),
        active: active.into(),
        file: file.into(),
        ..UnitState::default()
    };
    observed.units.insert(name.into(), state);
    observed
}

fn unit(enabled: bool, active: bool) -> Resource {
    Resource::Unit(Unit {
        name: "kubelet".into(),
        enabled,
        active,
    })
}

fn file_of_root(mode: u32) -> PathState {
    PathState {
        kind: PathKind::File,
        mode,
        owner: "root:root".into(),
        owner_ids: "0:0".into(),
        size: 1,
    }
}

#[test]
fn a_unit_is_touched_only_where_it_differs() {
    let running = with_unit("kubelet.service", "loaded", "active", "enabled");
    let stopped = with_unit("kubelet.service", "loaded", "inactive", "disabled");
    let crashing = with_unit("kubelet.service", "loaded", "activating", "static");
    let masked = with_unit("kubelet.service", "masked", "inactive", "masked");
    let nothing = [""; 0];
    assert_eq!(lines(&[unit(true, true)], &running), nothing);
    assert_eq!(lines(&[unit(true, true)], &crashing), nothing);
    assert_eq!(lines(&[unit(false, false)], &stopped), nothing);
    assert_eq!(
        lines(&[unit(false, false)], &running),
        ["disable unit kubelet.service", "stop unit kubelet.service"]
    );
    let start = ["enable unit kubelet.service", "start unit kubelet.service"];
    assert_eq!(lines(&[unit(true, true)], &stopped), start);
    assert_eq!(lines(&[unit(true, true)], &masked), start);
}

#[test]
fn a_changed_file_restarts_what_runs_once_and_nothing_else() {
    let files = [
        Resource::File(
            FileResource::text("/a", "x")
                .notify("kubelet")
                .notify("other"),
        ),
        Resource::File(FileResource::text("/b", "x").notify("kubelet.service")),
        Resource::File(FileResource::text(
            "/etc/systemd/system/kubelet.service",
            "x",
        )),
        unit(true, true),
    ];
    let running = with_unit("kubelet.service", "loaded", "activating", "enabled");
    let changes = lines(&files, &running);
    assert_eq!(
        changes[changes.len() - 2..],
        ["reload systemd unit files", "restart unit kubelet.service"]
    );
    let stopping = [files[0].clone(), unit(true, false)];
    assert_eq!(
        lines(&stopping, &running)[1..],
        ["stop unit kubelet.service"]
    );
}

#[test]
fn containerd_comes_before_images_and_the_kubelet_after() {
    let archive = Resource::ImageArchive(ImageArchive {
        archive: "/x/pause.tar".into(),
        sha256: "00".into(),
        size: 5 << 20,
        references: vec!["registry.k8s.io/pause:3.10".into()],
    });
    let containerd = Resource::Unit(Unit {
        name: "containerd.service".into(),
        enabled: true,
        active: true,
    });
    let pull = Resource::ImagePull(ImagePull {
        reference: "busybox".into(),
    });
    let resources = [unit(true, true), pull, archive.clone(), containerd];
    assert_eq!(
        lines(&resources, &Observed::default()),
        [
            "enable unit containerd.service",
            "start unit containerd.service",
            "pull image busybox",
            "import image pause.tar",
            "enable unit kubelet.service",
            "start unit kubelet.service",
        ]
    );
    // There already, and not from another archive of ours.
    let names = [
        "registry.k8s.io/pause:3.10",
        "docker.io/library/busybox:latest",
    ];
    let mut present = observed(&format!("@@section images\n{}\n", names.join("\n")));
    assert_eq!(lines(&resources[1..3], &present), [""; 0]);
    let mut receipt = Receipt::new(&Owner::named("demo"));
    receipt
        .images
        .insert("registry.k8s.io/pause:3.10".into(), Some("11".into()));
    present.receipt = Some(receipt);
    assert_eq!(lines(&[archive], &present), ["import image pause.tar"]);
}

#[test]
fn secrets_show_only_hashes_and_text_is_escaped() {
    let after = Content::Bytes(b"new".to_vec().into()).sha256();
    let before = "ab".repeat(32);
    let seen = observed(&format!(
        "@@section paths\n8180 0:0 root:root 3 1 2 3 ./k\n8180 0:0 root:root 3 1 2 3 ./t\n\
         @@section hashes\n{before}  ./k\n{before}  ./t\n@@section content ./t\nG1tvbGQK\n"
    ));
    let secret = Resource::File(FileResource::text("/k", "new").secret());
    let text = Resource::File(FileResource::text("/t", "new\n").mode(0o600));
    let plan = diff(&[secret, text], &seen, &Owner::named("demo")).expect("a plan");
    assert_eq!(
        plan.changes[0].detail,
        Detail::Secret {
            before: Some("abababababab".into()),
            after: after[..12].into()
        }
    );
    assert_eq!(
        plan.changes[1].detail,
        Detail::Diff {
            unified: "@@ -1 +1 @@\n-\\u{1b}[old\n+new\n".into(),
        }
    );
    assert!(plan.receipt.files["/k"].original);
}

#[test]
fn what_a_kubelet_wrote_is_nothing_to_give_back() {
    let mut observed = Observed::default();
    let theirs = [
        "/etc/kubernetes/kubelet.conf",
        "/etc/kubernetes/admin.conf",
        "/etc/kubernetes/manifests/etcd.yaml",
        "/etc/kubernetes/pki/etcd/ca.key",
        "/var/lib/kubelet/config.yaml",
    ];
    let ours = ["/etc/motd", "/etc/kubernetes/audit/policy.conf"];
    for path in theirs.iter().chain(&ours).copied() {
        observed.paths.insert(path.into(), file_of_root(0o600));
    }
    let file = |path: &str| Resource::File(FileResource::text(path, "new"));
    let resources: Vec<Resource> = theirs.iter().chain(&ours).map(|path| file(path)).collect();
    let plan = diff(&resources, &observed, &Owner::named("demo")).expect("a plan");
    for (paths, original) in [(&theirs[..], false), (&ours[..], true)] {
        for path in paths {
            assert_eq!(plan.receipt.files[*path].original, original, "{path}");
        }
    }
}

#[test]
fn what_makes_a_node_goes_with_it_though_it_was_right_already() {
    let hash = Content::Bytes(b"x".to_vec().into()).sha256();
    let seen = observed(&format!(
        "@@section paths\n\
         8180 0:0 root:root 1 1 2 3 ./etc/kubernetes/pki/ca.key\n\
         8180 0:0 root:root 1 1 2 3 ./etc/hosts\n\
         @@section hashes\n{hash}  ./etc/kubernetes/pki/ca.key\n{hash}  ./etc/hosts\n"
    ));
    let file = |path| Resource::File(FileResource::text(path, "x").mode(0o600));
    let resources = ["/etc/kubernetes/pki/ca.key", "/etc/hosts", "/new"].map(file);
    let plan = diff(&resources, &seen, &Owner::named("demo")).expect("a plan");
    let files: Vec<&str> = plan.receipt.files.keys().map(String::as_str).collect();
    assert_eq!(files, ["/etc/kubernetes/pki/ca.key", "/new"]);
    assert!(!plan.receipt.files["/etc/kubernetes/pki/ca.key"].original);
}

#[test]
fn a_manifest_in_other_words_restarts_nothing() {
    let path = "/etc/kubernetes/manifests/etcd.yaml";
    let mut observed = Observed::default();
    observed.paths.insert(path.into(), file_of_root(0o600));
    let kubeadms = b"spec:\n  host: 127.0.0.1\nstatus: {}\n";
    observed.contents.insert(path.into(), kubeadms.to_vec());
    let manifest = |text: &str| Resource::File(FileResource::text(path, text));
    let ours = manifest("spec: {host: \"127.0.0.1\"}\nstatus: {}\n");
    let update = format!("update file {path}");
    // Directories aside.
    let lines = |resource: &Resource| {
        let mut lines = lines(std::slice::from_ref(resource), &observed);
        lines.retain(|line| !line.starts_with("create directory"));
        lines
    };
    assert_eq!(lines(&ours), [&*update]);
    let other = manifest("spec: {host: \"127.0.0.2\"}\nstatus: {}\n");
    let restart = "restart static pod etcd";
    assert_eq!(lines(&other), [&*update, restart]);
    // What else it reads has changed: it is restarted, but not by its manifest.
    let read = FileResource::text("/etc/kubernetes/pki/a", "x").restarts(&["etcd"]);
    let plan = diff(
        &[ours, Resource::File(read)],
        &observed,
        &Owner::named("demo"),
    )
    .expect("a plan");
    let mut restarts = plan.work.all::<RestartStaticPod>();
    assert!(restarts.any(|(_, restart)| !restart.manifest));
}

#[test]
fn a_kubelet_configuration_in_other_words_restarts_nothing() {
    let path = "/var/lib/kubelet/config.yaml";
    let mut observed = Observed::default();
    observed.paths.insert(path.into(), file_of_root(0o644));
    let kubeadms = b"kind: KubeletConfiguration\nclusterDomain: \"cluster.local\"\n";
    observed.contents.insert(path.into(), kubeadms.to_vec());
    let running = UnitState {
        active: "active".into(),
        ..UnitState::default()
    };
    observed.units.insert("kubelet.service".into(), running);
    let restarts = |domain: &str| {
        let text = format!("kind: KubeletConfiguration\nclusterDomain: {domain}\n");
        let mut file = FileResource::text(path, text);
        file.notify = vec!["kubelet.service".into()];
        let unit = Resource::Unit(Unit {
            name: "kubelet.service".into(),
            enabled: true,
            active: true,
        });
        let lines = lines(&[Resource::File(file), unit], &observed);
        assert!(lines.contains(&format!("update file {path}")), "{lines:?}");
        lines.contains(&"restart unit kubelet.service".to_owned())
    };
    assert!(!restarts("cluster.local"));
    assert!(restarts("example.org"));
}

#[test]
fn a_kubelet_that_fails_over_and_over_does_not_run() {
    let mut observed = with_unit("kubelet.service", "loaded", "activating", "enabled");
    assert_eq!(lines(&[unit(true, true)], &observed), [""; 0]);
    let state = observed.units.get_mut("kubelet.service").expect("a unit");
    state.sub = "auto-restart".into();
    assert_eq!(
        lines(&[unit(true, true)], &observed),
        ["start unit kubelet.service"]
    );
    // But it can be stopped.
    assert_eq!(
        lines(&[unit(true, false)], &observed),
        ["stop unit kubelet.service"]
    );
}

#[test]
fn a_sysctl_that_nobody_wants_any_more_is_what_it_was() {
    let sysctl = |key: &str| {
        Resource::Sysctl(Sysctl {
            key: key.into(),
            value: "1".into(),
        })
    };
    let mut observed = observed("@@section sysctls\n./proc/sys/net/a:0\n./proc/sys/net/b:0\n");
    let wanted = [sysctl("net.a"), sysctl("net.b")];
    observed.receipt = Some(
        diff(&wanted, &observed, &Owner::named("demo"))
            .expect("a plan")
            .receipt,
    );
    let less = diff(&wanted[..1], &observed, &Owner::named("demo")).expect("a plan");
    let told: Vec<String> = less.changes.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["set sysctl net.a", "set sysctl net.b"]);
    let mut set = less.work.all::<Set>();
    assert!(set.any(|(_, set)| set.path.ends_with("net/b") && set.value == "0"));
    assert!(!less.receipt.sysctls.contains_key("net.b"));
    // Where nothing is said of sysctls, none goes.
    let none = diff(&[], &observed, &Owner::named("demo")).expect("a plan");
    assert!(none.changes.is_empty());
}

#[test]
fn a_file_is_withdrawn_only_if_it_is_ours() {
    let path = "/etc/kubernetes/manifests/haproxy.yaml";
    let mut observed = Observed::default();
    observed.paths.insert(path.into(), file_of_root(0o600));
    let withdrawn = [Resource::Withdrawn(Withdrawn { path: path.into() })];
    assert_eq!(lines(&withdrawn, &observed), [""; 0]);
    let ours = [Resource::File(FileResource::text(path, "x"))];
    let plan = diff(&ours, &Observed::default(), &Owner::named("demo")).expect("a plan");
    observed.receipt = Some(plan.receipt);
    assert_eq!(
        lines(&withdrawn, &observed),
        [format!("remove file {path}")]
    );
}

#[test]
fn mode_and_owner_are_put_right_without_sending_the_file() {
    let hash = Content::Bytes(b"x".to_vec().into()).sha256();
    let seen = observed(&format!(
        "@@section paths\n81a4 0:5 root:tty 1 1 2 3 ./k\n@@section hashes\n{hash}  ./k\n"
    ));
    let plan = diff(
        &[Resource::File(FileResource::text("/k", "x").secret())],
        &seen,
        &Owner::named("demo"),
    )
    .expect("a plan");
    assert_eq!(
        plan.changes[0].detail,
        Detail::Text {
            text: "mode 0644 -> 0600, owner root:tty -> root:root".into()
        }
    );
    assert_eq!(plan.payload(), 0);
    let same = FileResource {
        owner: "root:5".into(),
        ..FileResource::text("/k", "x")
    };
    assert!(
        !diff(&[Resource::File(same)], &seen, &Owner::named("demo"))
            .expect("a plan")
            .is_empty()
    );
    let same = FileResource {
        owner: "0:5".into(),
        ..FileResource::text("/k", "x")
    };
    assert!(
        diff(&[Resource::File(same)], &seen, &Owner::named("demo"))
            .expect("a plan")
            .is_empty()
    );
}

#[test]
fn a_crash_before_an_original_was_kept_doesnt_lose_it() {
    let ours = Content::Bytes(b"ours".to_vec().into()).sha256();
    let theirs = "ab".repeat(32);
    let mut seen = observed(&format!(
        "@@section paths\n81a4 0:0 root:root 1 1 2 3 ./k\n@@section hashes\n{theirs}  ./k\n"
    ));
    let mut receipt = Receipt::new(&Owner::named("demo"));
    let entry = ReceiptFile {
        sha256: ours,
        original: true,
        ours: None,
    };
    receipt.files.insert("/k".into(), entry);
    seen.receipt = Some(receipt);
    let plan = diff(
        &[Resource::File(FileResource::text("/k", "ours"))],
        &seen,
        &Owner::named("demo"),
    )
    .expect("a plan");
    let mut written = plan.work.all::<WriteFile>();
    assert!(written.any(|(number, written)| number == 0 && written.keep));
}

#[test]
fn a_damaged_receipt_is_an_error() {
    for receipt in ["bm90IGpzb24=", "%%%", "eyJ2ZXJzaW9uIjogOTl9"] {
        let raw = format!("@@clusterctl observe 1\n@@section receipt\n{receipt}\n@@end\n");
        assert!(matches!(
            Observed::parse(raw.as_bytes()),
            Err(HostError::Receipt { .. })
        ));
    }
}

proptest! {
    #[test]
    fn no_answer_makes_parser_or_diff_panic(lines in proptest::collection::vec(
        prop_oneof![
            "(@@section (paths|hashes|stamps|units|boot|sysctls|swap|filesystems|commands|images|content \\./a))",
            "(8180|41ed|zz) 0:0 root:root [0-9]{1,30} 1 2 3 \\./[a-c]{1,3}",
            "[0-9a-f]{64}  \\./[a-c]",
            "(Id=|\\./proc/swaps:|\\./etc/fstab:|\\./proc/sys/a:)[ -~]{0,40}",
            "\\PC{0,60}",
        ], 0..40)) {
        let raw = format!("@@clusterctl observe 1\n{}\n@@end\n", lines.join("\n"));
        let seen = Observed::parse(raw.as_bytes());
        prop_assert!(seen.is_ok());
        let resources = [
            Resource::File(FileResource::text("/a", "x\n")),
            Resource::File(FileResource::text("/a/b", "x\n").secret()),
            Resource::SwapOff(SwapOff),
        ];
        prop_assert!(diff(&resources, &seen.unwrap_or_default(), &Owner::named("demo")).is_ok());
    }
}
