//! Comparing a host with what it should be, and changing what differs.

use super::survey::Surveyed;
use crate::host;
use crate::host::{HostPlan, Owner, Resource};
use crate::run::Run;
use crate::run::error::Error;
use crate::run::remote::Converging;
use crate::run::tracker::Part;

/// Observes the resources of a host and says what has to change. One command.
pub(crate) async fn compare(
    owner: &Owner,
    one: &Surveyed,
    resources: &[Resource],
) -> Result<HostPlan, Error> {
    let observed = one.session.observe(resources).await?;
    Ok(host::diff(resources, &observed, owner)?)
}

/// Makes the changes of a plan. One command, fed by one stream; none if there are no
/// changes.
pub(crate) async fn converge(
    run: &Run,
    one: &Surveyed,
    plan: &HostPlan,
    part: &Part,
) -> Result<(), Error> {
    if plan.is_empty() {
        return Ok(());
    }
    let name = &one.host.name;
    let mut doing = "sending the changes".to_owned();
    let mut on_progress = |progress| match progress {
        Converging::Change(at) => {
            if let Some(change) = plan.changes.get(at) {
                doing = change.to_string();
                part.doing(name, doing.as_str());
            }
        }
        Converging::Warned(what) => run.events().warn(format!("{name}: {doing}: {what}")),
        Converging::Sent(bytes, total) => part.sending(name, doing.as_str(), (bytes, total)),
    };
    let what = format!("{} changes", plan.changes.len());
    let turn = run.lock.turn()?;
    run.lock.remember_host(&one.session);
    let converged = one.session.converge(plan, turn.as_ref(), &mut on_progress);
    run.journalled(Some(name), part.phase(), &what, converged)
        .await
}
