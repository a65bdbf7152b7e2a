//! Hosts that stand in the file and are no longer there.

use std::collections::HashSet;

use super::super::context::{Context, Fault};
use super::super::spec::ClusterSpec;
use super::super::suggest::closest;
use super::super::tree::Path;
use super::super::yaml::shorten;
use super::host::Expanded;

/// The hosts without those that `spec.removedHosts` names.
pub(super) fn without(
    hosts: Vec<Expanded>,
    spec: &ClusterSpec,
    at: &Path,
    context: &mut Context<'_>,
) -> Vec<Expanded> {
    let list_at = at.key("removedHosts");
    let mut removed: HashSet<&str> = HashSet::new();
    for (index, name) in spec.removed_hosts.iter().enumerate() {
        let at = list_at.index(index);
        if !removed.insert(name) {
            let message = format!("`{}` is named twice", shorten(name));
            context.report(Fault::error(&at, message).help("delete one of the two"));
        } else if !hosts.iter().any(|one| one.host.name == *name) {
            let message = format!("there is no host `{}` in `spec.hosts`", shorten(name));
            let names = hosts.iter().map(|one| one.host.name.as_str());
            context.report(Fault::error(&at, message).help(match closest(name, names) {
                Some(name) => format!("did you mean `{name}`?"),
                None => "a host that is gone from `spec.hosts` needs no mark: delete it".into(),
            }));
        }
    }
    let (gone, kept): (Vec<Expanded>, Vec<Expanded>) = hosts
        .into_iter()
        .partition(|one| removed.contains(one.host.name.as_str()));
    let has_control_plane =
        |hosts: &[Expanded]| hosts.iter().any(|one| one.host.is_control_plane());
    if has_control_plane(&gone) && !has_control_plane(&kept) {
        context.report(
            Fault::error(&list_at, "every control plane is marked as removed")
                .at_key()
                .help("a cluster without a control plane is none: take one of them off this list"),
        );
    }
    kept
}
