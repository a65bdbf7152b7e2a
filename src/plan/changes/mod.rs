//! What an inventory must not change while its cluster runs.
//!
//! Everything that a control plane or a kubelet was started with is in files on its host.
//! Before anything is planned or written, those are compared with what the inventory would
//! put there. `rules` says which settings are compared, `read` gets both values, `compare`
//! decides whether they are the same, `judge` collects what is refused, and this file tells
//! it with the inventory's lines. No phase, option or ignored check waives this.

mod compare;
mod endpoint;
mod judge;
mod read;
mod rules;
#[cfg(test)]
mod tests;

use judge::{Refused, find_refused};
use read::Joined;

use super::model::Live;
use crate::cluster::survey::{Aside, Surveyed};
use crate::desired::context::Context;
use crate::inventory::{Diagnostics, Etcd, InventoryError, WrittenInventory};
use crate::kubernetes::{Patches, Templates};
use crate::run::Run;
use crate::run::error::Error;

/// Refuses an inventory that asks of the running cluster what cannot be done. Of artifacts
/// nothing is compared. What only Nodes tell is compared once the API is known (`live`).
///
/// # Errors
/// [`InventoryError::Refused`] with everything that is refused; files that do not render.
pub(crate) fn refuse_changes(
    run: &Run,
    context: &Context,
    surveyed: &[Surveyed],
    aside: &[Aside],
    live: Option<&Live>,
) -> Result<(), Error> {
    let owned: Vec<&Surveyed> = surveyed
        .iter()
        .filter(|one| one.gathered.facts.joined && context.owns(one))
        .collect();
    if !is_alive(run, &owned, live) {
        return Ok(());
    }
    let joined = owned
        .iter()
        .map(|one| Joined::new(context, one, live))
        .collect::<Result<Vec<_>, _>>()?;
    let mut refused = find_refused(&run.cluster, &joined);
    refused.extend(endpoint::find_left_behind(run, &joined, surveyed, aside));
    if refused.is_empty() {
        return Ok(());
    }
    // Whose fault is it: what the inventory's fields make, or what is laid over that?
    let plain = Context {
        patches: Patches::default().into(),
        templates: Templates::built_in()?.into(),
        ..context.clone()
    };
    let plain = owned
        .iter()
        .map(|one| Joined::new(&plain, one, live))
        .collect::<Result<Vec<_>, _>>()?;
    let by_fields = find_refused(&run.cluster, &plain);
    for one in &mut refused {
        one.blame_overrides(&run.cluster, &by_fields);
    }
    Err(InventoryError::Refused(describe(run, &refused)?).into())
}

/// Whether there is a cluster to lose.
///
/// A control plane gets its kubelet.conf, its manifests and everything else in one go, so
/// its files alone say nothing: a first `apply` that failed before its API server came up
/// leaves them, too, and whoever mistyped a network must be able to correct it. What tells
/// the two apart is an API that answers; or that etcd holds data, and that something
/// exists which needed the API once: a worker that has joined, a network with a pod CIDR,
/// the admin kubeconfig on this machine, which is written last.
fn is_alive(run: &Run, owned: &[&Surveyed], live: Option<&Live>) -> bool {
    if owned.is_empty() {
        return false;
    }
    let external = matches!(run.cluster.etcd, Etcd::External(_));
    let has_data = |one: &&Surveyed| {
        let running = &one.gathered.running;
        let elsewhere = read::etcd_place(running) == Some("external");
        one.gathered.etcd_has_data || elsewhere
    };
    let needed_the_api = |one: &&Surveyed| {
        let networks = &one.gathered.running.networks;
        !one.host.is_control_plane() || networks.iter().any(|name| read::is_ours(name))
    };
    let used = run.state.kubeconfig().exists() || owned.iter().any(needed_the_api);
    live.is_some() || (used && (external || owned.iter().any(has_data)))
}

/// What is refused, with the lines of the inventory. Several settings may be made by one
/// field: it is named once.
fn describe(run: &Run, refused: &[Refused]) -> Result<Diagnostics, Error> {
    let written = WrittenInventory::read(&run.inventory)?;
    let mut names = Vec::new();
    let mut diagnostics = Vec::new();
    for one in refused {
        let place = written.locate(&one.spots, one.located_by());
        if names.contains(&place.name) {
            continue;
        }
        let mut diagnostic = written.error(&place, one.message(&place), one.label());
        for help in one.helps(&place) {
            diagnostic = diagnostic.help(help);
        }
        diagnostics.push(diagnostic);
        names.push(place.name);
    }
    Ok(Diagnostics::new(written.name(), diagnostics))
}
