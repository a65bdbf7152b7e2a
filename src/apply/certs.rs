//! Phase `certs`: certificates and keys, created on this machine and kept in the state
//! directory.

use std::sync::Arc;

use pki::{Action, Store};

use crate::plan::draft::Draft;
use crate::run::Run;
use crate::run::error::Error;
use crate::run::phase::Phase;

/// Creates missing certificates and reports each file written. The plan has to be built
/// again afterwards, because it depends on their content.
///
/// # Errors
/// An error of the file system.
pub fn make_certificates(run: &Run, draft: &mut Draft) -> Result<(), Error> {
    let part = run.tracker.part(Phase::Certs);
    let pki = Store::new(run.state.dir()).ensure(draft.certificate_request())?;
    let changed = pki
        .decisions
        .iter()
        .filter(|decision| decision.action != Action::Kept);
    for decision in changed {
        part.changed(&decision.file, action_word(decision.action));
    }
    draft.use_certificates(Arc::new(pki));
    Ok(())
}

fn action_word(action: Action) -> &'static str {
    match action {
        Action::Kept => "kept",
        Action::Created => "created",
        Action::Reissued => "reissued",
    }
}
