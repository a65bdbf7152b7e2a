//! Whether a key that a host presents is one that the operator trusts.

use std::fmt;
use std::path::PathBuf;

use crate::error::{Revocation, SshError};
use crate::evidence::Evidence;
use crate::known_hosts::{Name, Verdict};
use crate::scan::{HostKey, HostKeys};
use crate::target::Target;

/// What the known_hosts files say of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// They have this key.
    Known,
    /// They have no key for the host.
    Unknown,
    /// They have another key.
    Changed(PathBuf, usize),
    /// They revoke it, or `RevokedHostKeys` does.
    Revoked(Revocation),
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trust::Known => f.write_str("known"),
            Trust::Unknown => f.write_str("new"),
            Trust::Changed(file, line) => {
                write!(f, "CHANGED: {}:{line} has another key", file.display())
            }
            Trust::Revoked(place) => write!(f, "REVOKED in {place}"),
        }
    }
}

/// Holds each key against the target's known_hosts files.
///
/// # Errors
///
/// A file that can't be read.
pub async fn judge_host_keys(
    target: &Target,
    keys: &HostKeys,
) -> Result<Vec<(HostKey, Trust)>, SshError> {
    let evidence = Evidence::gather(target).await?;
    let name = || Name {
        host: &keys.name,
        port: Some(keys.port),
    };
    Ok(keys
        .keys
        .iter()
        .map(|key| {
            let trust = match evidence.check_key(name(), &key.key) {
                Verdict::Known => Trust::Known,
                Verdict::Changed(file, line) => Trust::Changed(file, line),
                Verdict::Revoked(place) => Trust::Revoked(place),
                Verdict::Unknown | Verdict::BadCertificate(_) => Trust::Unknown,
            };
            (key.clone(), trust)
        })
        .collect())
}
