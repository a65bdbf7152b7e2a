//! How many nodes a change may take down at once.

use super::resolver::Resolver;
use crate::inventory::cluster::{MaxUnavailable, Rollout};
use crate::inventory::spec::RolloutSpec;
use crate::inventory::yaml::FieldPath;

/// How a change rolls over the nodes.
pub(super) fn resolve_rollout(
    given: &RolloutSpec,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) -> Rollout {
    let max_unavailable = given.max_unavailable.as_ref().and_then(|given| {
        let parsed = MaxUnavailable::try_from(given);
        resolver.check(&at.key("maxUnavailable"), parsed)
    });
    Rollout {
        max_unavailable: max_unavailable.unwrap_or_default(),
    }
}
