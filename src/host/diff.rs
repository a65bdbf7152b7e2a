//! The difference between what a host should look like and what it does.

use super::error::HostError;
use super::loose::error_for;
use super::observed::Observed;
use super::owner::Owner;
use super::plan::HostPlan;
use super::receipt::Receipt;
use super::resource::{Comparison, KINDS, Resource, Wanted, Work, remaining_stamps};
use crate::layout::paths::STATE_DIR;

/// Refuses to read and write what others than root could redirect, and to believe what we keep
/// on a host if they could have put it there.
///
/// # Errors
///
/// [`HostError::Loose`] with all of them.
pub fn refuse_loose(resources: &[Resource], observed: &Observed) -> Result<(), HostError> {
    if observed.loose.is_empty() {
        return Ok(());
    }
    let places = resources.iter().filter_map(|one| one.as_piece().place());
    let own = observed.loose.keys();
    let own = own.filter(|path| path.starts_with(&format!("{STATE_DIR}/")));
    let loose = places.chain(own.cloned()).filter_map(|place| {
        let loose = observed.loose.get(&place)?.clone();
        Some((place, loose))
    });
    error_for(loose).map_or(Ok(()), Err)
}

/// What has to change for a host to look as `resources` say. Of two resources
/// for one path the later one counts.
///
/// # Errors
///
/// The host's receipt names another cluster; paths that others than root could redirect.
pub fn diff(
    resources: &[Resource],
    observed: &Observed,
    owner: &Owner,
) -> Result<HostPlan, HostError> {
    refuse_loose(resources, observed)?;
    let receipt = match &observed.receipt {
        Some(receipt) if !receipt.owner.agrees_with(owner) => {
            return Err(HostError::OtherCluster {
                found: Box::new(receipt.owner.clone()),
                wanted: Box::new(owner.clone()),
            });
        }
        Some(receipt) => Receipt {
            owner: receipt.owner.completed_by(owner),
            ..receipt.clone()
        },
        None => Receipt::new(owner),
    };
    let wanted = Wanted::new(resources.iter().map(Resource::as_piece));
    let mut found = Comparison::new(observed, receipt);
    for kind in &KINDS {
        (kind.compare)(&wanted, &mut found);
    }
    let stamps = remaining_stamps(&found);
    Ok(HostPlan {
        cluster: owner.cluster.clone(),
        changes: found.changes,
        receipt_changed: observed.receipt.as_ref() != Some(&found.receipt),
        receipt: found.receipt,
        withdrawn: found.withdrawn,
        keeps: false,
        work: Work {
            steps: found.steps,
            stamps,
        },
    })
}

#[cfg(test)]
mod tests;
