//! Hosts that are still in the file, but no longer in the cluster.

use std::collections::HashSet;

use super::expanded_host::ExpandedHost;
use super::fault::Fault;
use super::resolver::Resolver;
use crate::inventory::spec::ClusterSpec;
use crate::inventory::yaml::{FieldPath, find_closest, shorten};

/// The hosts without those that `spec.removedHosts` names.
pub(super) fn drop_removed_hosts(
    hosts: Vec<ExpandedHost>,
    spec: &ClusterSpec,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) -> Vec<ExpandedHost> {
    let list_at = at.key("removedHosts");
    let mut removed: HashSet<&str> = HashSet::new();
    for (index, name) in spec.removed_hosts.iter().enumerate() {
        let at = list_at.index(index);
        if !removed.insert(name) {
            let message = format!("duplicate host `{}`", shorten(name));
            resolver.report(Fault::error(&at, message).help("remove one of the two"));
        } else if !hosts.iter().any(|one| one.host.name == *name) {
            let message = format!("unknown host `{}`", shorten(name));
            let names = hosts.iter().map(|one| one.host.name.as_str());
            resolver.report(
                Fault::error(&at, message).help(match find_closest(name, names) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => {
                        "a host that is no longer in `spec.hosts` need not be listed: remove it"
                            .into()
                    }
                }),
            );
        }
    }
    let (gone, kept): (Vec<ExpandedHost>, Vec<ExpandedHost>) = hosts
        .into_iter()
        .partition(|one| removed.contains(one.host.name.as_str()));
    let has_control_plane =
        |hosts: &[ExpandedHost]| hosts.iter().any(|one| one.host.is_control_plane());
    if has_control_plane(&gone) && !has_control_plane(&kept) {
        resolver.report(
            Fault::error(&list_at, "every control plane is listed as removed")
                .at_key()
                .help("a cluster needs at least one control plane: take one off this list"),
        );
    }
    kept
}
