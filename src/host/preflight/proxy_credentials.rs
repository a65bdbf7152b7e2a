//! Proxies with credentials, which others must not read.

use super::report::{HostCheck, Report};
use super::subject::Subject;
use crate::inventory::Cluster;

pub(super) const CHECK: HostCheck = HostCheck {
    names: &["HTTPProxyCredentials"],
    run: check_credentials,
};

/// Says which variables kube-proxy and static pods don't get, as kubeadm would have it.
fn check_credentials(_: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
    let given = subject.gathered.facts.proxy_env.iter();
    let secret = given.filter(|(_, value)| text::password::has_credentials(value));
    let names: Vec<&str> = secret.map(|(name, _)| name.as_str()).collect();
    if names.is_empty() || !subject.host.is_control_plane() {
        report.pass("HTTPProxyCredentials");
        return;
    }
    report.warn(
        "HTTPProxyCredentials",
        format!(
            "{} has credentials, and is not handed to kube-proxy and the static pods, whose \
             environment others can read",
            names.join(", ")
        ),
        "if they need a proxy, set one without credentials in `extraEnvs`",
    );
}
