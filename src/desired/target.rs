//! A host as rendering sees it.

use ipnet::IpNet;

use crate::cluster::survey::Surveyed;
use crate::host::Facts;
use crate::inventory::Host;

/// A host as rendering sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    /// Its entry in the inventory.
    pub(crate) host: &'a Host,
    /// Its facts.
    pub(crate) facts: &'a Facts,
    /// Whether it has joined this cluster.
    pub(crate) joined: bool,
    /// Its Node's pod CIDRs; empty until it has some.
    pub(crate) pod_cidrs: &'a [IpNet],
}

/// Hosts with their facts.
pub(crate) fn facts_of<'a>(surveyed: &[&'a Surveyed]) -> Vec<(&'a Host, &'a Facts)> {
    surveyed
        .iter()
        .map(|one| (&one.host, &one.gathered.facts))
        .collect()
}

/// Whether it is a worker whose kubelet has to join again: its client certificate has ended,
/// as when the host was off for long. A control plane's kubelet gets its first certificate
/// from us, not with a token.
pub(crate) fn joins_again(one: &Surveyed) -> bool {
    let now = jiff::Timestamp::now();
    !one.host.is_control_plane() && one.gathered.facts.kubelet_has_ended(now)
}

/// Whether a host has joined the cluster of this CA: its kubelet.conf is complete and
/// contains this CA.
pub(crate) fn owns(ca: &str, one: &Surveyed) -> bool {
    use base64::Engine as _;
    let theirs = one.gathered.kubelet_ca.as_deref().unwrap_or_default();
    let decoded = base64::engine::general_purpose::STANDARD
        .decode(theirs)
        .unwrap_or_default();
    one.gathered.facts.joined && decoded.trim_ascii() == ca.as_bytes().trim_ascii()
}
