//! Edits keep every line that the operator wrote, and mean what was wanted.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use clusterctl::inventory::Role;
use clusterctl::inventory::edit::{
    EditError, FileEditError, HostEntry, add_host, edit_file, set_removed_hosts,
};
use proptest::prelude::*;

fn host(name: &str) -> HostEntry {
    HostEntry {
        name: name.into(),
        address: "192.0.2.99".into(),
        roles: vec![Role::Worker],
        user: None,
        port: None,
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// `hosts` in many hands' styles, with what an added host makes of it.
const STYLES: &[(&str, &str)] = &[
    // One line each, a comment beside, a comment behind, a field behind.
    (
        "spec:\n  hosts:\n    # the first\n    - {name: a} # here\n    - {name: b} # there\n    # - {name: c}\n\n  after: 1\n",
        "spec:\n  hosts:\n    # the first\n    - {name: a} # here\n    - {name: b} # there\n    - {name: w9, address: 192.0.2.99, roles: [worker]}\n    # - {name: c}\n\n  after: 1\n",
    ),
    // Blocks, no indentation, wide dashes.
    (
        "spec:\n  hosts:\n  -   name: a\n      roles: [worker]   # only\n  # tail\n",
        "spec:\n  hosts:\n  -   name: a\n      roles: [worker]   # only\n  -   name: w9\n      address: 192.0.2.99\n      roles: [worker]\n  # tail\n",
    ),
    // A dash on a line of its own.
    (
        "spec:\n  hosts:\n    -\n      name: a\n      roles:\n        - worker\n",
        "spec:\n  hosts:\n    -\n      name: a\n      roles:\n        - worker\n    - name: w9\n      address: 192.0.2.99\n      roles: [worker]\n",
    ),
    // Without a line break at the end, and as Windows has it.
    (
        "spec:\n  hosts:\n  - {name: a}",
        "spec:\n  hosts:\n  - {name: a}\n  - {name: w9, address: 192.0.2.99, roles: [worker]}",
    ),
    (
        "spec:\r\n  hosts:\r\n  - {name: a}\r\n",
        "spec:\r\n  hosts:\r\n  - {name: a}\r\n  - {name: w9, address: 192.0.2.99, roles: [worker]}\r\n",
    ),
    // Brackets: on one line, on many, with a comma at the end.
    (
        "spec: {hosts: [{name: a}, {name: b}]}\n",
        "spec: {hosts: [{name: a}, {name: b}, {name: w9, address: 192.0.2.99, roles: [worker]}]}\n",
    ),
    (
        "spec:\n  hosts: [\n    {name: a}, # one\n    {name: b} # two\n  ]\n",
        "spec:\n  hosts: [\n    {name: a}, # one\n    {name: b}, # two\n    {name: w9, address: 192.0.2.99, roles: [worker]}\n  ]\n",
    ),
    (
        "spec:\n  hosts: [\n    {name: a}, # one\n  ]\n",
        "spec:\n  hosts: [\n    {name: a}, # one\n    {name: w9, address: 192.0.2.99, roles: [worker]},\n  ]\n",
    ),
    // JSON, and what is not ASCII before it.
    (
        "{\"spec\": {\n  \"hosts\": [\n    {\"name\": \"a\"}\n  ]\n}}\n",
        "{\"spec\": {\n  \"hosts\": [\n    {\"name\": \"a\"},\n    {\"name\": \"w9\", \"address\": \"192.0.2.99\", \"roles\": [\"worker\"]}\n  ]\n}}\n",
    ),
    (
        "# größe 🦀\nspec:\n  hosts:\n  - {name: a} # ü\n",
        "# größe 🦀\nspec:\n  hosts:\n  - {name: a} # ü\n  - {name: w9, address: 192.0.2.99, roles: [worker]}\n",
    ),
    // A last item that takes its fields from elsewhere.
    (
        "x: &d {roles: [worker]}\nspec:\n  hosts:\n    - <<: *d\n      name: a\nmore: 1\n",
        "x: &d {roles: [worker]}\nspec:\n  hosts:\n    - <<: *d\n      name: a\n    - name: w9\n      address: 192.0.2.99\n      roles: [worker]\nmore: 1\n",
    ),
];

#[test]
fn a_host_is_added_in_the_style_of_the_last_one() {
    for (before, after) in STYLES {
        assert_eq!(add_host(before, &host("w9")).as_deref(), Ok(*after));
    }
}

#[test]
fn a_list_that_is_shared_or_empty_is_left_alone() {
    for text in [
        "x: &h\n  - {name: a}\nspec:\n  hosts: *h\n",
        "spec:\n  hosts: []\n",
        "spec:\n  hosts: 3\n",
        "spec: {}\n",
        "",
        "a: [",
    ] {
        let EditError { by_hand, .. } = add_host(text, &host("w9")).unwrap_err();
        assert_eq!(
            by_hand,
            "add to `hosts`: - {name: w9, address: 192.0.2.99, roles: [worker]}"
        );
    }
}

#[test]
fn values_that_yaml_takes_for_something_else_are_quoted() {
    for (name, written) in [
        ("123", "\"123\""),
        ("no", "\"no\""),
        ("1e3", "\"1e3\""),
        ("a", "a"),
    ] {
        let added = HostEntry {
            address: "fd00::1".into(),
            user: Some("o p: #s".into()),
            port: Some(2222),
            ..host(name)
        };
        let text = add_host("spec:\n  hosts:\n  - {name: a}\n", &added).unwrap();
        assert_eq!(
            text,
            format!(
                "spec:\n  hosts:\n  - {{name: a}}\n  - {{name: {written}, address: \"fd00::1\", \
                 roles: [worker], ssh: {{user: \"o p: #s\", port: 2222}}}}\n"
            )
        );
    }
}

/// `spec` in many hands' styles, and with a mark on `a`, then on `a` and `b`.
const MARKS: &[(&str, &str, &str)] = &[
    (
        "spec: # what\n    # comment\n    x: 1\n",
        "spec: # what\n    removedHosts: [a]\n    # comment\n    x: 1\n",
        "spec: # what\n    removedHosts: [a, b]\n    # comment\n    x: 1\n",
    ),
    (
        "{\"spec\": {\n    \"x\": 1\n}}\n",
        "{\"spec\": {\n    \"removedHosts\": [\"a\"],\n    \"x\": 1\n}}\n",
        "{\"spec\": {\n    \"removedHosts\": [\"a\", \"b\"],\n    \"x\": 1\n}}\n",
    ),
    (
        "spec: {x: 1}\n",
        "spec: {removedHosts: [a], x: 1}\n",
        "spec: {removedHosts: [a, b], x: 1}\n",
    ),
    (
        "spec:\r\n  x: 1\r\n",
        "spec:\r\n  removedHosts: [a]\r\n  x: 1\r\n",
        "spec:\r\n  removedHosts: [a, b]\r\n  x: 1\r\n",
    ),
];

#[test]
fn a_mark_comes_changes_and_goes_without_a_trace() {
    for (none, one, two) in MARKS {
        let (a, ab) = (names(&["a"]), names(&["a", "b"]));
        assert_eq!(set_removed_hosts(none, &a).as_deref(), Ok(*one));
        assert_eq!(set_removed_hosts(one, &ab).as_deref(), Ok(*two));
        assert_eq!(set_removed_hosts(two, &a).as_deref(), Ok(*one));
        assert_eq!(set_removed_hosts(one, &[]).as_deref(), Ok(*none));
        assert_eq!(set_removed_hosts(none, &[]).as_deref(), Ok(*none));
    }
}

#[test]
fn marks_that_somebody_has_laid_out_keep_their_comments() {
    let text = "spec:\n  x: 1\n  removedHosts:\n    - a # since May\n    - b # broken disk\n    # more\n  y: 2\n";
    assert_eq!(
        set_removed_hosts(text, &names(&["b", "c"])).unwrap(),
        "spec:\n  x: 1\n  removedHosts:\n    - b # broken disk\n    - c\n    # more\n  y: 2\n"
    );
    let text = "spec:\n  x: 1\n  removedHosts: [\n    a, # since May\n  ]\n";
    let refused = set_removed_hosts(text, &names(&["a", "b"])).unwrap_err();
    assert_eq!(refused.by_hand, "add to `spec`: removedHosts: [a, b]");
    // At the end of a mapping in braces.
    let text = "spec: {x: 1, removedHosts: [a]}\n";
    assert_eq!(set_removed_hosts(text, &[]).unwrap(), "spec: {x: 1}\n");
}

#[test]
fn examples_can_be_edited_and_every_line_stays() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("inventory");
    let mut seen = 0;
    for file in fs::read_dir(&directory).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let parse = |text: &str| clusterctl::inventory::parse(text, "x", &directory);
        // One of them names files that are the operator's.
        if parse(&text).is_err() {
            continue;
        }
        seen += 1;
        let added = add_host(&text, &host("w99")).unwrap();
        let (cluster, _) = parse(&added).unwrap();
        assert!(
            cluster.hosts.iter().any(|host| host.name == "w99"),
            "{path:?}"
        );
        let marked = set_removed_hosts(&added, &names(&["w99"])).unwrap();
        let (cluster, _) = parse(&marked).unwrap();
        assert!(
            !cluster.hosts.iter().any(|host| host.name == "w99"),
            "{path:?}"
        );
        assert_eq!(cluster.removed_hosts, ["w99"]);
        let mut left = marked.lines();
        for line in text.lines() {
            assert!(left.any(|other| other == line), "{path:?} lost {line:?}");
        }
        assert_eq!(set_removed_hosts(&marked, &[]).unwrap(), added);
    }
    assert!(seen > 5);
}

const INVENTORY: &str = "\
apiVersion: clusterctl.rs/v1alpha1
kind: Cluster
metadata: {name: demo}
spec:
  kubernetesVersion: v1.36.2
  hosts:
    - {name: cp1, address: 192.0.2.11, roles: [control-plane]}
    - {name: w1, address: 192.0.2.21, roles: [worker]} # mine
";

#[test]
fn the_file_keeps_its_mode_and_a_symlink_stays_one() {
    let dir = tempfile::tempdir().unwrap();
    let (file, link) = (dir.path().join("real.yaml"), dir.path().join("link.yaml"));
    fs::write(&file, format!("\u{feff}{INVENTORY}")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real.yaml", &link).unwrap();
    let edited = edit_file(&link, |text| set_removed_hosts(text, &names(&["w1"]))).unwrap();
    assert!(edited.changed());
    assert_eq!(edited.cluster.hosts.len(), 1);
    let written = fs::read_to_string(&file).unwrap();
    assert!(written.starts_with("\u{feff}apiVersion"));
    assert!(written.contains("spec:\n  removedHosts: [w1]\n"));
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o640
    );
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    let edited = edit_file(&link, |text| set_removed_hosts(text, &[])).unwrap();
    assert!(edited.changed());
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        format!("\u{feff}{INVENTORY}")
    );
    assert!(
        !edit_file(&link, |text| set_removed_hosts(text, &[]))
            .unwrap()
            .changed()
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn an_edit_that_makes_a_faulty_inventory_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("inventory.yaml");
    fs::write(&file, INVENTORY).unwrap();
    let twice = HostEntry {
        address: "192.0.2.21".into(),
        ..host("w2")
    };
    let error = edit_file(&file, |text| add_host(text, &twice)).unwrap_err();
    assert!(matches!(error, FileEditError::Invalid(_)), "{error}");
    let error = edit_file(&file, |text| set_removed_hosts(text, &names(&["cp1"]))).unwrap_err();
    assert!(error.to_string().contains("every control plane"), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), INVENTORY);
}

/// A list of hosts in some style, with comments anywhere.
fn inventories() -> impl Strategy<Value = String> {
    let comment = prop_oneof![Just(""), Just(" # c"), Just("  #"), Just(" # - {x: }")];
    let between = prop_oneof![
        Just(""),
        Just("\n"),
        Just("    # between\n"),
        Just("# left\n")
    ];
    let item = (0..4_usize, comment, between).prop_map(|(style, comment, between)| match style {
        0 => format!("{{name: NAME, roles: [worker]}}{comment}\n{between}"),
        1 => format!(
            "name: NAME{comment}\n      roles:{comment}\n        - worker{comment}\n{between}"
        ),
        2 => format!("{{\"name\": \"NAME\",\n      \"roles\": [worker]}}{comment}\n{between}"),
        _ => format!("name: NAME\n      note: |\n        a\n\n        b\n{between}"),
    });
    (prop::collection::vec(item, 1..6), 0..3_usize).prop_map(|(items, tail)| {
        let mut text = String::from("# head\nspec:\n  # first\n  hosts:\n");
        for (index, item) in items.iter().enumerate() {
            text.push_str("    - ");
            text.push_str(&item.replace("NAME", &format!("h{index}")));
        }
        text.push_str(["", "  x: y # z\n", "other: {}\n"][tail]);
        text
    })
}

proptest! {
    #[test]
    fn whatever_the_style_lines_stay_and_marks_leave_no_trace(
        text in inventories(), marks in prop::collection::btree_set(0..6_usize, 1..4)
    ) {
        let added = add_host(&text, &host("w9")).unwrap();
        let mut left = added.lines();
        for line in text.lines() {
            prop_assert!(left.any(|other| other == line), "lost {:?} in\n{}", line, added);
        }
        let marks: Vec<String> = marks.iter().map(|mark| format!("h{mark}")).collect();
        let marked = set_removed_hosts(&added, &marks).unwrap();
        prop_assert_eq!(set_removed_hosts(&marked, &[]).unwrap(), added);
    }

    #[test]
    fn no_text_at_all_makes_an_edit_panic(text in "[-a-z: \\[\\]{},#&*\"'\n|>]{0,80}") {
        let _ = add_host(&text, &host("w9"));
        let _ = set_removed_hosts(&text, &names(&["a"]));
        let nested = format!("spec:\n  hosts:\n    - {text}\n  removedHosts: [{text}]\n");
        let _ = add_host(&nested, &host("w9"));
        let _ = set_removed_hosts(&nested, &[]);
        let _ = set_removed_hosts(&nested, &names(&["a", "b"]));
    }
}
