//! Package managers: one row each, and one function in `packages.sh`.
//!
//! To add one: a row in [`PACKAGE_MANAGERS`], and `install_by_NAME` in `packages.sh`.

use std::collections::BTreeSet;

use crate::layout::paths;

/// A package manager: how it is recognized, and what packages are called on it.
#[derive(Debug)]
pub struct PackageManager {
    /// The name in [`Facts::package_manager`](super::Facts::package_manager), in messages,
    /// and in `install_by_NAME`.
    pub name: &'static str,
    /// The command whose presence shows that the host uses it.
    pub command: &'static str,
    /// The package that brings `ip`.
    pub iproute: &'static str,
    /// The package that brings containerd.
    pub containerd: &'static str,
    /// Distributions (`ID` of /etc/os-release) whose containerd package has another name.
    pub other_containerd: &'static [(&'static str, &'static str)],
    /// The file that a distribution's kubelet unit reads `KUBELET_EXTRA_ARGS` from.
    pub kubelet_environment: &'static str,
}

/// Red Hat's own distributions have no containerd: there it is Docker's package, if the host
/// knows that repository. These do have one.
const WITH_CONTAINERD: &[(&str, &str)] = &[
    ("fedora", "containerd"),
    ("amzn", "containerd"),
    ("azurelinux", "containerd"),
    ("mariner", "containerd"),
];

/// Every package manager that is supported. The first one that a host has is used.
const PACKAGE_MANAGERS: [PackageManager; 4] = [
    PackageManager {
        name: "apt",
        command: "apt-get",
        iproute: "iproute2",
        containerd: "containerd",
        other_containerd: &[],
        kubelet_environment: paths::KUBELET_ENVIRONMENT_DEBIAN,
    },
    PackageManager {
        name: "dnf",
        command: "dnf",
        iproute: "iproute",
        containerd: "containerd.io",
        other_containerd: WITH_CONTAINERD,
        kubelet_environment: paths::KUBELET_ENVIRONMENT_RED_HAT,
    },
    PackageManager {
        name: "yum",
        command: "yum",
        iproute: "iproute",
        containerd: "containerd.io",
        other_containerd: WITH_CONTAINERD,
        kubelet_environment: paths::KUBELET_ENVIRONMENT_RED_HAT,
    },
    PackageManager {
        name: "zypper",
        command: "zypper",
        iproute: "iproute2",
        containerd: "containerd",
        other_containerd: &[],
        kubelet_environment: paths::KUBELET_ENVIRONMENT_RED_HAT,
    },
];

/// What is assumed of a host without a known package manager: nothing is installed there,
/// but the names appear in the plan's messages.
const UNKNOWN: PackageManager = PackageManager {
    name: "",
    command: "",
    iproute: "iproute2",
    containerd: "containerd.io",
    other_containerd: WITH_CONTAINERD,
    kubelet_environment: paths::KUBELET_ENVIRONMENT_DEBIAN,
};

impl PackageManager {
    /// The package that brings a command: one of the command's name unless we know better.
    pub(crate) fn package_of<'a>(&self, command: &'a str) -> &'a str {
        match command {
            "ip" => self.iproute,
            other => other,
        }
    }

    /// The package manager of that name; one with an empty name if it is not known.
    pub fn by_name(name: &str) -> &'static Self {
        let mut all = PACKAGE_MANAGERS.iter();
        all.find(|one| one.name == name).unwrap_or(&UNKNOWN)
    }

    /// The package that brings containerd on a distribution.
    pub fn containerd_package(&self, os_id: &str) -> &'static str {
        let mut others = self.other_containerd.iter();
        let other = others.find(|(id, _)| *id == os_id);
        other.map_or(self.containerd, |(_, name)| name)
    }
}

/// The package manager of a host that has these commands.
pub(super) fn detect_package_manager(
    commands: &BTreeSet<String>,
) -> Option<&'static PackageManager> {
    let mut all = PACKAGE_MANAGERS.iter();
    all.find(|one| commands.contains(one.command))
}

/// The commands by which package managers are recognized.
pub(super) fn package_manager_commands() -> Vec<&'static str> {
    PACKAGE_MANAGERS.iter().map(|one| one.command).collect()
}

/// The names of all package managers, for messages: `apt, dnf, …`.
pub(super) fn package_manager_names() -> String {
    PACKAGE_MANAGERS.map(|one| one.name).join(", ")
}

/// The list that `find_manager` in `packages.sh` goes through, as a line of shell.
pub(super) fn package_managers_line() -> String {
    let pairs = PACKAGE_MANAGERS.map(|one| format!("{},{}", one.command, one.name));
    format!("package_managers='{}'", pairs.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_manager_has_its_function() {
        let shell = include_str!("packages.sh");
        for one in &PACKAGE_MANAGERS {
            let function = format!("\ninstall_by_{}() {{", one.name);
            assert!(shell.contains(&function), "{}", one.name);
        }
    }

    #[test]
    fn containerd_comes_from_docker_where_the_distribution_has_none() {
        let package = |manager, os_id| PackageManager::by_name(manager).containerd_package(os_id);
        assert_eq!(package("apt", "debian"), "containerd");
        assert_eq!(package("zypper", "opensuse-leap"), "containerd");
        assert_eq!(package("dnf", "fedora"), "containerd");
        assert_eq!(package("dnf", "rocky"), "containerd.io");
        assert_eq!(package("", "amzn"), "containerd");
        assert_eq!(package("", "gentoo"), "containerd.io");
    }
}
