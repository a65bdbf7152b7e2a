//! The difference between what a host should look like and what it does.

use super::error::HostError;
use super::loose::refuse_loose;
use super::observed::Observed;
use super::owner::Owner;
use super::plan::HostPlan;
use super::receipt::Receipt;
use super::resource::{Comparison, KINDS, Resource, Wanted, Work, remaining_stamps};

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
