//! A directory that stands in for a host's `/`.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clusterctl::host::{HostPlan, Observed, Owner, Resource, converge, diff, observe};
use ssh::{Input, Output, Script};
use tempfile::TempDir;

/// Each command writes what it was asked for into `log` and plays its part.
const STAND_INS: [(&str, &str); 7] = [
    (
        "systemctl",
        r#"case $1 in
show) shift 4; [ "$1" = -- ] && shift
	for unit; do cat "$CLUSTERCTL_ROOT/units/$unit" 2>/dev/null || printf 'Id=%s\nLoadState=not-found\nActiveState=inactive\nUnitFileState=\n' "$unit"; echo; done
	exit ;;
esac
[ "$1" = is-enabled ] && { sed -n s/^UnitFileState=//p "$CLUSTERCTL_ROOT/units/$3" 2>/dev/null; exit; }
[ "$1" = -q ] && shift
case $1 in is-active) grep -qs ActiveState=active "$CLUSTERCTL_ROOT/units/$3"; exit ;; esac
echo "systemctl $*" >>"$CLUSTERCTL_ROOT/log"
case $1 in
restart) printf 'Id=%s\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\n' "$3" >"$CLUSTERCTL_ROOT/units/$3" ;;
stop) printf 'Id=%s\nLoadState=loaded\nActiveState=inactive\nUnitFileState=enabled\n' "$2" >"$CLUSTERCTL_ROOT/units/$2" ;;
enable) printf 'Id=%s\nLoadState=loaded\nActiveState=inactive\nUnitFileState=enabled\n' "$4" >"$CLUSTERCTL_ROOT/units/$4" ;;
esac
[ ! -e "$CLUSTERCTL_ROOT/systemctl-fails" ] || { echo 'Job failed' >&2; exit 1; }"#,
    ),
    (
        "ctr",
        r#"case $* in
version) exit ;;
"-n k8s.io images ls -q") cat "$CLUSTERCTL_ROOT/images" ;;
"-n k8s.io images import "*) echo "import $(cat "$5")" >>"$CLUSTERCTL_ROOT/log"; cat "$5" >>"$CLUSTERCTL_ROOT/images" ;;
"-n k8s.io images pull "*) echo "pull $5" >>"$CLUSTERCTL_ROOT/log"; echo "$5" >>"$CLUSTERCTL_ROOT/images" ;;
esac"#,
    ),
    (
        "modprobe",
        r#"echo "modprobe $2" >>"$CLUSTERCTL_ROOT/log"
[ "$2" = absent ] && { echo "modprobe: FATAL: Module $2 not found" >&2; exit 1; }
mkdir -p "$CLUSTERCTL_ROOT/sys/module/$2""#,
    ),
    (
        "swapoff",
        r#"echo "swapoff $2" >>"$CLUSTERCTL_ROOT/log"; sed -i 1q "$CLUSTERCTL_ROOT/proc/swaps""#,
    ),
    (
        "apt-get",
        r#"echo "apt-get $*" >>"$CLUSTERCTL_ROOT/log"
for name; do :; done
printf '#!/bin/sh\n' >"$CLUSTERCTL_ROOT/bin/$name-command"; chmod +x "$CLUSTERCTL_ROOT/bin/$name-command""#,
    ),
    ("journalctl", "echo 'the unit said why'"),
    ("crictl", "exit 1"),
];

pub(crate) struct Root {
    dir: TempDir,
    shell: Vec<&'static str>,
}

/// One root for every shell that is there.
pub(crate) fn roots() -> Vec<Root> {
    roots_of(&[&["dash"], &["bash", "--posix"]])
}

/// The same with busybox, which brings its own coreutils, and its own modprobe
/// and swapoff in place of the stand-ins: for what needs neither.
pub(crate) fn roots_and_busybox() -> Vec<Root> {
    roots_of(&[&["dash"], &["bash", "--posix"], &["busybox", "sh"]])
}

fn roots_of(shells: &[&[&'static str]]) -> Vec<Root> {
    let roots: Vec<Root> = shells
        .iter()
        .filter(|shell| {
            let version = Command::new(shell[0])
                .arg("-c")
                .arg(":")
                .stderr(Stdio::null())
                .status();
            version.is_ok()
        })
        .map(|shell| Root::new(shell))
        .collect();
    assert!(!roots.is_empty(), "no shell to test with");
    roots
}

impl Root {
    fn new(shell: &[&'static str]) -> Root {
        let root = Root {
            dir: tempfile::tempdir().unwrap(),
            shell: shell.to_vec(),
        };
        for (name, body) in STAND_INS {
            root.write(&format!("bin/{name}"), &format!("#!/bin/sh\n{body}\n"));
            let path = root.path(&format!("bin/{name}"));
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::remove_file(root.path("bin/crictl")).unwrap();
        root.write("units/.keep", "");
        root.write("run/containerd/containerd.sock", "");
        root.write("images", "registry.k8s.io/pause:3.10\n");
        root.write("proc/filesystems", "nodev\tproc\n\text4\n");
        root.write("proc/swaps", "Filename Type Size Used Priority\n");
        root.write("proc/sys/net/ipv4/ip_forward", "0\n");
        root
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path.trim_start_matches('/'))
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    pub(crate) fn mode(&self, path: &str) -> u32 {
        fs::symlink_metadata(self.path(path)).unwrap().mode() & 0o7777
    }

    /// `user:group` of whoever runs the tests.
    pub(crate) fn owner(&self) -> String {
        let metadata = fs::metadata(self.dir.path()).unwrap();
        format!("{}:{}", metadata.uid(), metadata.gid())
    }

    pub(crate) fn log(&self) -> String {
        let log = self.read("log");
        let _ = fs::remove_file(self.path("log"));
        log
    }

    /// Every path below, apart from what the stand-ins need.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut todo = vec![self.dir.path().to_owned()];
        while let Some(directory) = todo.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.is_symlink() {
                    todo.push(path.clone());
                }
                if path.to_string_lossy().contains(".clusterctl-new") {
                    found.push(path.display().to_string());
                }
            }
        }
        found
    }

    pub(crate) fn shell(&self) -> String {
        self.shell.join(" ")
    }

    /// Starts a script; its input is still to come.
    pub(crate) fn start(&self, script: &Script) -> Child {
        let file = self.path("script.sh");
        fs::write(&file, &script.text).unwrap();
        let bin = self.path("bin");
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        Command::new(self.shell[0])
            .args(&self.shell[1..])
            .arg(&file)
            .env("CLUSTERCTL_ROOT", self.dir.path())
            .env("PATH", path)
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Runs a script as the runner does, with `limit` bytes of its input at
    /// most.
    pub(crate) fn run_cut(&self, script: &Script, limit: usize) -> Output {
        let mut child = self.start(script);
        let mut bytes = Vec::new();
        for input in &script.input {
            match input {
                Input::Bytes(piece) => bytes.extend_from_slice(piece),
                Input::File { path, size } => {
                    let piece = fs::read(path).unwrap();
                    assert_eq!(piece.len() as u64, *size);
                    bytes.extend(piece);
                }
            }
        }
        bytes.truncate(limit);
        let mut stdin = child.stdin.take().unwrap();
        let feed = std::thread::spawn(move || {
            let _ = stdin.write_all(&bytes);
        });
        let output = child.wait_with_output().unwrap();
        feed.join().unwrap();
        Output {
            status: u32::try_from(output.status.code().unwrap_or(255)).unwrap(),
            stdout: output.stdout,
            stderr: output.stderr,
            elapsed: Duration::ZERO,
        }
    }

    pub(crate) fn run(&self, script: &Script) -> Output {
        self.run_cut(script, usize::MAX)
    }

    pub(crate) fn observe(&self, resources: &[Resource]) -> Observed {
        let output = self.run(&observe(resources).unwrap());
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.stderr, b"", "{}: {said}", self.shell());
        Observed::parse(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{said}"))
    }

    pub(crate) fn plan(&self, resources: &[Resource]) -> HostPlan {
        diff(resources, &self.observe(resources), &Owner::named("demo")).unwrap()
    }

    /// Converges, and demands that it worked and that nothing is left to do.
    pub(crate) fn converge(&self, resources: &[Resource]) -> HostPlan {
        let plan = self.plan(resources);
        let output = self.run(&converge(&plan).unwrap());
        assert_eq!(
            (
                output.status,
                String::from_utf8_lossy(&output.stderr).as_ref()
            ),
            (0, ""),
            "{}: {}",
            self.shell(),
            String::from_utf8_lossy(&output.stdout)
        );
        clusterctl::host::converged(&plan, &output).unwrap();
        assert_eq!(self.leftovers(), Vec::<String>::new());
        let again = self.plan(resources);
        assert!(again.is_empty(), "{}: {:#?}", self.shell(), again.changes);
        plan
    }
}
