//! Whether control planes are of one cluster: they share authorities, and the key that signs
//! service account tokens.

use jiff::Timestamp;
use pki::{Ca, SERVICE_ACCOUNT, check_key, inspect, shared_file, spki_pin};

use super::credentials::{Credentials, StateFiles};
use crate::run::error::Error;

/// An authority that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// Its certificate, by its name in the state directory.
    pub file: String,
    /// kubeadm's pin of it: `sha256:…`.
    pub fingerprint: String,
    /// When it ends.
    pub not_after: Timestamp,
    /// Whether its key was found, too.
    pub has_key: bool,
}

/// kubeadm's pin of a certificate, or what is wrong with it.
pub(super) fn fingerprint(cert: &str) -> String {
    spki_pin(cert).unwrap_or_else(|why| format!("a file that {why}"))
}

/// Puts together what the control planes share.
///
/// # Errors
/// Two of them that differ, with both fingerprints.
pub(super) fn agree(found: &[Credentials]) -> Result<StateFiles, Error> {
    let mut shared = StateFiles::new();
    for one in found {
        for (file, text) in &one.shared {
            let first = found.iter().find_map(|other| {
                let theirs = other.shared.get(file)?;
                Some((&other.host, theirs))
            });
            if let Some((host, theirs)) = first
                && theirs.trim() != text.trim()
            {
                return Err(disagreement(
                    file,
                    (host, theirs.as_str()),
                    (&one.host, text.as_str()),
                ));
            }
            shared.entry(file.clone()).or_insert_with(|| text.clone());
        }
    }
    Ok(shared)
}

fn disagreement(file: &str, one: (&str, &str), other: (&str, &str)) -> Error {
    let show = |(host, text): (&str, &str)| match file.ends_with(".crt") {
        true => format!("\n  {host}: {}", fingerprint(text)),
        // What is secret is not shown, not even its hash.
        false => format!("\n  {host}"),
    };
    Error::Refused {
        message: format!(
            "the control planes are not of one cluster: {file} differs{}{}",
            show(one),
            show(other)
        ),
        hint: "remove those of the other cluster from `hosts` in the inventory, then run the same \
               command again"
            .into(),
    }
}

/// Reads the authorities, and checks that each key found is that of its certificate.
///
/// # Errors
/// A certificate that is missing or unusable, a key that is another one's.
pub(super) fn read_authorities(shared: &StateFiles) -> Result<Vec<Authority>, Error> {
    let mut authorities = Vec::new();
    for ca in Ca::ALL {
        let [file, key] = ["crt", "key"].map(|end| shared_file(ca.base(), end));
        let Some(cert) = shared.get(&file) else {
            continue;
        };
        let unusable = |why: String| Error::Refused {
            message: format!("cannot recover {file}: the one on the control planes {why}"),
            hint: "restore it on the control planes first".into(),
        };
        let info = inspect(cert).map_err(unusable)?;
        if let Some(key) = shared.get(&key) {
            check_key(key, cert).map_err(|why| unusable(format!("has a key that {why}")))?;
        }
        authorities.push(Authority {
            fingerprint: fingerprint(cert),
            not_after: info.not_after,
            has_key: shared.contains_key(&key),
            file,
        });
    }
    Ok(authorities)
}

/// What it means that a key was found on no control plane.
pub(super) fn missing_keys(authorities: &[Authority], shared: &StateFiles) -> Vec<String> {
    let mut missing: Vec<String> = authorities
        .iter()
        .filter(|authority| !authority.has_key)
        .map(|authority| {
            let key = authority.file.replace(".crt", ".key");
            format!(
                "no control plane has {key}: without it, no certificate of this authority can be \
                 issued or renewed, and no control plane added; if you keep it elsewhere, copy \
                 it into the state directory"
            )
        })
        .collect();
    let key = shared_file(SERVICE_ACCOUNT, "key");
    if !shared.contains_key(&key) {
        missing.push(format!(
            "no control plane has {key}, which signs service account tokens"
        ));
    }
    missing
}
