//! Where programs and units can be put.

use super::report::{HostCheck, Report};
use super::subject::Subject;
use crate::inventory::Cluster;
use crate::layout::programs::Programs;

const NAME: &str = "ReadOnlyUsr";

pub(super) const CHECK: HostCheck = HostCheck {
    names: &[NAME],
    run: check_places,
};

fn check_places(_: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
    let facts = &subject.gathered.facts;
    match (subject.gathered.read_only_usr, facts.uses_opt) {
        (true, true) => {
            let programs = Programs::of(true);
            report.info(
                NAME,
                format!(
                    "/usr is read-only: programs are put into {}, units into {}",
                    programs.directory, programs.units
                ),
            );
        }
        (true, false) => report.warn(
            NAME,
            "/usr is read-only, but the kubelet is in /usr/bin",
            "mount it read-write for changes of the kubelet; or `clusterctl-rs reset` the host \
             first, after which its programs go to /opt/bin",
        ),
        (false, _) => report.pass(NAME),
    }
}
