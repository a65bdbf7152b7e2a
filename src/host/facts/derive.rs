//! Facts, out of what the probe brought.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::ask::{CA_DIRECTORIES, CNI_DIRECTORIES};
use super::model::{Address, Facts};
use super::small_files::Files;
use crate::host::packages::detect_package_manager;
use crate::host::proc::swap_devices;
use crate::host::systemd::UnitState;
use crate::host::wire::Sections;

/// Longest file that a fact can come from is a line; more addresses than this
/// are of no use.
const MAX_ADDRESSES: usize = 1000;

pub(super) fn derive_facts<'a>(
    machine: &[String],
    files: &Files,
    sections: &Sections<'_>,
    present: &BTreeSet<String>,
    commands: &BTreeSet<String>,
    units: &BTreeMap<String, UnitState>,
    said: &dyn Fn(&str) -> Vec<&'a str>,
) -> Facts {
    let line = |index: usize| machine.get(index).map_or("", |line| line.trim());
    let addresses = addresses(&sections.text("addresses"));
    let (default_interface, default_ip) = default_route(&sections.text("routes"), &addresses);
    let systemd_resolved = units
        .get("systemd-resolved.service")
        .is_some_and(|unit| unit.active == "active");
    Facts {
        hostname: line(0).to_lowercase(),
        kernel: line(1).to_owned(),
        arch: architecture(line(2)).to_owned(),
        cpus: number(machine, 3),
        os_id: os_release(files, "ID"),
        os_version: os_release(files, "VERSION_ID"),
        os_name: os_release(files, "PRETTY_NAME"),
        cgroup_version: match files.first("/sys/fs/cgroup/cgroup.controllers") {
            Some(_) => 2,
            None => 1,
        },
        mtu: files
            .first(&format!("/sys/class/net/{default_interface}/mtu"))
            .and_then(|mtu| mtu.parse().ok())
            .unwrap_or_default(),
        default_ip,
        default_interface,
        addresses,
        // As kubeadm does: pods get the servers behind systemd-resolved, not
        // its loopback address.
        nameservers: files.nameservers(if systemd_resolved {
            "/run/systemd/resolve/resolv.conf"
        } else {
            "/etc/resolv.conf"
        }),
        systemd_resolved,
        ca_directories: CA_DIRECTORIES
            .iter()
            .filter(|directory| present.contains(**directory))
            .map(|directory| (*directory).to_owned())
            .collect(),
        proxy_env: proxies(files),
        kubelet_version: said("kubelet").first().and_then(|line| version(line)),
        kubeadm_version: said("kubeadm").first().and_then(|line| version(line)),
        // Without what a distribution appends: `2.1.9+unknown`, `1.6.20~ds1`.
        containerd_version: said("containerd")
            .first()
            .and_then(|line| version(line))
            .and_then(|version| {
                Some(
                    version
                        .trim_start_matches('v')
                        .split(['+', '~'])
                        .next()?
                        .to_owned(),
                )
            }),
        package_manager: detect_package_manager(commands)
            .map_or(String::new(), |manager| manager.name.to_owned()),
        cni_bin_dir: CNI_DIRECTORIES
            .iter()
            .find(|directory| {
                ["bridge", "host-local"]
                    .iter()
                    .all(|plugin| present.contains(&format!("{directory}/{plugin}")))
            })
            .map(|directory| (*directory).to_owned()),
        memory: files
            .first("/proc/meminfo")
            .and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
            .unwrap_or_default()
            .saturating_mul(1024),
        machine_id: files
            .first("/etc/machine-id")
            .unwrap_or_default()
            .to_owned(),
        product_uuid: files
            .first("/sys/class/dmi/id/product_uuid")
            .unwrap_or_default()
            .to_lowercase(),
        swap: swap_devices(files.lines("/proc/swaps")),
        joined: present.contains("/etc/kubernetes/kubelet.conf"),
        etcd_initial_cluster: etcd_flag(sections, "initial-cluster"),
        etcd_initial_cluster_state: etcd_flag(sections, "initial-cluster-state"),
        super_admin: present.contains("/etc/kubernetes/super-admin.conf"),
        kubelet_server: sections
            .text("joined")
            .iter()
            .find_map(|line| line.strip_prefix("server "))
            .map(|server| server.trim().trim_matches(['"', '\'']).to_owned()),
    }
}

/// Line `index` as a number; 0 if it is none.
pub(super) fn number<T: std::str::FromStr + Default>(lines: &[String], index: usize) -> T {
    lines
        .get(index)
        .and_then(|line| line.trim().parse().ok())
        .unwrap_or_default()
}

/// Go's name for what `uname -m` says.
fn architecture(machine: &str) -> &str {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "armv7l" | "armv6l" => "arm",
        "i386" | "i686" => "386",
        "loongarch64" => "loong64",
        other => other,
    }
}

/// A field of os-release, without its quotes.
fn os_release(files: &Files, key: &str) -> String {
    ["/etc/os-release", "/usr/lib/os-release"]
        .into_iter()
        .find_map(|path| {
            let value = files
                .lines(path)
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
            Some(value.trim().trim_matches(['"', '\'']).to_owned())
        })
        .unwrap_or_default()
}

/// `*_proxy` variables of /etc/environment and of root's environment, which
/// wins.
fn proxies(files: &Files) -> Vec<(String, String)> {
    let mut found = BTreeMap::new();
    for source in ["/etc/environment", "env"] {
        for line in files.lines(source) {
            let line = line.trim().trim_start_matches("export ").trim_start();
            let Some((name, value)) = line.split_once('=') else {
                continue;
            };
            let name = name.trim();
            if name.to_lowercase().ends_with("_proxy")
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            {
                let value = value.trim().trim_matches(['"', '\'']);
                found.insert(name.to_owned(), value.to_owned());
            }
        }
    }
    found.into_iter().collect()
}

/// `v1.36.2` out of the words of a `--version`.
fn version(line: &str) -> Option<String> {
    line.split_whitespace()
        .find(|word| {
            let plain = word.strip_prefix('v').unwrap_or(word);
            plain.starts_with(|c: char| c.is_ascii_digit()) && plain.contains('.')
        })
        .map(str::to_owned)
}

/// Global addresses in the lines of `ip -o addr show`.
fn addresses(lines: &[String]) -> Vec<Address> {
    lines
        .iter()
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            let interface = words.next()?.split('@').next()?.to_owned();
            let family = words.next()?;
            let rest: Vec<&str> = words.collect();
            let after = |key: &str| {
                let at = rest.iter().position(|word| *word == key)?;
                rest.get(at + 1).copied()
            };
            if !matches!(family, "inet" | "inet6") || after("scope") != Some("global") {
                return None;
            }
            if rest.contains(&"deprecated") || rest.contains(&"temporary") {
                return None;
            }
            let (address, own_prefix) = match rest.first()?.split_once('/') {
                Some((address, prefix)) => (address, Some(prefix)),
                None => (*rest.first()?, None),
            };
            let peer = after("peer").and_then(|peer| Some(peer.split_once('/')?.1));
            let address: IpAddr = address.parse().ok()?;
            let longest = if address.is_ipv4() { 32 } else { 128 };
            Some(Address {
                interface,
                address,
                prefix: own_prefix
                    .or(peer)
                    .and_then(|prefix| prefix.parse().ok())
                    .unwrap_or(longest)
                    .min(longest),
            })
        })
        .take(MAX_ADDRESSES)
        .collect()
}

/// Interface and source address of the best default route. IPv4 routes come
/// first; among one family's the lowest metric wins.
fn default_route(lines: &[String], addresses: &[Address]) -> (String, Option<IpAddr>) {
    let mut routes: Vec<(bool, u32, &str, Option<IpAddr>)> = lines
        .iter()
        .filter(|line| line.starts_with("default"))
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let after = |key: &str| {
                let at = words.iter().position(|word| *word == key)?;
                words.get(at + 1).copied()
            };
            let source = after("src").and_then(|src| src.parse::<IpAddr>().ok());
            let gateway = after("via")
                .and_then(|via| via.trim_start_matches("inet6 ").parse::<IpAddr>().ok());
            let v6 = source.or(gateway).is_some_and(|address| address.is_ipv6());
            let metric = after("metric").and_then(|metric| metric.parse().ok());
            Some((v6, metric.unwrap_or(0), after("dev")?, source))
        })
        .collect();
    routes.sort_by_key(|(v6, metric, ..)| (*v6, *metric));
    for (v6, _, interface, source) in &routes {
        let own = addresses
            .iter()
            .find(|own| own.interface == *interface && own.address.is_ipv6() == *v6)
            .map(|own| own.address);
        if let Some(address) = source.or(own) {
            return ((*interface).to_owned(), Some(address));
        }
    }
    let first = routes.first().map_or("", |(_, _, interface, _)| interface);
    (first.to_owned(), None)
}

/// Longest `--initial-cluster` that is kept, in bytes: seven members with the
/// longest names that DNS allows.
const MAX_FLAG: usize = 4096;

/// A flag of the etcd manifest, by its name without dashes. etcd's own words in
/// printable ASCII; anything else isn't what we wrote.
fn etcd_flag(sections: &Sections<'_>, name: &str) -> Option<String> {
    let value = sections.raw("etcd").iter().find_map(|line| {
        let rest = line.strip_prefix(name.as_bytes())?;
        rest.strip_prefix(b" ")
    })?;
    let text = std::str::from_utf8(value).ok()?.trim();
    let fits = text.len() <= MAX_FLAG && text.bytes().all(|b| b.is_ascii_graphic());
    fits.then(|| text.to_owned())
}
