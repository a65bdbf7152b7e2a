//! What a host should look like, piece by piece.

use std::fmt;
use std::path::PathBuf;

use zeroize::Zeroizing;

/// One piece of a host's desired state.
///
/// A list of these is a pure function of cluster, PKI and facts. The order
/// within a list matters only among equals: converging goes by kind (packages,
/// directories, files, modules, sysctls, swap, units, images).
#[derive(Debug, Clone)]
pub enum Resource {
    /// Packages of the distribution, by name, each with the binary whose
    /// presence makes installing it unnecessary.
    Package {
        /// The package's name.
        name: String,
        /// A command that is in PATH once it is installed.
        provides: String,
    },
    /// A directory that exists.
    Directory {
        /// Absolute path.
        path: String,
        /// Permission bits.
        mode: u32,
        /// `user:group`.
        owner: String,
    },
    /// A file with this very content.
    File(FileResource),
    /// A symbolic link that is made only if nothing stands at its path.
    SeedLink {
        /// Absolute path.
        path: String,
        /// What it points to.
        target: String,
    },
    /// A path that must not exist (a file or an empty directory).
    Absent {
        /// Absolute path.
        path: String,
        /// Units to restart once it is gone.
        notify: Vec<String>,
    },
    /// A file that must not exist if it is ours; somebody else's of the same
    /// path stays.
    Withdrawn {
        /// Absolute path.
        path: String,
    },
    /// A kernel feature, loaded as a module where it is one. What counts is its
    /// effect, not modprobe's exit status.
    KernelModule {
        /// The module's name.
        name: String,
        /// A path that exists once it works, such as `/proc/sys/net/bridge`.
        effect: String,
    },
    /// A sysctl's value at run time (the file in /etc/sysctl.d is a file).
    Sysctl {
        /// Dotted name.
        key: String,
        /// Its value.
        value: String,
    },
    /// No swap, now and after a reboot.
    SwapOff,
    /// A systemd unit.
    Unit {
        /// Its name with suffix.
        name: String,
        /// Whether it starts at boot.
        enabled: bool,
        /// Whether it runs now.
        active: bool,
    },
    /// An image in containerd's `k8s.io` namespace, out of an archive.
    ImageArchive {
        /// The archive on the workstation.
        archive: PathBuf,
        /// Its SHA-256, lower hex.
        sha256: String,
        /// Its size in bytes.
        size: u64,
        /// The references that it holds.
        references: Vec<String>,
    },
    /// An image that the host pulls by itself.
    ImagePull {
        /// Its reference.
        reference: String,
    },
}

/// A file with this very content.
#[derive(Debug, Clone)]
pub struct FileResource {
    /// Absolute path.
    pub path: String,
    /// What it holds.
    pub content: Content,
    /// Permission bits.
    pub mode: u32,
    /// `user:group`.
    pub owner: String,
    /// Whether its content must never be shown (keys, kubeconfigs, tokens).
    pub secret: bool,
    /// Write it only if nothing stands there, and never compare it: the kubelet
    /// rotates its certificate by itself.
    pub seed: bool,
    /// Units to restart when its content changes and they run already.
    pub notify: Vec<String>,
    /// Static pods, by their manifests' names without `.yaml`, to restart when
    /// its content changes: they read it once, when they start.
    pub static_pods: Vec<String>,
}

/// What a file holds.
#[derive(Clone)]
pub enum Content {
    /// These bytes.
    Bytes(Zeroizing<Vec<u8>>),
    /// A file of the workstation, streamed.
    Local {
        /// Its path.
        path: PathBuf,
        /// Its SHA-256, lower hex.
        sha256: String,
        /// Its size in bytes.
        size: u64,
    },
}

/// Never shows the bytes: they may be a key's.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Content::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Content::Local { path, size, .. } => {
                write!(f, "Local({}, {size} bytes)", path.display())
            }
        }
    }
}

impl FileResource {
    /// A plain text file, root's, readable by everybody.
    pub fn text(path: impl Into<String>, content: impl Into<String>) -> Self {
        FileResource {
            path: path.into(),
            content: Content::Bytes(Zeroizing::new(content.into().into_bytes())),
            mode: 0o644,
            owner: "root:root".into(),
            secret: false,
            seed: false,
            notify: Vec::new(),
            static_pods: Vec::new(),
        }
    }

    /// The same with other permission bits.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// The same, root's alone (0600) and never shown.
    pub fn secret(mut self) -> Self {
        self.mode = 0o600;
        self.secret = true;
        self
    }

    /// The same, restarting `unit` when it changes.
    pub fn notify(mut self, unit: impl Into<String>) -> Self {
        self.notify.push(unit.into());
        self
    }

    /// The same, restarting static pods when it changes.
    pub fn restarts(mut self, static_pods: &[&str]) -> Self {
        self.static_pods
            .extend(static_pods.iter().map(|pod| (*pod).to_owned()));
        self
    }

    /// Whether it is one of the kubeconfigs that kubeadm writes.
    pub fn is_kubeconfig(&self) -> bool {
        let name = self.path.strip_prefix("/etc/kubernetes/");
        self.secret && name.is_some_and(|name| name.ends_with(".conf") && !name.contains('/'))
    }

    /// The same, written only if nothing stands there.
    pub fn seed(mut self) -> Self {
        self.seed = true;
        self
    }
}
