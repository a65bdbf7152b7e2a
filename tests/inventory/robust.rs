//! Whatever the file holds, the loader answers, and points into the file.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use clusterctl::inventory::{self, InventoryError, starter};
use proptest::prelude::*;

/// Parses, renders all that was found, and checks that it lies in the file.
fn survive(text: &str) {
    let lines = text.lines().count().max(1);
    let diagnostics = match inventory::parse(text, "inventory.yaml", Path::new("/nonexistent")) {
        Ok((_, warnings)) => warnings,
        Err(InventoryError::Invalid(report)) => {
            assert!(!report.diagnostics().is_empty());
            let rendered = report.render(false);
            assert!(!rendered.contains('\u{1b}'), "{rendered:?}");
            report.diagnostics().to_vec()
        }
        Err(error) => panic!("{error}"),
    };
    for diagnostic in diagnostics {
        let (line, _) = diagnostic.position();
        assert!((1..=lines + 1).contains(&line), "line {line} of {lines}");
        let _ = diagnostic.render(true);
    }
}

/// Pieces that YAML and inventories are made of.
fn token() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "\n",
            "\n  ",
            "\n    ",
            "\r\n",
            ": ",
            "- ",
            "[",
            "]",
            "{",
            "}",
            ", ",
            "\"",
            "'",
            "|",
            ">",
            "&a ",
            "*a",
            "<<: *a",
            "!!str ",
            "---\n",
            "...\n",
            "#",
            "?",
            "\t",
            "~",
            "null",
            "0644",
            "1e3",
            "-1",
            "true",
            "é",
            "🦀",
            "\u{feff}",
            "%YAML 1.2\n",
        ])
        .prop_map(str::to_owned),
        prop::sample::select(vec![
            "apiVersion: clusterctl.rs/v1alpha1",
            "kind: Cluster",
            "metadata",
            "spec",
            "hosts",
            "name: cp1",
            "roles: [control-plane]",
            "address: 192.0.2.11",
            "w[01:20]",
            "networking",
            "podSubnet: 10.0.0.0/8",
            "sysctls",
            "files",
            "groups",
            "token",
            "taints",
            "ssh",
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,8}",
    ]
}

proptest! {
    #[test]
    fn any_text(text in any::<String>()) {
        survive(&text);
    }

    #[test]
    fn text_like_yaml(tokens in prop::collection::vec(token(), 0..40)) {
        survive(&tokens.concat());
    }

    #[test]
    fn a_mutated_inventory(
        at in any::<prop::sample::Index>(),
        length in 0_usize..12,
        new in token(),
    ) {
        let mut text = fs::read_to_string("inventory/full.yaml").unwrap();
        let at = text.floor_char_boundary(at.index(text.len()));
        let end = text.floor_char_boundary((at + length).min(text.len()));
        text.replace_range(at..end, &new);
        survive(&text);
    }
}

#[test]
fn what_is_no_inventory_file() {
    let directory = tempfile::tempdir().unwrap();
    let failure = |name: &str, bytes: Option<&[u8]>| {
        let path = directory.path().join(name);
        if let Some(bytes) = bytes {
            fs::write(&path, bytes).unwrap();
        }
        let error = inventory::load(&path).unwrap_err();
        let message = error
            .to_string()
            .replace(directory.path().to_str().unwrap(), "[DIR]");
        format!("{message}\n{}", error.hint().unwrap_or_default())
    };
    insta::assert_snapshot!(failure("missing.yaml", None), @"
    cannot read the inventory [DIR]/missing.yaml: no such file
    name the file with -i, or create one with `clusterctl-rs init`
    ");
    insta::assert_snapshot!(failure(".", None), @"
    cannot read the inventory [DIR]/.: it is a directory
    name the file inside it
    ");
    insta::assert_snapshot!(failure("utf-16.yaml", Some(b"\xff\xfea\0")), @"
    cannot read the inventory [DIR]/utf-16.yaml: it is UTF-16
    save it as UTF-8 in your editor
    ");
    insta::assert_snapshot!(failure("latin1.yaml", Some(b"a: b\nc: \xe4\n")), @"
    cannot read the inventory [DIR]/latin1.yaml: it is not UTF-8: line 2, column 4
    save it as UTF-8 in your editor
    ");
    let large = vec![b'#'; 17 << 20];
    insta::assert_snapshot!(failure("large.yaml", Some(&large)), @"
    cannot read the inventory [DIR]/large.yaml: it is larger than 16 MiB
    is this the right file?
    ");
}

#[test]
fn paths_start_from_the_inventory() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("inventory.yaml");
    fs::write(&path, starter("demo")).unwrap();
    let (cluster, _) = inventory::load(&path).unwrap();
    let base = fs::canonicalize(directory.path()).unwrap();
    assert_eq!(cluster.state_dir(), base.join(".clusterctl/demo"));
}

#[test]
fn ten_thousand_hosts_load_in_no_time() {
    let mut text = starter("demo");
    text = text.replace("  #networking:", "  networking: {podSubnet: 10.128.0.0/9, cni: {type: none}, serviceSubnet: 172.16.0.0/12}\n  controllerManager: {extraArgs: [{name: node-cidr-mask-size, value: \"25\"}]}\n  #networking:");
    for host in 0..9_990 {
        text.push_str(&format!(
            "    - {{name: w{host}, address: 198.18.{}.{}, roles: [worker], labels: {{a: b}}}}\n",
            host / 256,
            host % 256
        ));
    }
    let start = std::time::Instant::now();
    let (cluster, _) = inventory::parse(&text, "inventory.yaml", Path::new("/"))
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(cluster.hosts.len(), 9_992);
    let wrong = text.replace("labels: {a: b}", "labels: {a: 1}");
    let error = inventory::parse(&wrong, "inventory.yaml", Path::new("/")).unwrap_err();
    assert!(error.to_string().contains("9990 errors in inventory.yaml"));
    // Minutes, if something were quadratic; a debug build needs a second or two.
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}
