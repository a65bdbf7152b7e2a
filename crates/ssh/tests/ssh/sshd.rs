//! A private sshd for one test: own port, keys and, if the test runs as root,
//! own users, in a mount namespace that leaves the machine as it is.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};
use ssh::{
    Connector, NoPrompt, Output, Prompt, RunOptions, Script, Secret, Session, Settings, SshError,
    Target, Workstation,
};

/// The sudo password of every user that has one.
pub(crate) const PASSWORD: &str = "correct horse";

/// Users that exist when the test runs as root: name, uid, shell.
const USERS: [(&str, u32, &str); 8] = [
    ("root", 0, "/bin/sh"),
    ("asked", 61001, "/bin/bash"),
    ("free", 61002, "/bin/sh"),
    ("pty", 61003, "/bin/bash"),
    ("plain", 61004, "/bin/sh"),
    ("fish", 61005, "/usr/bin/fish"),
    ("zsh", 61006, "/usr/bin/zsh"),
    ("noisy", 61007, "/bin/bash"),
];

const SUDOERS: &str = "Defaults env_reset, insults\n\
    Defaults:pty use_pty\n\
    asked ALL=(ALL:ALL) ALL\n\
    free ALL=(ALL:ALL) NOPASSWD: ALL\n\
    pty ALL=(ALL:ALL) NOPASSWD: ALL\n\
    fish ALL=(ALL:ALL) NOPASSWD: ALL\n\
    zsh ALL=(ALL:ALL) NOPASSWD: ALL\n";

pub(crate) struct Sshd {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) port: u16,
    child: Child,
}

impl Sshd {
    pub(crate) fn start() -> Self {
        Self::with("")
    }

    /// With more lines of `sshd_config`.
    pub(crate) fn with(config: &str) -> Self {
        Self::prepared(config, "true")
    }

    /// With more lines of `sshd_config`, and a command that changes what its
    /// users see of the machine. The command needs root.
    pub(crate) fn prepared(config: &str, prepare: &str) -> Self {
        let program = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"]
            .into_iter()
            .find(|path| Path::new(path).exists())
            .expect("no sshd found: install openssh-server");
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        write_key(&dir.path().join("host_key"), &new_key(), None);
        let login = new_key();
        write_key(&dir.path().join("id"), &login, None);
        std::fs::write(
            dir.path().join("authorized_keys"),
            login.public_key().to_openssh().unwrap(),
        )
        .unwrap();
        let path = dir.path().display();
        let port = free_port();
        let base = format!(
            "{config}\nPort {port}\nListenAddress 127.0.0.1\nHostKey {path}/host_key\n\
             AuthorizedKeysFile {path}/authorized_keys\nPidFile none\nUsePAM no\n\
             StrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nMaxStartups 200\n"
        );
        std::fs::write(dir.path().join("sshd_config"), base).unwrap();
        let mut command = if is_root() {
            make_users(dir.path());
            let mut command = Command::new("unshare");
            let script = format!(
                "set -e; mount -t tmpfs tmpfs /run; mkdir -p /run/sshd; cd {path}/etc; \
                 for f in passwd shadow sudoers; do \
                 [ -e /etc/$f ] && mount --bind $f /etc/$f; done; {prepare}; \
                 exec {program} -D -E {path}/log -f {path}/sshd_config"
            );
            command.args(["-m", "sh", "-c", &script]);
            command
        } else {
            let mut command = Command::new(program);
            command.arg("-D").arg("-E").arg(dir.path().join("log"));
            command.arg("-f").arg(dir.path().join("sshd_config"));
            command
        };
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .expect("cannot start sshd");
        let mut sshd = Sshd { dir, port, child };
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                Instant::now() < deadline && sshd.child.try_wait().unwrap().is_none(),
                "sshd does not start: {}",
                std::fs::read_to_string(sshd.dir.path().join("log")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        sshd.trust("known_hosts");
        sshd
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a known_hosts file that has the right key.
    fn trust(&self, file: &str) {
        std::fs::write(self.path(file), self.known_hosts_line()).unwrap();
    }

    pub(crate) fn known_hosts_line(&self) -> String {
        let key = std::fs::read_to_string(self.path("host_key.pub")).unwrap();
        format!("[127.0.0.1]:{} {key}\n", self.port)
    }

    /// Settings that work.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            port: Some(self.port),
            user: Some(current_user()),
            private_key: Some(self.path("id")),
            agent: false,
            known_hosts: vec![self.path("known_hosts")],
            use_ssh_config: false,
            connect_timeout: Some(Duration::from_secs(10)),
            ..Settings::new("127.0.0.1")
        }
    }

    /// A workstation whose home is this test's own.
    pub(crate) fn workstation(&self) -> Workstation {
        Workstation {
            home: self.path("home"),
            user: current_user(),
            uid: 0,
            host_name: "workstation".into(),
            ssh_config: Some(self.path("home/.ssh/config")),
            system_config: None,
            agent: None,
            system_known_hosts: Vec::new(),
        }
    }

    pub(crate) fn resolve(&self, settings: &Settings) -> Target {
        Target::resolve("node", settings, &self.workstation()).unwrap()
    }

    pub(crate) async fn connect(&self) -> Session {
        self.connect_with(&self.settings()).await.unwrap()
    }

    pub(crate) async fn connect_as(&self, user: &str) -> Session {
        let settings = Settings {
            user: Some(user.into()),
            ..self.settings()
        };
        self.connect_with(&settings).await.unwrap()
    }

    pub(crate) async fn connect_with(&self, settings: &Settings) -> Result<Session, SshError> {
        Session::connect(&self.resolve(settings), &connector()).await
    }

    /// Sends a signal to this sshd and to the processes that serve its
    /// connections, but not to the commands that these started.
    pub(crate) fn signal(&self, signal: &str) {
        let mut pids = self.connection_pids();
        pids.push(self.child.id());
        kill(signal, &pids);
    }

    /// The processes that serve connections.
    pub(crate) fn connection_pids(&self) -> Vec<u32> {
        let all = processes();
        let children = |parents: &[u32]| -> Vec<u32> {
            all.iter()
                .filter(|one| parents.contains(&one.1))
                .map(|one| one.0)
                .collect()
        };
        let monitors = children(&[self.child.id()]);
        let mut pids: Vec<u32> = children(&monitors);
        pids.retain(|pid| command_of(*pid).starts_with("sshd"));
        pids.extend(monitors);
        pids
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.signal("KILL");
        let _ = self.child.wait();
    }
}

pub(crate) fn kill(signal: &str, pids: &[u32]) {
    let pids = pids.iter().map(u32::to_string);
    let _ = Command::new("kill")
        .arg(format!("-{signal}"))
        .args(pids)
        .stderr(Stdio::null())
        .status();
}

fn command_of(pid: u32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

fn processes() -> Vec<(u32, u32)> {
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter_map(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let (_, after) = stat.rsplit_once(')')?;
            Some((pid, after.split_whitespace().nth(1)?.parse().ok()?))
        })
        .collect()
}

/// Whether a process runs whose command line contains `text`.
pub(crate) fn running(text: &str) -> bool {
    processes()
        .iter()
        .any(|(pid, _)| command_of(*pid).contains(text))
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, within: Duration, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + within;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A number for `sleep` that no other process uses, to find it by.
pub(crate) fn unique_sleep() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::SeqCst);
    format!("sleep 1{:07}.{next}", std::process::id())
}

pub(crate) fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Tests that need several users have nothing to say without root.
#[macro_export]
macro_rules! needs_root {
    () => {
        if !$crate::sshd::is_root() {
            eprintln!("not run: only root can give an sshd users of its own");
            return;
        }
    };
}

fn current_user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_string()
}

fn make_users(dir: &Path) {
    let etc = dir.join("etc");
    std::fs::create_dir(&etc).unwrap();
    let hash = Command::new("openssl")
        .args(["passwd", "-6", PASSWORD])
        .output()
        .expect("no openssl found: install openssl");
    let hash = String::from_utf8(hash.stdout).unwrap();
    let mut passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    passwd = passwd
        .lines()
        .filter(|line| !line.starts_with("root:"))
        .fold(String::new(), |text, line| text + line + "\n");
    let mut shadow = String::new();
    for (name, uid, shell) in USERS {
        let home = dir.join(format!("home-{name}"));
        std::fs::create_dir(&home).unwrap();
        chown(&home, Some(uid), Some(uid)).unwrap();
        passwd += &format!("{name}:x:{uid}:{uid}::{}:{shell}\n", home.display());
        shadow += &format!("{name}:{}:19000:0:99999:7:::\n", hash.trim());
    }
    std::fs::write(
        dir.join("home-noisy/.bashrc"),
        "echo Welcome!; echo oops >&2; printf 'no newline'\n",
    )
    .unwrap();
    for (file, text, mode) in [
        ("passwd", passwd.as_str(), 0o644),
        ("shadow", &shadow, 0o640),
        ("sudoers", SUDOERS, 0o440),
    ] {
        std::fs::write(etc.join(file), text).unwrap();
        std::fs::set_permissions(etc.join(file), PermissionsExt::from_mode(mode)).unwrap();
    }
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

pub(crate) fn new_key() -> PrivateKey {
    PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap()
}

/// Writes a private key and, beside it, the public one.
pub(crate) fn write_key(path: &Path, key: &PrivateKey, passphrase: Option<&str>) {
    let public = key.public_key().to_openssh().unwrap();
    std::fs::write(path.with_added_extension("pub"), public).unwrap();
    let key = match passphrase {
        Some(passphrase) => key
            .encrypt(&mut russh::keys::key::safe_rng(), passphrase)
            .unwrap(),
        None => key.clone(),
    };
    std::fs::write(path, key.to_openssh(LineEnding::LF).unwrap().as_bytes()).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

pub(crate) fn connector() -> Connector {
    Connector::new(Arc::new(NoPrompt), None)
}

/// Answers every question with the same words, and counts.
pub(crate) struct Answer(&'static str, AtomicU32);

impl Answer {
    pub(crate) fn new(text: &'static str) -> Arc<Self> {
        Arc::new(Answer(text, AtomicU32::new(0)))
    }

    pub(crate) fn asked(&self) -> u32 {
        self.1.load(Ordering::SeqCst)
    }
}

impl Prompt for Answer {
    fn passphrase(&self, _: &Path, _: bool) -> std::io::Result<Secret> {
        self.1.fetch_add(1, Ordering::SeqCst);
        Ok(Secret::new(self.0.into()))
    }

    fn sudo_password(&self, _: &str, _: &str, _: bool) -> std::io::Result<Secret> {
        self.1.fetch_add(1, Ordering::SeqCst);
        Ok(Secret::new(self.0.into()))
    }
}

pub(crate) fn script(text: &str) -> Script {
    Script {
        name: "test".into(),
        text: text.into(),
        input: Vec::new(),
    }
}

/// As the login user, with ten seconds.
pub(crate) fn plain() -> RunOptions {
    RunOptions {
        root: false,
        timeout: Duration::from_secs(10),
        ..RunOptions::default()
    }
}

pub(crate) async fn sh(session: &Session, text: &str) -> Result<Output, SshError> {
    session.run(&script(text), &plain()).await
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
