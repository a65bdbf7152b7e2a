#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::existing::Existing;
use super::merge::{has_secrets, merge};
use super::*;
use crate::host::{ContainerdFiles, WrittenConfig};

/// What we would set on a host without any, in version 3.
fn ours(more: Value) -> Value {
    let text = r#"
        version = 3
        imports = ["/etc/containerd/conf.d/*.toml"]
        [plugins."io.containerd.cri.v1.images".pinned_images]
        sandbox = "registry.k8s.io/pause:3.10.1"
        [plugins."io.containerd.cri.v1.runtime".cni]
        bin_dir = "/opt/cni/bin"
        conf_dir = "/etc/cni/net.d"
        [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
        runtime_type = "io.containerd.runc.v2"
        [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
        SystemdCgroup = true
    "#;
    let mut ours: Value = toml::from_str(text).unwrap();
    json_patch::merge(&mut ours, &more);
    ours
}

fn files(config: &str) -> ContainerdFiles {
    ContainerdFiles {
        config: Some(config.to_owned()),
        ..ContainerdFiles::default()
    }
}

/// What a run writes, and what the receipt says of it then.
fn applied(
    before: &ContainerdFiles,
    ours: &Value,
    containerd: (u32, u32),
) -> Result<ContainerdFiles, String> {
    let existing = Existing::read(before, Some(containerd)).map_err(|error| error.to_string())?;
    let kept = merge(existing.unwrap(), ours, Some(containerd)).map_err(|e| e.to_string())?;
    let mut after = files(&kept.text);
    let receipt = WrittenConfig {
        sha256: after.sha256().unwrap(),
        ours: Some(kept.ours.to_string()),
    };
    after.receipt = match kept.has_changed {
        true => Some(receipt),
        false => before.receipt.clone(),
    };
    after.original = before.original.clone();
    Ok(after)
}

fn text(files: &ContainerdFiles) -> &str {
    files.config.as_deref().unwrap()
}

const GPU: &str = r#"# Ours, by hand.
version = 2
root = "/data/containerd" # a disk of its own
imports = ["/etc/containerd/more.toml"]

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "mirror.example/pause:3.6"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/containerd/certs.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "nvidia"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia]
      runtime_type = "io.containerd.runc.v2"
      options = { BinaryName = "/usr/bin/nvidia-container-runtime", SystemdCgroup = true }

[proxy_plugins.stargz]
  type = "snapshot"
  address = "/run/stargz.sock"
"#;

#[test]
fn what_a_host_has_stays_and_only_ours_changes() {
    let after = applied(&files(GPU), &ours(json!({})), (1, 7)).unwrap();
    insta::assert_snapshot!("gpu_1_7", text(&after));
    let again = applied(&after, &ours(json!({})), (1, 7)).unwrap();
    assert_eq!(text(&again), text(&after), "a second run changes nothing");
    // containerd 2 reads version 2, and the host's own words are kept.
    let two = applied(&files(GPU), &ours(json!({})), (2, 1)).unwrap();
    assert_eq!(text(&two), text(&after));
}

#[test]
fn what_others_add_later_stays_and_what_is_ours_is_mended() {
    let fresh = in_words_of(&ours(json!({})), Some((1, 7))).unwrap();
    let fresh = toml::to_string(&fresh).unwrap();
    let mut host = files(&fresh);
    host.receipt = Some(WrittenConfig {
        sha256: host.sha256().unwrap(),
        ours: Some(
            in_words_of(&ours(json!({})), Some((1, 7)))
                .unwrap()
                .to_string(),
        ),
    });
    let gpu = "\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.nvidia]\n\
               runtime_type = \"io.containerd.runc.v2\"\n";
    host.config = Some(format!("{fresh}{gpu}"));
    let same = applied(&host, &ours(json!({})), (1, 7)).unwrap();
    assert_eq!(text(&same), text(&host), "no change at all");
    // As nvidia-ctk writes it: other order, other layout, the same settings.
    let parsed: Value = toml::from_str(text(&host)).unwrap();
    host.config = Some(
        toml::to_string_pretty(&parsed)
            .unwrap()
            .replace("    ", "  "),
    );
    let same = applied(&host, &ours(json!({})), (1, 7)).unwrap();
    assert_eq!(text(&same), text(&host));
    host.config = Some(text(&host).replace("SystemdCgroup = true", "SystemdCgroup = false"));
    let mended = applied(&host, &ours(json!({})), (1, 7)).unwrap();
    let mended: Value = toml::from_str(text(&mended)).unwrap();
    assert_eq!(mended, parsed);
}

#[test]
fn what_left_the_inventory_leaves_the_host_and_its_own_comes_back() {
    let own =
        "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\nmax_concurrent_downloads = 9\n";
    let mut host = files(own);
    host.original = Some(own.to_owned());
    let more = json!({"oom_score": -999, "plugins": {
        IMAGES: {"max_concurrent_downloads": 5},
        "io.containerd.gc.v1.scheduler": {"schedule_delay": "1s"},
    }});
    let with = applied(&host, &ours(more), (1, 7)).unwrap();
    for line in [
        "oom_score = -999",
        "max_concurrent_downloads = 5",
        "schedule_delay = \"1s\"",
    ] {
        assert!(text(&with).contains(line), "{}", text(&with));
    }
    let without = applied(&with, &ours(json!({})), (1, 7)).unwrap();
    let plain = applied(&host, &ours(json!({})), (1, 7)).unwrap();
    let settings = |files: &ContainerdFiles| toml::from_str::<Value>(text(files)).unwrap();
    assert_eq!(settings(&without), settings(&plain));
    assert_eq!(
        settings(&without)["plugins"][CRI]["max_concurrent_downloads"],
        9
    );
    // What was changed by hand since is the host's own.
    let mut changed = with.clone();
    changed.config = Some(text(&with).replace("oom_score = -999", "oom_score = 1"));
    let kept = applied(&changed, &ours(json!({})), (1, 7)).unwrap();
    assert_eq!(settings(&kept)["oom_score"], 1);
}

#[test]
fn dockers_package_gets_its_cri_back() {
    let docker =
        "# Copyright Docker\ndisabled_plugins = [\"cri\"]\n\n#root = \"/var/lib/containerd\"\n";
    let old = applied(&files(docker), &ours(json!({})), (1, 7)).unwrap();
    assert!(
        text(&old).contains("disabled_plugins = []"),
        "{}",
        text(&old)
    );
    assert!(text(&old).contains("version = 2"), "{}", text(&old));
    assert!(text(&old).starts_with("# Copyright Docker\n"));
    let new = applied(&files(docker), &ours(json!({})), (2, 1)).unwrap();
    assert!(text(&new).contains("version = 3"), "{}", text(&new));
    assert!(
        text(&new).contains("bin_dirs = [\"/opt/cni/bin\"]"),
        "{}",
        text(&new)
    );
}

#[test]
fn version_1_is_put_into_version_2_or_refused() {
    let one = "root = \"/srv/c\"\ndisabled_plugins = [\"aufs\", \"cri\"]\n[plugins.cri]\nstream_server_port = \"1\"\n\
               [plugins.cri.containerd.runtimes.kata]\nruntime_type = \"io.containerd.kata.v2\"\n";
    let after = applied(&files(one), &ours(json!({})), (1, 6)).unwrap();
    let settings: Value = toml::from_str(text(&after)).unwrap();
    assert_eq!(settings["version"], 2);
    assert_eq!(settings["root"], "/srv/c");
    assert_eq!(
        settings["disabled_plugins"],
        json!(["io.containerd.snapshotter.v1.aufs"])
    );
    let cri = &settings["plugins"][CRI];
    assert_eq!(cri["stream_server_port"], "1");
    assert_eq!(
        cri["containerd"]["runtimes"]["kata"]["runtime_type"],
        "io.containerd.kata.v2"
    );
    assert_eq!(
        cri["containerd"]["runtimes"]["runc"]["options"]["SystemdCgroup"],
        true
    );
    let unknown = applied(
        &files("[plugins.stargz]\nx = 1\n"),
        &ours(json!({})),
        (1, 6),
    );
    insta::assert_snapshot!(unknown.unwrap_err(), @"/etc/containerd/config.toml: it is in version 1, in which containerd itself can't tell which plugin is meant; this would be lost: plugins.stargz");
}

#[test]
fn what_cannot_be_kept_is_named() {
    let refused = |config: &str, containerd| {
        applied(&files(config), &ours(json!({})), containerd).unwrap_err()
    };
    insta::assert_snapshot!(refused("version = 2\nroot =\n", (1, 7)), @"/etc/containerd/config.toml: line 2: string values must be quoted, expected literal string; everything in it would be lost");
    insta::assert_snapshot!(refused("version = 3\n", (1, 7)), @"/etc/containerd/config.toml: containerd 1.7 does not read version 3; everything in it would be lost");
    insta::assert_snapshot!(refused("version = 4\n", (2, 2)), @"/etc/containerd/config.toml: containerd 2.2 does not read version 4; everything in it would be lost");
    insta::assert_snapshot!(refused("version = 2\nimports = \"x\"\n[plugins]\n\"io.containerd.grpc.v1.cri\" = 1\n", (1, 7)), @r#"/etc/containerd/config.toml: settings in it have another shape than containerd's; this would be lost: imports, plugins."io.containerd.grpc.v1.cri""#);
}

#[test]
fn directories_of_plugins_are_added_to_not_replaced() {
    let own =
        "version = 3\n[plugins.\"io.containerd.cri.v1.runtime\".cni]\nbin_dirs = [\"/srv/cni\"]\n";
    let after = applied(&files(own), &ours(json!({})), (2, 1)).unwrap();
    let settings: Value = toml::from_str(text(&after)).unwrap();
    let cni = &settings["plugins"][RUNTIME]["cni"];
    assert_eq!(cni["bin_dirs"], json!(["/srv/cni", "/opt/cni/bin"]));
    let own = own.replace("bin_dirs = [\"/srv/cni\"]", "bin_dir = \"/srv/cni\"");
    let after = applied(&files(&own), &ours(json!({})), (2, 1)).unwrap();
    let settings: Value = toml::from_str(text(&after)).unwrap();
    let cni = &settings["plugins"][RUNTIME]["cni"];
    assert_eq!(cni["bin_dirs"], json!(["/opt/cni/bin", "/srv/cni"]));
    assert_eq!(cni.get("bin_dir"), None, "containerd refuses both");
}

#[test]
fn a_configuration_with_passwords_is_a_secret() {
    let auth = "[plugins.\"io.containerd.grpc.v1.cri\".registry.configs.\"r.example\".auth]\n";
    for secret in [
        format!("{auth}password = \"x\"\n"),
        format!("{auth}identitytoken = \"x\"\n"),
        "[a.header]\nAuthorization = \"Basic eA==\"\n".to_owned(),
        "proxy = \"http://u:p@h:3128\"\n".to_owned(),
    ] {
        assert!(has_secrets(&secret), "{secret}");
    }
    for plain in [
        format!("{auth}username = \"u\"\n"),
        "proxy = \"http://h\"\n".to_owned(),
    ] {
        assert!(!has_secrets(&plain), "{plain}");
    }
}

/// What preflight says about a host with these files.
fn judged(config: &str, drop_ins: &[(&str, &str)], change: impl FnOnce(&mut Judged)) -> String {
    let cluster = crate::status::samples::cluster();
    let host = cluster.hosts[0].clone();
    let mut facts = crate::host::Facts {
        containerd_version: Some("1.7.24".into()),
        ..Default::default()
    };
    facts.containerd = files(config);
    let drop_ins = drop_ins.iter();
    facts.containerd.imported = drop_ins
        .map(|(path, text)| ((*path).to_owned(), Some((*text).to_owned())))
        .collect();
    let mut judged = Judged {
        cluster,
        host,
        facts,
    };
    change(&mut judged);
    let faults = judge(&judged.cluster, &judged.host, &judged.facts).into_iter();
    let told = faults.map(|fault| {
        let kind = if fault.is_error { "error" } else { "warning" };
        format!("{kind}: {}; {}", fault.message, fault.remedy)
    });
    told.collect::<Vec<_>>().join("\n")
}

struct Judged {
    cluster: crate::inventory::Cluster,
    host: crate::inventory::Host,
    facts: crate::host::Facts,
}

const DROP_IN: &str = "/etc/containerd/conf.d/99-nvidia.toml";

#[test]
fn a_configuration_that_goes_with_ours_is_no_finding() {
    for config in ["", "version = 2\n", GPU] {
        assert_eq!(judged(config, &[], |_| {}), "", "{config}");
    }
    let whole = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes]\n\
                 runc = {runtime_type = \"io.containerd.runc.v2\", options = {SystemdCgroup = true}}\n\
                 nvidia = {runtime_type = \"io.containerd.runc.v2\"}\n";
    assert_eq!(judged("", &[(DROP_IN, whole)], |_| {}), "");
    let unlisted = ("/etc/containerd/conf.d/sub/x.toml", "version = 9\n");
    assert_eq!(judged("", &[unlisted], |_| {}), "", "not imported");
}

#[test]
fn a_drop_in_that_takes_away_what_is_needed_is_refused() {
    let mut told = Vec::new();
    let nvidia = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.nvidia]\n\
                  runtime_type = \"io.containerd.runc.v2\"\n";
    told.push(judged("", &[(DROP_IN, nvidia)], |_| {}));
    let newer = |judged: &mut Judged| judged.facts.containerd_version = Some("2.1.1".into());
    assert_eq!(
        judged("", &[(DROP_IN, nvidia)], newer),
        "",
        "merged key by key"
    );
    let off = "disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n";
    told.push(judged("", &[(DROP_IN, off)], |_| {}));
    told.push(judged("", &[(DROP_IN, "version = 3\n")], |_| {}));
    told.push(judged("", &[(DROP_IN, "version =")], |_| {}));
    insta::assert_snapshot!(told.join("\n\n"));
}

#[test]
fn directories_of_containerd_never_move_without_a_word() {
    let mut told = Vec::new();
    let moves = "version = 2\nroot = \"/data\"\n";
    told.push(judged("", &[(DROP_IN, moves)], |_| {}));
    let listed = "version = 2\nimports = [\"conf.d/*.toml\"]\n";
    assert_eq!(
        judged(listed, &[(DROP_IN, moves)], |_| {}),
        "",
        "it is there already"
    );
    let asked = |judged: &mut Judged| {
        let config = &mut judged.cluster.containerd.config;
        config.insert("root".into(), "/srv".into());
    };
    told.push(judged(moves, &[], asked));
    let running = |judged: &mut Judged| {
        asked(judged);
        judged.facts.containerd.running = vec!["default/web".into()];
    };
    told.push(judged(moves, &[], running));
    let absent = |judged: &mut Judged| judged.facts.containerd_version = None;
    assert_eq!(
        judged("", &[(DROP_IN, moves)], absent),
        "",
        "nothing to lose"
    );
    insta::assert_snapshot!(told.join("\n\n"));
}

#[test]
fn the_kubelet_and_containerd_have_to_agree() {
    let mut told = Vec::new();
    let socket = "version = 2\ngrpc = {address = \"/run/other.sock\"}\n";
    told.push(judged(socket, &[], |_| {}));
    let same = socket.replace("/run/other.sock", "/run/containerd/containerd.sock");
    assert_eq!(judged(&same, &[], |_| {}), "");
    let default = GPU.replace(", SystemdCgroup = true", "");
    told.push(judged(&default, &[], |_| {}));
    told.push(judged("version = 2\nroot =", &[], |_| {}));
    let crio = |judged: &mut Judged| judged.host.cri_socket = "unix:///run/crio/crio.sock".into();
    assert_eq!(judged("version =", &[], crio), "", "not ours");
    insta::assert_snapshot!(told.join("\n\n"));
}

#[test]
fn a_drop_in_beside_a_merged_configuration_is_judged_as_well() {
    let merged = applied(&files(GPU), &ours(json!({})), (1, 6)).unwrap();
    let drop_in = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.x]\n\
                   runtime_type = \"io.containerd.runc.v2\"\n";
    let told = judged(text(&merged), &[(DROP_IN, drop_in)], |judged| {
        judged.facts.containerd.receipt = merged.receipt.clone();
        judged.facts.containerd_version = Some("1.6.20".into());
    });
    assert!(told.contains("SystemdCgroup"), "{told}");
}
