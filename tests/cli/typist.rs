//! Somebody who types commands in a directory of their own.

use std::path::{Path, PathBuf};

use assert_cmd::Command;

/// A temporary directory, and the binary in it.
pub(crate) struct Typist {
    dir: tempfile::TempDir,
}

impl Typist {
    pub(crate) fn new() -> Self {
        Typist {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// One with `inventory.yaml`, as `init` writes it.
    pub(crate) fn with_inventory() -> Self {
        let typist = Typist::new();
        typist.run(&["init"]);
        typist
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// What a terminal would show: the command, all that it printed, and its exit
    /// code.
    pub(crate) fn run(&self, args: &[&str]) -> String {
        let output = self.output(args);
        let mut shown = format!("$ clusterctl-rs {}\n", args.join(" "));
        for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
            if !bytes.is_empty() {
                let text = String::from_utf8(bytes.clone()).unwrap();
                shown.push_str(&format!("--- {name}\n{text}"));
            }
        }
        let status = output.status.code().unwrap();
        shown.push_str(&format!("--- exit code {status}"));
        self.without_paths(&shown)
    }

    /// Standard output of a command that must succeed.
    pub(crate) fn stdout(&self, args: &[&str]) -> String {
        let output = self.output(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn output(&self, args: &[&str]) -> std::process::Output {
        Command::new(env!("CARGO_BIN_EXE_clusterctl-rs"))
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("HOME", self.dir.path())
            .env("NO_COLOR", "1")
            // As wide as help gets at most, wherever this runs.
            .env("COLUMNS", "100")
            .output()
            .unwrap()
    }

    fn without_paths(&self, text: &str) -> String {
        let dir = self.dir.path();
        let real = dir.canonicalize().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        [(real.as_path(), "DIR"), (dir, "DIR"), (source, "SOURCE")]
            .iter()
            .fold(text.to_owned(), |text, (path, name)| {
                text.replace(path.to_str().unwrap(), name)
            })
    }
}
