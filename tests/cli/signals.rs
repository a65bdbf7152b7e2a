//! Signals end a run in order: what was begun is let go of, and what to do next is said.

use std::io::Read;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::typist::Typist;

/// An `apply` that hangs: its host accepts the connection and says nothing.
struct Hanging {
    child: Child,
    _typist: Typist,
}

impl Hanging {
    /// `prefix` is run by a shell before the program takes its place.
    fn start(prefix: &str) -> Self {
        let host = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = host.local_addr().unwrap().port();
        let typist = Typist::new();
        typist.write(
            "inventory.yaml",
            &format!(
                "apiVersion: clusterctl.rs/v1alpha1\nkind: Cluster\nmetadata: {{name: demo}}\nspec:\n  \
                 kubernetesVersion: v1.36.2\n  ssh: {{port: {port}, connectTimeout: 120s}}\n  hosts:\n    \
                 - {{name: cp1, address: 127.0.0.1, roles: [control-plane]}}\n"
            ),
        );
        let program = env!("CARGO_BIN_EXE_clusterctl-rs");
        // Whoever runs the tests may ignore SIGHUP: `nohup` does, and so do some CI runners.
        let child = Command::new("env")
            .args(["--default-signal=HUP", "sh", "-c"])
            .arg(format!("{prefix} exec {program} apply --yes"))
            .current_dir(typist.path(""))
            .env("HOME", typist.path(""))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Once it is connected, signals are listened for.
        let (connection, _) = host.accept().unwrap();
        std::thread::spawn(move || {
            (
                host,
                connection,
                std::thread::sleep(Duration::from_secs(60)),
            )
        });
        Hanging {
            child,
            _typist: typist,
        }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Its exit code and what it has said, if it ends soon.
    fn end(&mut self) -> Option<(Option<i32>, String)> {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(5) {
            if let Some(status) = self.child.try_wait().unwrap() {
                let mut text = String::new();
                let mut stderr = self.child.stderr.take().unwrap();
                stderr.read_to_string(&mut text).unwrap();
                return Some((status.code(), text));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_closed_terminal_ends_a_run_as_ctrl_c_does() {
    for signal in ["INT", "TERM", "HUP"] {
        let mut hanging = Hanging::start("");
        hanging.signal(signal);
        let (code, text) = hanging
            .end()
            .unwrap_or_else(|| panic!("{signal} is ignored"));
        assert_eq!(code, Some(1), "{signal}: {text}");
        assert!(
            text.contains("error: interrupted; run the same command again to continue"),
            "{signal}: {text}"
        );
    }
}

/// `nohup` ignores the signal before it starts the program, which has to leave it so.
#[test]
fn nohup_outlives_its_terminal() {
    let mut hanging = Hanging::start("trap '' HUP;");
    hanging.signal("HUP");
    std::thread::sleep(Duration::from_millis(500));
    assert!(hanging.child.try_wait().unwrap().is_none());
    hanging.signal("TERM");
    assert!(hanging.end().unwrap().1.contains("interrupted"));
}
