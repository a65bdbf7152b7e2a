//! The admin kubeconfig in the operator state.

use crate::desired::context::Context;
use crate::run::Run;
use crate::run::error::Error;
use crate::run::phase::Phase;

/// Writes it.
pub(crate) fn write(run: &Run, context: &Context) -> Result<(), Error> {
    let path = run.state.kubeconfig();
    run.state
        .write(&path, context.admin_kubeconfig()?.as_bytes())?;
    run.tracker
        .part(Phase::Kubeconfig)
        .changed(path.display().to_string(), "written");
    Ok(())
}
