//! Commands that we or Kubernetes need.

use super::report::{HostCheck, Report};
use super::subject::Subject;
use crate::host::packages::PackageManager;
use crate::inventory::Cluster;

pub(super) const CHECK: HostCheck = HostCheck {
    names: &["FileExisting-*"],
    run: check_commands,
};

fn check_commands(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
    let gathered = subject.gathered;
    for name in [
        "losetup",
        "mount",
        "cp",
        "sha256sum",
        "stat",
        "base64",
        "xargs",
        "systemctl",
    ] {
        report.demand(
            &format!("FileExisting-{name}"),
            gathered.commands.contains(name),
            format!("there is no `{name}` in PATH"),
            "install coreutils, findutils, util-linux and mount",
        );
    }
    let packages = PackageManager::by_name(&gathered.facts.package_manager);
    for command in cluster.networking.cni.commands() {
        let check = format!("FileExisting-{command}");
        let package = packages.package_of(command);
        if gathered.commands.contains(*command) {
            report.pass(&check);
        } else if gathered.facts.package_manager.is_empty() {
            report.error(
                &check,
                format!("there is no `{command}`, and no supported package manager"),
                &format!("install {package}"),
            );
        } else if gathered.read_only_usr {
            report.error(
                &check,
                format!(
                    "there is no `{command}`, and /usr is read-only, so that it can't be installed"
                ),
                &format!("install {package} as this system does it, and boot into the result"),
            );
        } else {
            report.info(&check, format!("{package} will be installed"));
        }
    }
}
