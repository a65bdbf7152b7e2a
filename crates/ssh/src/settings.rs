//! What the operator and the workstation say about reaching hosts, before
//! anything is decided.

use std::path::PathBuf;
use std::time::Duration;

/// How the operator wants a host reached. `None`: `~/.ssh/config` decides,
/// then OpenSSH's defaults.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Name or address to connect to, as one would give it to `ssh`.
    pub address: String,
    /// User to log in as.
    pub user: Option<String>,
    /// Port.
    pub port: Option<u16>,
    /// Private key; then no other key of the workstation is offered.
    pub private_key: Option<PathBuf>,
    /// File whose first line is the key's passphrase.
    pub passphrase_file: Option<PathBuf>,
    /// Whether to ask the agent.
    pub agent: bool,
    /// Become root by sudo; `None`: if the user is not root.
    pub become_root: Option<bool>,
    /// File whose first line is the sudo password.
    pub become_password_file: Option<PathBuf>,
    /// `[user@]host[:port]`, several joined by commas; `none`.
    pub proxy_jump: Option<String>,
    /// known_hosts files that are searched before the user's own.
    pub known_hosts: Vec<PathBuf>,
    /// Time for each of: connecting, the handshake, a login attempt.
    pub connect_timeout: Option<Duration>,
    /// Whether to read `~/.ssh/config`.
    pub use_ssh_config: bool,
}

impl Settings {
    /// Nothing but an address: all else as OpenSSH would have it.
    pub fn new(address: impl Into<String>) -> Self {
        Settings {
            address: address.into(),
            user: None,
            port: None,
            private_key: None,
            passphrase_file: None,
            agent: true,
            become_root: None,
            become_password_file: None,
            proxy_jump: None,
            known_hosts: Vec::new(),
            connect_timeout: None,
            use_ssh_config: true,
        }
    }
}

/// What resolution needs to know about the workstation.
#[derive(Debug, Clone)]
pub struct Workstation {
    /// The operator's home directory.
    pub home: PathBuf,
    /// The operator's login name.
    pub user: String,
    /// The operator's number.
    pub uid: u32,
    /// This machine's name.
    pub host_name: String,
    /// The user's `ssh_config`, if it is to be read.
    pub ssh_config: Option<PathBuf>,
    /// The system's `ssh_config`, if it is to be read.
    pub system_config: Option<PathBuf>,
    /// The agent's socket.
    pub agent: Option<PathBuf>,
    /// known_hosts files of the whole system.
    pub system_known_hosts: Vec<PathBuf>,
}

impl Workstation {
    /// This machine, this user.
    pub fn current() -> Self {
        let home = std::env::home_dir().unwrap_or_else(|| PathBuf::from("/"));
        let host_name = std::fs::read_to_string("/proc/sys/kernel/hostname");
        Workstation {
            ssh_config: Some(home.join(".ssh/config")),
            system_config: Some("/etc/ssh/ssh_config".into()),
            agent: std::env::var_os("SSH_AUTH_SOCK")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            system_known_hosts: vec![
                "/etc/ssh/ssh_known_hosts".into(),
                "/etc/ssh/ssh_known_hosts2".into(),
            ],
            home,
            user: login_name().unwrap_or_else(|| "root".into()),
            uid: own_uid(),
            host_name: host_name.unwrap_or_default().trim().to_string(),
        }
    }
}

/// The operator's login name, if it can be found: as `ssh` has it, which is not what the
/// environment says, unless the file has no entry (a directory service).
pub fn login_name() -> Option<String> {
    let uid = own_uid().to_string();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut entries = passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    let entry = entries.find(|fields| fields.get(2) == Some(&uid.as_str()));
    let in_environment = || {
        ["USER", "LOGNAME"]
            .iter()
            .filter_map(|name| std::env::var(name).ok())
            .find(|name| !name.is_empty())
    };
    match entry {
        Some(fields) => Some(fields[0].to_string()),
        None => in_environment(),
    }
}

fn own_uid() -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").map_or(0, |process| process.uid())
}
