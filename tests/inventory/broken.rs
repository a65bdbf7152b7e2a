//! `broken/*.yaml`: one family of faults each, with the exact message as a
//! snapshot of the same name.

#![allow(clippy::unwrap_used)]

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clusterctl::inventory;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inventory/broken")
}

/// What the operator would see, without this checkout's own path.
fn message(path: &Path) -> String {
    let name = path.file_name().unwrap().to_str().unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let message = match inventory::parse(&text, name, &directory()) {
        Err(error) => error.to_string(),
        Ok((_, warnings)) => {
            let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
            format!("accepted\n\n{}", warnings.join("\n\n"))
        }
    };
    message.replace(directory().to_str().unwrap(), "[DIR]")
}

#[test]
fn every_broken_inventory_has_its_message() {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    files.sort();
    assert!(
        files.len() >= 50,
        "the corpus has shrunk to {}",
        files.len()
    );
    // A checkout's umask must not show in the message about this file.
    let readable = directory().join("files/readable-by-all");
    std::fs::set_permissions(readable, Permissions::from_mode(0o644)).unwrap();
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for path in files {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            insta::assert_snapshot!(name, message(&path));
        }
    });
}
