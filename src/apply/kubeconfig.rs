//! Phase `kubeconfig`: the admin kubeconfig in the state directory.

use super::execution::Execution;
use crate::run::error::Error;
use crate::run::phase::Phase;

/// Writes it, if the plan says so.
///
/// # Errors
/// An error of the file system.
pub(super) fn write(execution: &Execution<'_>) -> Result<(), Error> {
    if !execution.plan.kubeconfig {
        return Ok(());
    }
    let (run, path) = (execution.run, execution.run.state.kubeconfig());
    let text = execution.plan.context.admin_kubeconfig()?;
    run.state.write(&path, text.as_bytes())?;
    run.tracker
        .part(Phase::Kubeconfig)
        .changed(path.display().to_string(), "written");
    Ok(())
}
