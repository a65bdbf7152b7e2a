//! Facts, out of what the probe brought.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::answer::Answer;
use super::ask::CNI_DIRECTORIES;
use super::beside::read_client_end;
use super::containerd::read_containerd;
use super::model::{Address, Facts};
use super::proxies::{proxies, runtime_proxies};
use super::routes::uses_opt;
use super::small_files::Files;
use crate::host::packages::detect_package_manager;
use crate::host::proc::swap_devices;
use crate::host::wire::Sections;
use crate::layout::paths;

/// Longest file that a fact can come from is a line; more addresses than this
/// are of no use.
const MAX_ADDRESSES: usize = 1000;

pub(super) fn derive_facts(answer: &Answer<'_>) -> Facts {
    let files = &answer.files;
    let addresses = addresses(&answer.sections.text("addresses"));
    let (default_interface, default_ip) =
        default_route(&answer.sections.text("routes"), &addresses);
    let systemd_resolved = answer
        .units
        .get("systemd-resolved.service")
        .is_some_and(|unit| unit.active == "active");
    let version_of = |who: &str| answer.said_by(who).first().and_then(|line| version(line));
    let present = |path: &str| answer.present.contains(path);
    let first_line = |path: &str| files.first(path).unwrap_or_default();
    Facts {
        hostname: answer.machine_line(0).to_lowercase(),
        kernel: answer.machine_line(1).to_owned(),
        arch: architecture(answer.machine_line(2)).to_owned(),
        cpus: answer.machine_number(3),
        os_id: os_release(files, "ID"),
        os_version: os_release(files, "VERSION_ID"),
        os_name: os_release(files, "PRETTY_NAME"),
        cgroup_version: match files.first("/sys/fs/cgroup/cgroup.controllers") {
            Some(_) => 2,
            None => 1,
        },
        mtu: first_line(&format!("/sys/class/net/{default_interface}/mtu"))
            .parse()
            .unwrap_or_default(),
        default_ip,
        default_interface,
        addresses,
        nameservers: nameservers(files, systemd_resolved),
        systemd_resolved,
        ca_directories: ca_directories(&answer.present),
        proxy_env: proxies(files),
        runtime_proxies: runtime_proxies(files),
        mtus: files.mtus(),
        uses_opt: uses_opt(&answer.sections.text("places")),
        kubelet_version: version_of("kubelet"),
        kubeadm_version: version_of("kubeadm"),
        containerd_version: version_of("containerd").map(|version| upstream_version(&version)),
        package_manager: detect_package_manager(&answer.commands)
            .map_or(String::new(), |manager| manager.name.to_owned()),
        cni_bin_dir: cni_directory(&answer.present),
        memory: memory(files),
        machine_id: first_line("/etc/machine-id").to_owned(),
        product_uuid: first_line("/sys/class/dmi/id/product_uuid").to_lowercase(),
        swap: swap_devices(files.lines("/proc/swaps")),
        joined: present(paths::KUBELET_CONF),
        etcd_initial_cluster: etcd_flag(&answer.sections, "initial-cluster"),
        etcd_initial_cluster_state: etcd_flag(&answer.sections, "initial-cluster-state"),
        containerd: read_containerd(&answer.sections),
        super_admin: present(paths::SUPER_ADMIN_CONF),
        kubelet_certificate_end: read_client_end(&answer.sections),
        kubelet_server: answer
            .joined_field("server")
            .map(|server| server.trim().trim_matches(['"', '\'']).to_owned()),
    }
}

/// As kubeadm does: pods get the servers behind systemd-resolved, not its loopback address.
fn nameservers(files: &Files, systemd_resolved: bool) -> Vec<IpAddr> {
    files.nameservers(match systemd_resolved {
        true => "/run/systemd/resolve/resolv.conf",
        false => "/etc/resolv.conf",
    })
}

fn ca_directories(present: &BTreeSet<String>) -> Vec<String> {
    let there = paths::CA_DIRECTORIES
        .iter()
        .filter(|directory| present.contains(**directory));
    there.map(|directory| (*directory).to_owned()).collect()
}

/// The directory that has the two plugins without which there is no pod network.
fn cni_directory(present: &BTreeSet<String>) -> Option<String> {
    let complete = CNI_DIRECTORIES.iter().find(|directory| {
        ["bridge", "host-local"]
            .iter()
            .all(|plugin| present.contains(&format!("{directory}/{plugin}")))
    });
    complete.map(|directory| (*directory).to_owned())
}

/// Bytes, out of the kibibytes of /proc/meminfo.
fn memory(files: &Files) -> u64 {
    let kibibytes = files
        .first("/proc/meminfo")
        .and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kibibytes.unwrap_or_default().saturating_mul(1024)
}

/// A version without what a distribution appends: `2.1.9+unknown`, `1.6.20~ds1`.
fn upstream_version(version: &str) -> String {
    let plain = version.trim_start_matches('v').split(['+', '~']).next();
    plain.unwrap_or_default().to_owned()
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
