//! The difference between what a host should look like and what it does.

use super::error::HostError;
use super::observed::Observed;
use super::plan::HostPlan;
use super::receipt::Receipt;
use super::resource::{Comparison, KINDS, Resource, Wanted, Work, remaining_stamps};

/// What has to change for a host to look as `resources` say. Of two resources
/// for one path the later one counts.
///
/// # Errors
///
/// The host's receipt names another cluster.
pub fn diff(
    resources: &[Resource],
    observed: &Observed,
    cluster: &str,
) -> Result<HostPlan, HostError> {
    let receipt = match &observed.receipt {
        Some(receipt) if receipt.cluster != cluster => {
            return Err(HostError::OtherCluster {
                found: receipt.cluster.clone(),
                wanted: cluster.into(),
            });
        }
        Some(receipt) => receipt.clone(),
        None => Receipt::new(cluster),
    };
    let wanted = Wanted::new(resources.iter().map(Resource::as_piece));
    let mut found = Comparison::new(observed, receipt);
    for kind in &KINDS {
        (kind.compare)(&wanted, &mut found);
    }
    let stamps = remaining_stamps(&found);
    Ok(HostPlan {
        cluster: cluster.into(),
        changes: found.changes,
        receipt_changed: observed.receipt.as_ref() != Some(&found.receipt),
        receipt: found.receipt,
        work: Work {
            steps: found.steps,
            stamps,
        },
    })
}

#[cfg(test)]
mod tests;
