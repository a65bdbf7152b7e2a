//! A change of a running component that does not come up is undone by the same run.

use std::time::Duration;

use text::terminal::sanitize;

use super::execution::Execution;
use crate::cluster::api::ClusterApi;
use crate::cluster::crash_loop::CrashWatch;
use crate::cluster::diagnose;
use crate::cluster::wait;
use crate::host::HostError;
use crate::plan::model::Work;
use crate::run::error::Error;
use crate::run::phase::Phase;
use crate::run::tracker::Part;

/// Ends a change, whose outcome was `changed`: what it replaced is forgotten, or put back.
///
/// # Errors
/// That of the change, with what became of the previous configuration.
pub(super) async fn conclude(
    execution: &Execution<'_>,
    work: &Work,
    changed: Result<(), Error>,
) -> Result<(), Error> {
    if !work.prepare.keeps_previous() {
        return changed;
    }
    let session = &work.surveyed.session;
    let error = match changed {
        Ok(()) => {
            let turn = execution.run.lock.turn()?;
            return session.forget_previous(turn.as_ref()).await;
        }
        // The next run finds what this one left, and goes on with it. And what a host keeps that
        // has refused this run is another one's.
        Err(error) if session.is_closed() || error.has_changed_nothing() => return Err(error),
        Err(error) => explain(execution, work, error),
    };
    let part = execution.run.tracker.part(Phase::ControlPlane);
    part.doing(work.name(), "putting the previous configuration back");
    let outcome = match put_back(execution, work, &part).await {
        Ok(None) => {
            part.quiet(work.name());
            return Err(error);
        }
        Ok(Some(took)) => format!(
            "the previous configuration is back and healthy, after {} s",
            took.as_secs().max(1)
        ),
        Err(PutBackError::NotBack(why)) => {
            format!(
                "the previous configuration could not be put back: {}",
                first_line(&why)
            )
        }
        Err(PutBackError::NotHealthy(why)) => format!(
            "the previous configuration is back, but not healthy: {}",
            first_line(&why)
        ),
    };
    part.quiet(work.name());
    Err(Error::PutBack {
        source: Box::new(error),
        outcome,
    })
}

fn first_line(error: &Error) -> String {
    let text = error.to_string();
    sanitize(text.lines().next().unwrap_or_default()).into_owned()
}

/// A unit that could not be restarted says why: that comes first.
fn explain(execution: &Execution<'_>, work: &Work, error: Error) -> Error {
    let Error::Host(HostError::Step { step, why }) = &error else {
        return error;
    };
    let units = ["containerd", "kubelet"];
    let Some(unit) = units.iter().find(|unit| step.contains(**unit)) else {
        return error;
    };
    diagnose::explain_step(execution.run, &work.surveyed, unit, step, why)
}

enum PutBackError {
    NotBack(Error),
    NotHealthy(Error),
}

/// Puts back what the change of `work` replaced, and waits until it is healthy. Says how long
/// that took; `None` if nothing had been replaced.
async fn put_back(
    execution: &Execution<'_>,
    work: &Work,
    part: &Part,
) -> Result<Option<Duration>, PutBackError> {
    let (run, one) = (execution.run, &work.surveyed);
    let began = tokio::time::Instant::now();
    let mut watch = CrashWatch::begin(one, true).await;
    let turn = run.lock.turn().map_err(PutBackError::NotBack)?;
    let done = run.journalled(
        Some(work.name()),
        part.phase(),
        "previous configuration",
        one.session.put_back(turn.as_ref()),
    );
    if !done.await.map_err(PutBackError::NotBack)? {
        return Ok(None);
    }
    let healthy = async {
        if work.is_control_plane() {
            let api = ClusterApi::new(run, &execution.plan.context.pki, one)?;
            wait::wait_for_api(run, one, &api, &mut watch, part).await?;
            wait::wait_for_the_rest(run, one, &mut watch, part).await
        } else {
            wait::wait_for_kubelet(run, one, true).await
        }
    };
    healthy.await.map_err(PutBackError::NotHealthy)?;
    Ok(Some(began.elapsed()))
}
