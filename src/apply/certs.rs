//! Phase `certs`: certificates and keys, made on this machine and kept in the operator state.

use std::sync::Arc;

use pki::{Action, Store};

use crate::plan::draft::Draft;
use crate::run::Run;
use crate::run::error::Error;
use crate::run::phase::Phase;

/// Makes the certificates that are missing and reports each file that was written. The
/// plan has to be made again then, for it is about their content.
///
/// # Errors
/// What the file system says.
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
