//! Phase `addons`: CoreDNS and kube-proxy (rendered by `kubernetes/objects.rs`).
//!
//! kube-proxy's pods are restarted by an annotation that holds the hash of their ConfigMap;
//! CoreDNS keeps the number of replicas that it was scaled to (`plan/objects.rs`).

use super::execution::Execution;
use super::objects::Changes;
use crate::run::error::Error;
use crate::run::phase::Phase;

/// Applies them.
///
/// # Errors
/// An error of the API.
pub(super) async fn apply(execution: &Execution<'_>, changes: &Changes) -> Result<(), Error> {
    changes.apply_phase(execution, Phase::Addons).await
}
