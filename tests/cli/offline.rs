//! Verbs that connect to no host.

use std::path::{Path, PathBuf};

use insta::assert_snapshot;

use crate::typist::Typist;

#[test]
fn init_writes_an_inventory_and_never_over_one() {
    let typist = Typist::new();
    assert_snapshot!("init", typist.run(&["init", "--name", "prod"]));
    let text = std::fs::read_to_string(typist.path("inventory.yaml")).unwrap();
    assert_snapshot!("init-inventory", text);
    assert_snapshot!("init-again", typist.run(&["init"]));
    // The options of every verb hold for this one, too.
    typist.run(&["-i", "other.yaml", "init"]);
    assert!(typist.path("other.yaml").exists());
}

#[test]
fn validate_says_what_is_there() {
    let typist = Typist::with_inventory();
    assert_snapshot!("validate", typist.run(&["validate"]));
    typist.write("empty.yaml", "");
    assert_snapshot!("validate-empty", typist.run(&["validate", "empty.yaml"]));
    typist.write(
        "broken.yaml",
        "apiVersion: clusterctl.rs/v1alpha1
kind: Cluster
metadata: {name: Prod}
spec:
  kubernetesVersion: v1.36.2
  podSubnet: 10.244.0.0/16
  hosts:
    - {name: cp1, address: 192.0.2.11, roles: [control-plan]}
    - {name: cp1, address: 192.0.2.11, roles: [worker]}
",
    );
    assert_snapshot!("validate-broken", typist.run(&["validate", "broken.yaml"]));
}

#[test]
fn phases_are_listed() {
    let typist = Typist::new();
    assert_snapshot!("phases", typist.run(&["phases"]));
    let json = typist.stdout(&["phases", "--output", "json"]);
    let list: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(list[0]["name"].is_string());
}

#[test]
fn schemas_are_those_that_are_committed() {
    let typist = Typist::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (args, file) in [
        (&["schema"][..], "inventory/inventory.schema.json"),
        (&["schema", "plan"], "docs/plan.schema.json"),
    ] {
        let committed = std::fs::read_to_string(source.join(file)).unwrap();
        assert!(
            typist.stdout(args) == committed,
            "{file} is old: clusterctl-rs {} >{file}",
            args.join(" ")
        );
    }
}

#[test]
fn completions_are_for_the_shell_that_was_named() {
    let typist = Typist::new();
    let first = |shell| {
        let text = typist.stdout(&["completions", shell]);
        assert!(text.contains("remove-node"), "{shell}");
        text.lines().next().unwrap().to_owned()
    };
    let shells = ["bash", "elvish", "fish", "powershell", "zsh"];
    let lines = shells.map(|shell| format!("{shell}: {}", first(shell)));
    assert_snapshot!("completions", lines.join("\n"));
}

/// Files below a directory, sorted.
fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
    found.sort();
}

#[test]
fn render_writes_what_hosts_and_api_would_get() {
    let typist = Typist::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let example = std::fs::read_to_string(source.join("inventory/single.yaml")).unwrap();
    typist.write("inventory.yaml", &example);
    std::fs::create_dir(typist.path("secrets")).unwrap();
    std::fs::create_dir(typist.path("artifacts")).unwrap();
    let shown = typist.run(&["render", "--out", "out"]);
    let mut found = Vec::new();
    let out = typist.path("out");
    if out.exists() {
        files(&out, &mut found);
    }
    let names = found.iter().map(|file| file.strip_prefix(&out).unwrap());
    let names: Vec<_> = names.map(|file| file.display().to_string()).collect();
    assert_snapshot!("render", format!("{shown}\n\n{}", names.join("\n")));
}

#[test]
fn a_pod_network_of_the_operators_is_among_the_objects() {
    let typist = Typist::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let example = std::fs::read_to_string(source.join("inventory/single.yaml")).unwrap();
    let network = "spec:\n  networking: {cni: {type: manifest, path: cni.yaml}}\n";
    assert!(
        !example.contains("\n  networking:"),
        "it would stand there twice"
    );
    typist.write("inventory.yaml", &example.replacen("spec:\n", network, 1));
    typist.write(
        "cni.yaml",
        "apiVersion: cni.example.com/v1\nkind: Pool\nmetadata: {name: everywhere}\n",
    );
    std::fs::create_dir(typist.path("secrets")).unwrap();
    std::fs::create_dir(typist.path("artifacts")).unwrap();
    let shown = typist.run(&["render", "--out", "out"]);
    let mut found = Vec::new();
    files(&typist.path("out"), &mut found);
    let has = |file: &std::path::PathBuf| {
        std::fs::read_to_string(file).is_ok_and(|text| text.contains("name: everywhere"))
    };
    assert!(found.iter().any(has), "{shown}");
}

/// A kubeconfig is often a link into a repository of dotfiles: the link stays, and what it
/// leads to is replaced.
#[test]
fn kubeconfigs_are_merged_through_links() {
    use std::os::unix::fs::symlink;
    let typist = Typist::with_inventory();
    let kubeconfig = "apiVersion: v1
kind: Config
clusters: [{name: demo, cluster: {server: \"https://192.0.2.11:6443\"}}]
users: [{name: kubernetes-admin, user: {token: x}}]
contexts: [{name: kubernetes-admin@demo, context: {cluster: demo, user: kubernetes-admin}}]
current-context: kubernetes-admin@demo
";
    for dir in [".clusterctl/demo", "dotfiles", ".kube"] {
        std::fs::create_dir_all(typist.path(dir)).unwrap();
    }
    typist.write(".clusterctl/demo/kubeconfig", kubeconfig);
    let (link, hop) = (typist.path(".kube/config"), typist.path("dotfiles/current"));
    symlink("../dotfiles/current", &link).unwrap();
    symlink("config", &hop).unwrap();
    // At first, it leads nowhere.
    for _ in 0..2 {
        let shown = typist.run(&["kubeconfig", "--merge"]);
        assert!(
            shown.contains("merged into DIR/.kube/../dotfiles/config"),
            "{shown}"
        );
        assert!(
            shown.contains("next: run `kubectl get nodes` and `clusterctl-rs status`"),
            "{shown}"
        );
        assert!(link.is_symlink() && hop.is_symlink());
        let file = typist.path("dotfiles/config");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("192.0.2.11"), "{text}");
        // Another cluster's file, which is kept.
        let other = text
            .replace("demo", "other")
            .replace("kubernetes-admin", "other-admin");
        std::fs::write(&file, other).unwrap();
    }
    let shown = typist.run(&["kubeconfig", "--merge"]);
    let text = std::fs::read_to_string(typist.path("dotfiles/config")).unwrap();
    assert!(
        text.contains("other-admin") && text.contains("kubernetes-admin@demo"),
        "{shown}"
    );

    std::fs::remove_file(&link).unwrap();
    symlink("config", &link).unwrap();
    let shown = typist.run(&["kubeconfig", "--merge"]);
    assert!(
        shown.contains("too many levels of symbolic links"),
        "{shown}"
    );
}

/// What a newcomer reads at each step that needs no host.
#[test]
fn each_step_says_what_comes_next() {
    let typist = Typist::new();
    let last = |args: &[&str]| {
        let shown = typist.run(args);
        let lines: Vec<&str> = shown.lines().collect();
        lines[lines.len() - 2].to_owned()
    };
    assert_eq!(
        last(&["init"]),
        "wrote inventory.yaml; add your hosts to it, then run `clusterctl-rs validate inventory.yaml`"
    );
    assert_eq!(last(&["validate"]), "next: run `clusterctl-rs hosts trust`");
    std::fs::rename(typist.path("inventory.yaml"), typist.path("my prod.yaml")).unwrap();
    assert_eq!(
        last(&["validate", "my prod.yaml"]),
        "next: run `clusterctl-rs hosts trust -i 'my prod.yaml'`"
    );
    std::fs::create_dir_all(typist.path(".clusterctl/demo")).unwrap();
    typist.write(".clusterctl/demo/known_hosts", "");
    assert_eq!(
        last(&["validate", "my prod.yaml"]),
        "next: run `clusterctl-rs preflight -i 'my prod.yaml'`"
    );
    // Programs are not told, and a cluster that is there has no next step.
    let shown = typist.run(&["validate", "my prod.yaml", "--output", "json"]);
    assert!(!shown.contains("next:"), "{shown}");
    typist.write(".clusterctl/demo/kubeconfig", "");
    let shown = typist.run(&["validate", "my prod.yaml"]);
    assert!(!shown.contains("next:"), "{shown}");
}
