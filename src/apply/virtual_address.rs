//! Moves kube-vip's address to another control plane before its holder is changed.

use crate::cluster::api::ClusterApi;
use crate::cluster::virtual_address::{address_stays, hand_over_address};
use crate::plan::model::{Plan, Work};
use crate::run::Run;
use crate::run::tracker::Part;

/// Moves the address to another control plane, if `work`'s holds it.
pub(super) async fn before_restart(run: &Run, plan: &Plan, work: &Work, part: &Part) {
    if run.cluster.virtual_address().is_none() {
        return;
    }
    let standing: Vec<_> = plan
        .control_planes
        .iter()
        .filter(|one| !plan.is_new_control_plane(&one.host))
        .collect();
    // The previous one has been changed already, so the address need not move again; for
    // the first one, it is the last.
    let place = standing.iter().position(|one| one.host.name == work.name());
    let Some(place) = place.filter(|_| standing.len() > 1) else {
        return;
    };
    let heir = standing[(place + standing.len() - 1) % standing.len()];
    let session = &work.surveyed.session;
    match ClusterApi::new(run, &plan.context.pki, heir) {
        Ok(api) => {
            let heir = &heir.host.node_name;
            hand_over_address(run, work.host(), session, heir, &api.admin, part).await;
        }
        Err(error) => run
            .events()
            .warn(address_stays(work.host(), &error.to_string())),
    }
}
