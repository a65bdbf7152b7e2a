//! Phase `upload-config`: kubeadm-config and kubelet-config, which kubeadm's tools read
//! (rendered by `kubernetes/objects.rs`).

use super::execution::Execution;
use super::objects::Changes;
use crate::run::error::Error;
use crate::run::phase::Phase;

/// Applies them.
///
/// # Errors
/// An error of the API.
pub(super) async fn apply(execution: &Execution<'_>, changes: &Changes) -> Result<(), Error> {
    changes.apply_phase(execution, Phase::UploadConfig).await
}
