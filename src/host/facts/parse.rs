//! Reads what a machine tells about itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::answer::{Answer, absolute_paths};
use super::ask::DISKS;
use super::beside::{read_beside, read_certificates};
use super::derive::derive_facts;
use super::gathered::{Gathered, Listener, Runtime};
use super::proxies::runtime_proxy_files;
use super::routes::{is_usr_read_only, routes};
use super::running::Running;
use super::small_files::Files;
use crate::host::error::HostError;
use crate::host::owner::Owner;
use crate::host::wire::Sections;
use crate::layout::{names, paths};

/// Reads what [`gather`](super::gather)'s script said.
///
/// # Errors
///
/// An answer that isn't one, or that was cut off.
pub fn parse_gathered(raw: &[u8]) -> Result<Gathered, HostError> {
    let answer = Answer::parse(raw)?;
    let files = &answer.files;
    let has_getent = answer.commands.contains("getent");
    let resolved = |who: &str| has_getent.then(|| addresses(&answer.said_by(who)));
    let etcd = answer.sections.text("etcd");
    let etcd_says = |what: &str| etcd.iter().any(|line| line == what);
    let facts = derive_facts(&answer);
    let containerd = facts.containerd.config.clone().unwrap_or_default();
    Ok(Gathered {
        facts,
        uid: answer.machine_number(4),
        filled: absolute_paths(&answer.sections, "filled"),
        disks: free_space(&answer.sections.text("disks")),
        listeners: listeners(&answer.sections.text("ports")),
        kernel_options: kernel_options(&answer.sections.text("kernel")),
        cgroup_controllers: controllers(files),
        cgroup_freezer: answer.present.contains("freezer"),
        sysctls: files.sysctls(),
        resolv_conf: files.nameservers("/etc/resolv.conf"),
        hostname_addresses: resolved("hostname"),
        endpoint_addresses: resolved("endpoint"),
        routes: routes(&answer.sections.text("networks")),
        packages_interrupted: !answer.sections.text("packages").is_empty(),
        read_only_usr: is_usr_read_only(&answer.sections.text("places")),
        runtime_proxy_files: runtime_proxy_files(files),
        runtime: runtime(&answer),
        selinux_enforcing: files.first("/sys/fs/selinux/enforce") == Some("1"),
        kubelet_ca: certificate_authority(answer.sections.raw("joined")),
        receipt_owner: answer.joined_field("cluster").map(|cluster| Owner {
            cluster,
            cluster_id: answer.joined_field("id").unwrap_or_default(),
            ca: answer.joined_field("pin").unwrap_or_default(),
        }),
        authorities: authorities(&answer.sections.text("authorities")),
        etcd_has_data: etcd_says("has-data"),
        etcd_data_deleted: etcd_says("data-deleted"),
        beside: read_beside(&answer.sections),
        kubelet_certificates: read_certificates(&answer.sections),
        running: running(&answer.sections, &containerd),
        clock: (answer.time("started"), answer.time("ended")),
        clock_offset: None,
        commands: answer.commands,
        present: answer.present,
        units: answer.units,
    })
}

/// Texts in PEM form by their name, of lines that begin with it. Of a key there is one empty
/// line.
fn authorities(lines: &[String]) -> BTreeMap<String, String> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for (name, text) in lines.iter().filter_map(|line| line.split_once(':')) {
        let file = files.entry(name.to_owned()).or_default();
        file.push_str(text);
        file.push('\n');
    }
    files
}

/// What the host's components run with.
fn running(sections: &Sections<'_>, containerd: &str) -> Running {
    let mut running = Running::default();
    if !containerd.is_empty() {
        running.read_file(paths::CONTAINERD_CONFIG, containerd);
    }
    for line in sections.raw("running") {
        let Some((path, line)) = std::str::from_utf8(line)
            .ok()
            .and_then(|line| line.strip_prefix('.')?.split_once(':'))
        else {
            continue;
        };
        running.read_line(path, line);
    }
    running.networks = read_beside(sections).networks;
    let directory = paths::KUBELET_PKI;
    let certificate = format!("{directory}/{}", paths::KUBELET_CLIENT_CURRENT);
    let certificates = read_certificates(sections);
    running.kubelet_certificate = certificates.get(&certificate).cloned().unwrap_or_default();
    running
}

/// Bytes, by what the space is for: blocks' size and number, in the order in which it was
/// asked.
fn free_space(lines: &[String]) -> BTreeMap<String, u64> {
    DISKS
        .iter()
        .zip(lines)
        .filter_map(|(name, line)| {
            let (size, free) = line.split_once(' ')?;
            let bytes = size.parse::<u64>().ok()?.checked_mul(free.parse().ok()?)?;
            Some(((*name).to_owned(), bytes))
        })
        .collect()
}

/// Names of the options in lines of a kernel's configuration; `None` without any.
fn kernel_options(lines: &[String]) -> Option<BTreeSet<String>> {
    let names = lines
        .iter()
        .filter_map(|line| line.strip_prefix("CONFIG_")?.split('=').next());
    (!lines.is_empty()).then(|| names.map(str::to_owned).collect())
}

/// Longest `certificate-authority-data` that is kept, in bytes: a bundle of a
/// dozen RSA-4096 certificates.
pub(super) const MAX_CA: usize = 64 << 10;

/// A certificate is longer than the text that is kept of other lines.
pub(super) fn certificate_authority(lines: &[&[u8]]) -> Option<String> {
    let data = lines.iter().find_map(|line| line.strip_prefix(b"ca "))?;
    let text = std::str::from_utf8(data).ok()?.trim();
    let base64 = |c: u8| c.is_ascii_alphanumeric() || b"+/=".contains(&c);
    (text.len() <= MAX_CA && text.bytes().all(base64)).then(|| text.to_owned())
}

/// First words of `getent ahosts` that are addresses, without duplicates.
fn addresses(lines: &[&str]) -> Vec<IpAddr> {
    let found: BTreeSet<IpAddr> = lines
        .iter()
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .collect();
    found.into_iter().collect()
}

/// Lines of `ss -ltnp`, or of /proc/net/tcp and tcp6.
pub(super) fn listeners(lines: &[String]) -> Vec<Listener> {
    let mut listeners: Vec<Listener> = lines
        .iter()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            if words.first() == Some(&"LISTEN") {
                let (_, port) = words.get(3)?.rsplit_once(':')?;
                let users = line.split_once("users:").map_or("", |(_, users)| users);
                let names = users.split("(\"").skip(1);
                let names = names.filter_map(|user| user.split('"').next());
                Some(Listener {
                    port: port.parse().ok()?,
                    processes: names.map(str::to_owned).collect(),
                })
            } else {
                let (_, port) = words.get(1)?.rsplit_once(':')?;
                Some(Listener {
                    port: u16::from_str_radix(port, 16).ok()?,
                    processes: Vec::new(),
                })
            }
        })
        .collect();
    listeners.sort_by_key(|listener| listener.port);
    listeners.dedup();
    listeners
}

fn controllers(files: &Files) -> BTreeSet<String> {
    match files.first("/sys/fs/cgroup/cgroup.controllers") {
        Some(line) => line.split_whitespace().map(str::to_owned).collect(),
        // cgroup v1: name, hierarchy, number of cgroups, enabled.
        None => files
            .lines("/proc/cgroups")
            .filter(|line| !line.starts_with('#') && line.trim_end().ends_with('1'))
            .filter_map(|line| line.split_whitespace().next())
            .map(str::to_owned)
            .collect(),
    }
}

fn runtime(answer: &Answer<'_>) -> Runtime {
    let (plugins, crictl) = (answer.said_by("cri"), answer.said_by("crictl"));
    let crio = answer.units.get(names::CRIO_UNIT);
    if !answer.present.contains("socket") {
        Runtime::Absent
    } else if crictl.iter().any(|line| line.contains("RuntimeVersion"))
        || plugins.iter().any(|line| line.trim_end().ends_with(" ok"))
    {
        Runtime::Ready
    } else if !answer.commands.contains("crictl")
        && crio.is_some_and(|unit| unit.active == "active")
    {
        // Without crictl, which may come with the artifacts, CRI-O can't be asked.
        Runtime::Ready
    } else if plugins.is_empty() {
        Runtime::Silent
    } else {
        Runtime::NoCri
    }
}
