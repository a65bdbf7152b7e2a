//! A package manager that was interrupted at work.

use super::report::{HostCheck, Report};
use super::subject::Subject;
use crate::host::prepare::missing_packages;
use crate::inventory::Cluster;

const NAME: &str = "PackageManager";

pub(super) const CHECK: HostCheck = HostCheck {
    names: &[NAME],
    run: check_package_state,
};

fn check_package_state(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
    let gathered = subject.gathered;
    if !gathered.packages_interrupted {
        report.pass(NAME);
        return;
    }
    let missing = missing_packages(cluster, subject.host, &gathered.facts, &gathered.commands);
    match missing.is_empty() {
        // What we don't need is left alone.
        true => report.warn(
            NAME,
            "dpkg was interrupted: packages are half-installed",
            "run `dpkg --configure -a` on the host",
        ),
        false => report.info(
            NAME,
            format!(
                "dpkg was interrupted: `dpkg --configure -a` will run before {} is installed",
                missing.join(", ")
            ),
        ),
    }
}
