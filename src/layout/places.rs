//! Where on a host a file may be put: by `files` of the inventory, or by us.

use super::components;
use super::paths::{BIN_DIR, STATE_DIR};

/// Files that decide who may log in to a host, or what its programs are.
const VITAL: [&str; 17] = [
    "/etc/passwd",
    "/etc/passwd-",
    "/etc/group",
    "/etc/group-",
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/subuid",
    "/etc/subgid",
    "/etc/sudoers",
    "/etc/ssh/sshd_config",
    "/etc/machine-id",
    "/etc/fstab",
    "/etc/nsswitch.conf",
    "/etc/ld.so.preload",
    "/etc/ld.so.cache",
];

/// Programs that are put into [`BIN_DIR`].
pub const PROGRAMS: [&str; 4] = [components::KUBELET, "kubectl", "kubeadm", "crictl"];

/// Why no file is ever put somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Never {
    /// The reason.
    pub why: &'static str,
    /// What to do instead, if there is something.
    pub instead: Option<&'static str>,
}

/// Why no file is ever put there; `None` if one may be. What a receipt names that is refused
/// here was not put there by us.
pub fn why_never(path: &str) -> Option<Never> {
    let never = |why, instead| Some(Never { why, instead });
    let below = |dirs: &[&str]| {
        dirs.iter().any(|dir| {
            let rest = path.strip_prefix(dir);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    let (parent, name) = path.rsplit_once('/').unwrap_or_default();
    if below(&["/proc", "/sys", "/dev"]) {
        return never("it is the kernel's", Some("use `sysctls`"));
    }
    if below(&[STATE_DIR]) {
        return never("clusterctl-rs keeps its own files there", None);
    }
    if VITAL.contains(&path) || below(&["/etc/pam.d"]) || name.starts_with("ssh_host_") {
        let instead = "use the directory of additions to it, if there is one";
        return never("the host depends on it", Some(instead));
    }
    if path.contains("/.ssh/") {
        return never("it decides who may log in", None);
    }
    let programs = ["/bin", "/sbin", "/usr/bin", "/usr/sbin"];
    if below(&programs) && !(parent == BIN_DIR && PROGRAMS.contains(&name)) {
        return never("it is the distribution's", Some("use `/usr/local/bin`"));
    }
    let is_library = name.ends_with(".so") || name.contains(".so.");
    let libraries = [
        "/lib",
        "/lib32",
        "/lib64",
        "/usr/lib",
        "/usr/lib32",
        "/usr/lib64",
    ];
    if below(&libraries) && is_library {
        return never("it is the distribution's", Some("use `/usr/local/lib`"));
    }
    let is_package_list = below(&["/var/lib/dpkg", "/var/lib/rpm", "/usr/lib/sysimage"]);
    match is_package_list {
        true => never("it is the package manager's", None),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_depends_on_is_no_place_for_files() {
        for path in [
            "/etc/passwd",
            "/etc/shadow",
            "/etc/ssh/sshd_config",
            "/etc/ssh/ssh_host_ed25519_key",
            "/etc/pam.d/sshd",
            "/root/.ssh/authorized_keys",
            "/usr/bin/ssh",
            "/bin/sh",
            "/usr/sbin/sshd",
            "/usr/lib/x86_64-linux-gnu/libc.so.6",
            "/proc/sys/kernel/core_pattern",
            "/dev/sda",
            "/var/lib/dpkg/status",
            "/var/lib/clusterctl/receipt.json",
        ] {
            assert!(why_never(path).is_some(), "{path}");
        }
        for path in [
            "/usr/bin/kubelet",
            "/usr/local/bin/tool",
            "/usr/lib/systemd/system/kubelet.service",
            "/usr/lib/cni/bridge",
            "/etc/ssh/sshd_config.d/x.conf",
            "/etc/motd",
            "/etc/hosts",
            "/boot/firmware/cmdline.txt",
            "/procedures",
            "/usr/lib/systemd/system/a.socket",
        ] {
            assert_eq!(why_never(path), None, "{path}");
        }
    }
}
