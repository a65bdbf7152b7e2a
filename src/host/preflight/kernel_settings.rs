//! Forwarding, br_netfilter and SELinux.

use super::report::{HostCheck, Report};
use super::subject::Subject;
use crate::host::prepare::sysctls;
use crate::inventory::Cluster;

pub(super) const CHECK: HostCheck = HostCheck {
    names: &["FileContent-*", "BridgeNetfilter", "SELinux"],
    run: check_kernel_settings,
};

/// Forwarding and br_netfilter: `apply` sets what can be set.
fn check_kernel_settings(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
    let gathered = subject.gathered;
    let wanted = sysctls(cluster, subject.host);
    for (key, check) in [
        (
            "net.ipv4.ip_forward",
            "FileContent--proc-sys-net-ipv4-ip_forward",
        ),
        (
            "net.ipv6.conf.default.forwarding",
            "FileContent--proc-sys-net-ipv6-conf-default-forwarding",
        ),
    ] {
        match (wanted.get(key), gathered.sysctls.get(key)) {
            (None, _) => {}
            (Some(wanted), _) if wanted != "1" => report.error(
                check,
                format!("the inventory sets {key} to {wanted}"),
                "pods need forwarding: take the sysctl out of the inventory",
            ),
            (_, None) => report.error(
                check,
                format!("the kernel has no {key}"),
                "boot a kernel with this protocol switched on",
            ),
            (_, Some(value)) if value.starts_with('1') => report.pass(check),
            (_, Some(_)) => report.info(check, format!("{key} will be set to 1")),
        }
    }
    let check = "BridgeNetfilter";
    match gathered
        .sysctls
        .get("net.bridge.bridge-nf-call-iptables")
        .map(String::as_str)
    {
        Some("1") => report.pass(check),
        Some(_) => report.info(check, "net.bridge.bridge-nf-call-iptables will be set to 1"),
        None if gathered.commands.contains("modprobe") => {
            report.info(check, "br_netfilter will be loaded")
        }
        None => report.error(
            check,
            "traffic over a bridge doesn't pass iptables, and there is no modprobe",
            "install kmod, or load br_netfilter",
        ),
    }
    if gathered.selinux_enforcing {
        report.info(
            "SELinux",
            "SELinux enforces: pods need the policy of the package container-selinux",
        );
    }
}
