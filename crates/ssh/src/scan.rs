//! Which keys a host presents, before any of them is trusted.

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::join_all;
use russh::keys::{Algorithm, PublicKey};

use crate::connect::dial;
use crate::connector::Connector;
use crate::error::SshError;
use crate::evidence::{Evidence, fingerprint, verdict_error};
use crate::handshake::{Policy, shake_hands};
use crate::known_hosts::Verdict;
use crate::target::Target;

/// The keys of a host, not verified yet.
#[derive(Debug, Clone)]
pub struct HostKeys {
    /// The name under which known_hosts files know it.
    pub name: String,
    /// Its port; 22 for an alias, which is looked up without one.
    pub port: u16,
    /// At least one, each of another algorithm.
    pub keys: Vec<HostKey>,
}

/// A host's public key.
#[derive(Debug, Clone)]
pub struct HostKey {
    /// Such as `ssh-ed25519`.
    pub algorithm: String,
    /// As `ssh-keygen -lf` prints it: `SHA256:…`.
    pub fingerprint: String,
    /// The key itself, for [`crate::append_known_host`].
    pub key: PublicKey,
    /// Whether a known_hosts file has it already.
    pub known: bool,
}

/// Fetches a host's keys without logging in. Jump hosts on the way are
/// verified and logged in to as ever.
///
/// # Errors
///
/// The host can't be reached or speaks no SSH; or it presents a key that is
/// revoked, or another one than known_hosts files have: such a key is not to
/// be trusted, whatever the operator answers.
pub async fn scan_host_keys(target: &Target, connector: &Connector) -> Result<HostKeys, SshError> {
    let evidence = Evidence::gather(target).await?;
    let allowed = target.algorithms.host_keys.iter().cloned();
    let (rsa, others): (Vec<_>, Vec<_>) =
        allowed.partition(|one| matches!(one, Algorithm::Rsa { .. }));
    let (ecdsa, ed25519): (Vec<_>, Vec<_>) = others
        .into_iter()
        .partition(|one| matches!(one, Algorithm::Ecdsa { .. }));
    let families = [ed25519, ecdsa, rsa].into_iter();
    let scans = families
        .filter(|family| !family.is_empty())
        .map(|family| scan_key(target, connector, family));
    let mut keys = Vec::new();
    let mut failure = None;
    for result in join_all(scans).await {
        match result {
            Ok(key) => keys.push(key),
            Err(error) => {
                failure.get_or_insert(error);
            }
        }
    }
    if keys.is_empty() {
        return Err(failure.unwrap_or_else(|| SshError::Settings {
            host: target.name.clone(),
            reason: "HostKeyAlgorithms in ssh_config allows certificates only".into(),
        }));
    }
    Ok(HostKeys {
        name: target.host_key.name.clone(),
        port: if target.host_key.is_alias {
            22
        } else {
            target.port
        },
        keys: judge_scanned_keys(target, &evidence, keys)?,
    })
}

/// Which of the keys are known already; an error if one must not be trusted.
fn judge_scanned_keys(
    target: &Target,
    evidence: &Evidence,
    keys: Vec<PublicKey>,
) -> Result<Vec<HostKey>, SshError> {
    let name = target.known_hosts_name();
    let one_is_known = keys
        .iter()
        .any(|key| evidence.check_key(name, key) == Verdict::Known);
    let algorithms = evidence.known().known_algorithms(name);
    let mut judged = Vec::new();
    for key in keys {
        let verdict = evidence.check_key(name, &key);
        // A host that has proved itself by one key may have others that are
        // not in the files yet, but not other ones of the same algorithm.
        let addition = matches!(verdict, Verdict::Changed(..))
            && one_is_known
            && !algorithms.contains(&key.algorithm());
        let is_known = verdict == Verdict::Known;
        if !is_known && !addition && verdict != Verdict::Unknown {
            verdict_error(target, name, &key, verdict)?;
        }
        judged.push(HostKey {
            algorithm: key.algorithm().to_string(),
            fingerprint: fingerprint(&key),
            known: is_known,
            key,
        });
    }
    Ok(judged)
}

/// The host's key of one family of algorithms.
async fn scan_key(
    target: &Target,
    connector: &Connector,
    family: Vec<Algorithm>,
) -> Result<PublicKey, SshError> {
    let slot = Arc::new(Mutex::new(None));
    let (stream, mut way) = dial(target, connector, None).await?;
    connector.shared.count_connection();
    let policy = Policy::Record(slot.clone());
    // Ends in an error even if all went well: we hang up once we have the key.
    let result = shake_hands(target, stream, policy, Some(&family)).await;
    let key = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (key, result) {
        (Some(key), _) => Ok(key),
        (None, Err(error)) => Err(way.explain(target, error).await),
        (None, Ok(_)) => Err(SshError::Handshake {
            host: target.name.clone(),
            address: target.endpoint(),
            reason: "it presented no host key".into(),
        }),
    }
}
