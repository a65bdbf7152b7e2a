//! The admin kubeconfig in the operator state.

use std::io;

use super::desired::Context;
use super::{Phase, Run};
use crate::Error;

/// Whether the operator state holds another one, or none.
pub(super) fn differs(run: &Run, context: &Context) -> Result<bool, Error> {
    let path = run.state.kubeconfig();
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text != *context.admin_kubeconfig()?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(source) => Err(Error::File {
            what: "read",
            path,
            source,
        }),
    }
}

/// Writes it.
pub(super) fn write(run: &Run, context: &Context) -> Result<(), Error> {
    let path = run.state.kubeconfig();
    run.state
        .write(&path, context.admin_kubeconfig()?.as_bytes())?;
    run.tracker
        .part(Phase::Kubeconfig)
        .changed(path.display().to_string(), "written");
    Ok(())
}
