//! What an identity file names: a private key, a public one, a certificate.

use std::path::{Path, PathBuf};

use russh::keys::{Algorithm, Certificate, PrivateKey, PublicKey};
use zeroize::Zeroizing;

/// The public half of a key file, without any passphrase: the file itself if it is a public key,
/// else the one beside it, else the clear part of OpenSSH's own format.
pub(crate) fn read_public_half(path: &Path) -> Option<PublicKey> {
    let text = std::fs::read_to_string(path).map(Zeroizing::new).ok();
    if let Some(key) = text.as_ref().and_then(|text| parse_public(text)) {
        return Some(key);
    }
    let beside = std::fs::read_to_string(append_suffix(path, ".pub")).ok();
    if let Some(key) = beside.and_then(|text| parse_public(&text)) {
        return Some(key);
    }
    let private = PrivateKey::from_openssh(text?.as_bytes()).ok()?;
    Some(private.public_key().clone())
}

/// Whether the file holds a public key, so that no private one can be read from it.
pub(crate) fn is_public(path: &Path) -> bool {
    let text = std::fs::read_to_string(path).map(Zeroizing::new);
    text.is_ok_and(|text| parse_public(&text).is_some())
}

/// The certificate in a file, for logging in.
pub(crate) fn read_certificate(path: &Path) -> Option<Certificate> {
    let text = std::fs::read_to_string(path).ok()?;
    let certificate = Certificate::from_openssh(text.trim()).ok()?;
    certificate.cert_type().is_user().then_some(certificate)
}

/// The file in which OpenSSH keeps a key's certificate.
pub(crate) fn certificate_beside(path: &Path) -> PathBuf {
    append_suffix(path, "-cert.pub")
}

/// Whether the private half never leaves a device, which only the agent can ask.
pub(crate) fn is_on_device(key: &PublicKey) -> bool {
    matches!(
        key.algorithm(),
        Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256
    )
}

fn parse_public(text: &str) -> Option<PublicKey> {
    let line = text.lines().find(|line| !line.trim().is_empty())?.trim();
    if let Ok(certificate) = Certificate::from_openssh(line) {
        return Some(PublicKey::new(certificate.public_key().clone(), ""));
    }
    PublicKey::from_openssh(line).ok()
}

fn append_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use russh::keys::ssh_key::LineEnding;

    use super::*;

    #[test]
    fn the_public_half_is_found_wherever_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let new_key =
            || PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap();
        let (inside, beside) = (new_key(), new_key());
        let path = dir.path().join("id");
        std::fs::write(&path, inside.to_openssh(LineEnding::LF).unwrap().as_bytes()).unwrap();
        let data = |path: &Path| read_public_half(path).unwrap().key_data().clone();
        assert_eq!(data(&path), *inside.public_key().key_data());
        assert!(!is_public(&path));
        let public = dir.path().join("id.pub");
        std::fs::write(&public, beside.public_key().to_openssh().unwrap()).unwrap();
        assert_eq!(data(&path), *beside.public_key().key_data());
        assert_eq!(data(&public), *beside.public_key().key_data());
        assert!(is_public(&public));
        assert!(read_public_half(&dir.path().join("none")).is_none());
        assert!(read_certificate(&public).is_none());
    }
}
