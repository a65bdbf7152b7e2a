//! Plans certificates and keys.

use pki::{Action, Pki, Request, Store};

use crate::run::Run;
use crate::run::error::Error;
use crate::run::phase::{PHASES, Phase};

/// Returns what the store would do, without writing.
///
/// # Errors
/// Files that cannot be used; certificates that an external CA has to provide.
pub(crate) fn plan_certificates(run: &Run, request: &Request) -> Result<Pki, Error> {
    let pki = Store::new(run.state.dir()).plan(request)?;
    // A key that others could read, a certificate that expires soon, a name that no
    // certificate can carry.
    for warning in &pki.warnings {
        run.events().warn(warning.as_str());
    }
    if let Some(missing) = pki
        .decisions
        .iter()
        .find(|decision| decision.action != Action::Kept)
        && !run.has(Phase::Certs)
    {
        let asked = PHASES
            .iter()
            .map(|info| info.phase)
            .find(|&phase| run.has(phase));
        return Err(Error::NotAlone {
            phase: asked.unwrap_or(Phase::ControlPlane).name(),
            missing: format!("{} does not exist yet", missing.file),
            hint: "add phase certs: `--phases certs,…`".into(),
        });
    }
    Ok(pki)
}
