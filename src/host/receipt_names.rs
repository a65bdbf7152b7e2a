//! What a receipt can name. It is believed no further than that: one that was tampered with
//! names no place where `apply` puts nothing.

use super::prepare::is_module_of_ours;
use super::receipt::Receipt;
use super::resource::sysctl::sysctl_path;
use super::systemd::unit_name;
use super::wire::{clean, relative, word};
use crate::layout::{names, places};

/// Units whose state `apply` changes.
const UNITS: [&str; 4] = [
    names::KUBELET_UNIT,
    names::CONTAINERD_UNIT,
    names::CRIO_UNIT,
    names::POD_NETWORK_UNIT,
];

/// Takes out of a receipt what `apply` can't have put into it; it is remembered in words.
pub(super) fn ignore_impossible(receipt: &mut Receipt) {
    let mut ignored = Vec::new();
    let mut possible = |what: &str, name: &str, why: Option<&str>| {
        if let Some(why) = why {
            let name = clean(name.as_bytes());
            ignored.push(format!("{what} {name} ({why})"));
        }
        why.is_none()
    };
    let not_among = |known: bool| (!known).then_some("not one of ours");
    let files = &mut receipt.files;
    files.retain(|path, _| possible("file", path, why_no_file(path)));
    let links = &mut receipt.links;
    links.retain(|path| possible("link", path, why_no_file(path)));
    let directories = &mut receipt.directories;
    directories.retain(|path| possible("directory", path, why_no_path(path)));
    let attributes = &mut receipt.attributes;
    attributes.retain(|path, before| {
        let octal = u32::from_str_radix(&before.mode, 8).is_ok_and(|mode| mode <= 0o7777);
        let why = why_no_path(path).or_else(|| not_among(octal));
        possible("mode of", path, why)
    });
    let units = &mut receipt.units;
    units.retain(|name, _| {
        let known = UNITS.contains(&unit_name(name).as_str());
        possible("unit", name, not_among(known))
    });
    let masked = &mut receipt.masked;
    masked.retain(|name| {
        let swap = name.ends_with(".swap") && word("unit", name).is_ok();
        possible("masked unit", name, not_among(swap))
    });
    let modules = &mut receipt.modules;
    modules.retain(|name| {
        let known = is_module_of_ours(name);
        possible("module", name, not_among(known))
    });
    let sysctls = &mut receipt.sysctls;
    sysctls.retain(|key, value| {
        let plain = word("sysctl", key).is_ok() && !value.chars().any(char::is_control);
        let why = why_no_path(&sysctl_path(key)).or_else(|| not_among(plain));
        possible("sysctl", key, why)
    });
    let held = &mut receipt.held;
    held.retain(|name| {
        possible(
            "held package",
            name,
            not_among(word("package", name).is_ok()),
        )
    });
    let swap = &mut receipt.swap;
    swap.retain(|name| possible("swap", name, not_among(word("swap", name).is_ok())));
    let images = &mut receipt.images;
    images.retain(|name, _| possible("image", name, not_among(word("image", name).is_ok())));
    receipt.ignored = ignored;
}

fn why_no_file(path: &str) -> Option<&'static str> {
    why_no_path(path).or_else(|| places::why_never(path).map(|never| never.why))
}

fn why_no_path(path: &str) -> Option<&'static str> {
    relative(path).err().map(|_| "not a plain absolute path")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_that_was_tampered_with_names_only_what_apply_can_have_done() {
        let text = r#"{"version": 1, "cluster": "demo",
            "directories": ["/opt/cni", "/opt/../etc"],
            "attributes": {"/var/lib/etcd": {"mode": "0755", "owner": "0:0"},
                "/etc": {"mode": "rwx", "owner": "0:0"}},
            "files": {"/etc/motd": {}, "/usr/bin/kubelet": {}, "/etc/kubernetes/admin.conf": {},
                "/etc/passwd": {}, "/usr/bin/ssh": {}, "/etc/x/../shadow": {}, "/etc/a\u001b[2Jb": {},
                "/proc/sys/kernel/core_pattern": {}, "/root/.ssh/authorized_keys": {}},
            "links": ["/var/lib/kubelet/pki/kubelet-client-current.pem", "/bin/sh"],
            "units": {"kubelet.service": {}, "sshd.service": {"active": false}},
            "masked": ["swap.img.swap", "systemd-logind.service"],
            "modules": ["overlay", "ext4"],
            "sysctls": {"net.ipv4.ip_forward": "0", "../../etc/passwd": "x", "a b": "1"},
            "swap": ["/swap.img", "-a"],
            "images": {"registry.k8s.io/pause:3.10": null, "--all": null}}"#;
        let mut receipt = Receipt::parse(text.as_bytes()).unwrap();
        ignore_impossible(&mut receipt);
        let files: Vec<&String> = receipt.files.keys().collect();
        assert_eq!(
            files,
            [
                "/etc/kubernetes/admin.conf",
                "/etc/motd",
                "/usr/bin/kubelet"
            ]
        );
        let lengths = [
            receipt.directories.len(),
            receipt.attributes.len(),
            receipt.links.len(),
            receipt.units.len(),
            receipt.masked.len(),
            receipt.modules.len(),
            receipt.sysctls.len(),
            receipt.swap.len(),
            receipt.images.len(),
        ];
        assert_eq!(lengths, [1; 9]);
        assert_eq!(receipt.ignored.len(), 6 + 9 + 1);
        let said = receipt.ignored.join("\n");
        assert!(
            said.contains("file /etc/passwd (the host depends on it)"),
            "{said}"
        );
        assert!(!said.contains('\u{1b}'), "{said}");
        assert!(!receipt.to_json().contains("passwd"));
    }
}
