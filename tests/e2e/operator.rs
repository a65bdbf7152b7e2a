//! The operator: a home, a directory with an inventory, and the binary.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::components::Components;
use crate::lab::checked;

/// Far more than anything takes: only a run that hangs reaches it.
const TIMEOUT: Duration = Duration::from_secs(420);

/// Somebody at a workstation of their own.
pub(crate) struct Operator {
    /// Temporary, and gone with this.
    home: tempfile::TempDir,
    /// Where the inventory and the operator state lie.
    pub(crate) dir: PathBuf,
    kubectl: PathBuf,
}

/// A run of the binary that has ended.
pub(crate) struct Finished {
    /// The exit code, or `None` for a signal's end.
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    what: String,
}

/// A run of the binary that goes on. Killed if it is dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    out: PathBuf,
    what: String,
}

impl Operator {
    pub(crate) fn new(components: &Components) -> Self {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("cluster");
        fs::create_dir(&dir).unwrap();
        Operator {
            home,
            dir,
            kubectl: components.binary("kubectl"),
        }
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Writes the inventory; JSON is YAML.
    pub(crate) fn write_inventory(&self, inventory: &Value) {
        fs::write(self.dir.join("inventory.yaml"), format!("{inventory:#}\n")).unwrap();
    }

    /// Writes a file beside the inventory that only its owner may read.
    pub(crate) fn write_private(&self, name: &str, content: &str) -> PathBuf {
        let path = self.dir.join(name);
        let _ = fs::remove_file(&path);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .unwrap();
        file.write_all(content.as_bytes()).unwrap();
        path
    }

    /// A file of the operator state.
    pub(crate) fn state(&self, cluster: &str, path: &str) -> PathBuf {
        self.dir.join(".clusterctl").join(cluster).join(path)
    }

    /// Runs the binary until it ends.
    pub(crate) fn run(&self, args: &[&str]) -> Finished {
        self.start(args).wait()
    }

    /// Runs the binary until it ends, with standard error in standard output, as
    /// on a terminal.
    pub(crate) fn run_as_seen(&self, args: &[&str]) -> Finished {
        self.launch(args, true).wait()
    }

    /// Starts the binary.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        self.launch(args, false)
    }

    fn launch(&self, args: &[&str], merged: bool) -> Running {
        // Files rather than pipes: nobody has to read while a run goes on.
        let out = tempfile::Builder::new()
            .prefix("run-")
            .tempdir_in(self.home.path())
            .unwrap()
            .keep();
        let stdout = File::create(out.join("stdout")).unwrap();
        let stderr = File::create(out.join("stderr")).unwrap();
        let stderr = match merged {
            true => stdout.try_clone().unwrap(),
            false => stderr,
        };
        let child = Command::new(env!("CARGO_BIN_EXE_clusterctl-rs"))
            .args(args)
            .current_dir(&self.dir)
            .env("HOME", self.home.path())
            .env("XDG_CACHE_HOME", self.home.path().join("cache"))
            .env_remove("SSH_AUTH_SOCK")
            .env_remove("CLUSTERCTL_INVENTORY")
            .env_remove("KUBECONFIG")
            .stdin(std::process::Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .unwrap();
        Running {
            child,
            out,
            what: args.join(" "),
        }
    }

    /// Asks the API for a path with the admin's kubeconfig, as a user would.
    pub(crate) fn get(&self, cluster: &str, path: &str) -> String {
        self.kubectl(cluster, &["get", "--raw", path])
    }

    /// As [`Self::get`], parsed.
    pub(crate) fn get_json(&self, cluster: &str, path: &str) -> Value {
        serde_json::from_str(&self.get(cluster, path)).unwrap()
    }

    /// How many bootstrap tokens the cluster has. Each lives for minutes from
    /// now, and `cluster-info` is signed with it.
    pub(crate) fn tokens_for_minutes(&self, cluster: &str) -> usize {
        let of = |path: &str| self.get_json(cluster, &format!("/api/v1/namespaces/{path}"));
        let secrets = of("kube-system/secrets");
        let info = of("kube-public/configmaps/cluster-info");
        let tokens = secrets["items"].as_array().unwrap().iter();
        let tokens = tokens.filter(|secret| secret["type"] == "bootstrap.kubernetes.io/token");
        tokens
            .map(|token| {
                let text = |key: &str| {
                    let encoded = token["data"][key].as_str().unwrap();
                    String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap()
                };
                let expiration: jiff::Timestamp = text("expiration").parse().unwrap();
                let left = expiration.duration_since(jiff::Timestamp::now()).as_secs();
                assert!(left <= 600, "a token lives for {left} s more");
                let signature = format!("jws-kubeconfig-{}", text("token-id"));
                assert!(info["data"][signature].is_string(), "{info}");
            })
            .count()
    }

    /// Runs kubectl, which must succeed.
    pub(crate) fn kubectl(&self, cluster: &str, args: &[&str]) -> String {
        let kubeconfig = self.state(cluster, "kubeconfig");
        self.kubectl_with(&kubeconfig, args)
    }

    /// Runs kubectl with some kubeconfig. It must succeed.
    pub(crate) fn kubectl_with(&self, kubeconfig: &Path, args: &[&str]) -> String {
        let output = Command::new(&self.kubectl)
            .args(args)
            .env("KUBECONFIG", kubeconfig)
            .env("HOME", self.home.path())
            .current_dir(&self.dir)
            .output();
        checked(&format!("kubectl {args:?}"), output)
            .trim_end()
            .to_owned()
    }

    /// Names of the nodes that are Ready, sorted.
    pub(crate) fn ready_nodes(&self, cluster: &str) -> Vec<String> {
        let nodes = self.get_json(cluster, "/api/v1/nodes");
        let mut names: Vec<String> = nodes["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|node| {
                let conditions = node["status"]["conditions"].as_array().unwrap();
                conditions
                    .iter()
                    .any(|one| one["type"] == "Ready" && one["status"] == "True")
            })
            .map(|node| node["metadata"]["name"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    }
}

impl Running {
    /// What it has written to standard error so far.
    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(self.out.join("stderr")).unwrap()
    }

    /// What it has written to standard output so far.
    pub(crate) fn stdout(&self) -> String {
        fs::read_to_string(self.out.join("stdout")).unwrap()
    }

    /// Waits until standard error holds `text`. The run must not end before.
    pub(crate) fn wait_for(&mut self, text: &str) {
        let started = Instant::now();
        while !self.stderr().contains(text) {
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && started.elapsed() < TIMEOUT,
                "{}: {text:?} never came ({ended:?})\n{}",
                self.what,
                self.stderr()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        let ended = self.wait();
        assert_eq!(ended.status, None, "{ended:?}: ended before it was killed");
    }

    /// Waits for the end.
    pub(crate) fn wait(&mut self) -> Finished {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if started.elapsed() > TIMEOUT {
                let _ = self.child.kill();
                panic!("{} hangs\n{}", self.what, self.stderr());
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let read = |name| fs::read_to_string(self.out.join(name)).unwrap();
        Finished {
            status: status.code(),
            stdout: read("stdout"),
            stderr: read("stderr"),
            what: self.what.clone(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl std::fmt::Debug for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "clusterctl-rs {} ended with {:?}\n--- stdout\n{}\n--- stderr\n{}\n---",
            self.what, self.status, self.stdout, self.stderr
        )
    }
}

impl Finished {
    /// The exit code must be this one.
    #[track_caller]
    pub(crate) fn exits(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "{self:?}");
        self
    }

    /// Standard error must say all of this.
    #[track_caller]
    pub(crate) fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(
                self.stderr.contains(text) || self.stdout.contains(text),
                "no {text:?} in {self:?}"
            );
        }
        self
    }

    /// The events of a run with `--events jsonl`.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.stderr
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(|event: &Value| event["event"].is_string())
            .collect()
    }

    /// How many events of a kind there were for a host.
    pub(crate) fn count(&self, event: &str, host: &str) -> usize {
        self.events()
            .iter()
            .filter(|one| one["event"] == event && one["host"] == host)
            .count()
    }

    /// Hosts on which something was changed, sorted.
    pub(crate) fn changed_hosts(&self) -> Vec<String> {
        let mut hosts: Vec<String> = self
            .events()
            .iter()
            .filter(|one| one["event"] == "host-done" && one["changed"] != 0)
            .map(|one| one["host"].as_str().unwrap().to_owned())
            .collect();
        hosts.sort();
        hosts.dedup();
        hosts
    }

    /// The result of a run with `--output json`.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// What a plan does to each host and to the cluster, as sorted lines such as
/// `w1 update file /etc/x` and `cluster create ConfigMap x`.
pub(crate) fn planned(plan: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut lines: Vec<String> = plan["certificates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| format!("certificate {}", text(&one["file"])))
        .collect();
    for host in plan["hosts"].as_array().unwrap() {
        let name = text(&host["name"]);
        for change in host["changes"].as_array().unwrap() {
            lines.push(format!(
                "{name} {} {} {}",
                text(&change["action"]),
                text(&change["kind"]),
                text(&change["name"])
            ));
        }
        if !host["join"].is_null() {
            lines.push(format!("{name} join"));
        }
        if !host["labels"].is_null() {
            lines.push(format!("{name} labels"));
        }
        for taint in host["taints"].as_array().unwrap() {
            lines.push(format!("{name} taint {}", text(taint)));
        }
    }
    for object in plan["objects"].as_array().unwrap() {
        let [verb, kind, name] = ["action", "kind", "name"].map(|field| text(&object[field]));
        lines.push(format!("cluster {verb} {kind} {name}"));
    }
    lines.sort();
    lines
}
