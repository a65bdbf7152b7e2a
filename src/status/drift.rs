//! Drift: the number of changes that `plan` would show.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use pki::Action;

use super::one_line::short;
use crate::plan::draft::Draft;
use crate::run::Run;
use crate::run::error::Error;

/// Time limit for a plan. Unresponsive hosts have been detected before, so this allows for
/// many hosts and slow disks.
const PATIENCE: Duration = Duration::from_secs(60);

/// The number of changes that `plan` would show.
#[derive(Debug, Clone)]
pub(super) struct Drift {
    /// Changes by host.
    pub(super) hosts: BTreeMap<String, usize>,
    /// Changed objects; `None` if the API server is unreachable.
    pub(super) objects: Option<usize>,
    /// Changes on this machine.
    pub(super) operator: usize,
    /// When it was checked.
    pub(super) at: Timestamp,
}

/// Builds a plan and counts its changes.
pub(super) async fn count_changes(run: &Run) -> Result<Drift, String> {
    let planning = async {
        let plan = Draft::new(run).await?.plan(run).await?;
        Ok::<_, Error>(Drift {
            hosts: plan
                .work
                .iter()
                .map(|work| (work.name().to_owned(), work.count()))
                .collect(),
            objects: plan
                .object_changes
                .as_ref()
                .map(|changes| changes.len() + plan.removals.len()),
            operator: plan
                .certs
                .iter()
                .filter(|decision| decision.action != Action::Kept)
                .count()
                + usize::from(plan.kubeconfig),
            at: Timestamp::now(),
        })
    };
    match tokio::time::timeout(PATIENCE, planning).await {
        Ok(Ok(drift)) => Ok(drift),
        Ok(Err(error)) => Err(explain_failure(run, &error)),
        Err(_) => Err(format!("planning timed out after {} s", PATIENCE.as_secs())),
    }
}

/// A short reason for hosts that are already known to be unreachable.
fn explain_failure(run: &Run, error: &Error) -> String {
    if let Error::OnHost { host, .. } = error
        && let Some(kept) = &run.kept
        && matches!(kept.get(host), Some(Err(_)))
    {
        return format!("{host} is unreachable");
    }
    short(&error.to_string())
}
