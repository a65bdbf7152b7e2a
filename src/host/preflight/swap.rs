//! Swap.

use super::report::{HostCheck, Report};
use super::subject::Subject;
use crate::host::prepare::swap_must_go;
use crate::inventory::Cluster;

pub(super) const CHECK: HostCheck = HostCheck {
    names: &["Swap"],
    run: check_swap,
};

fn check_swap(_: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
    let devices = &subject.gathered.facts.swap;
    if devices.is_empty() {
        report.pass("Swap");
    } else if !swap_must_go(subject.host) {
        report.info("Swap", "swap is on, and failSwapOn: false allows it");
    } else if subject.gathered.commands.contains("swapoff") {
        report.info(
            "Swap",
            format!("swap on {} will be switched off", devices.join(", ")),
        );
    } else {
        report.error(
            "Swap",
            format!(
                "swap is on ({}), and there is no swapoff",
                devices.join(", ")
            ),
            "switch swap off, or set kubelet.config.failSwapOn: false",
        );
    }
}
