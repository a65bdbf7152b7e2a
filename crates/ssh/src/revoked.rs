//! `RevokedHostKeys`: files with keys that no host may have.

use std::path::PathBuf;

use russh::keys::{Certificate, PublicKey};

use crate::error::{Revocation, SshError};
use crate::krl::Krl;

/// The keys of all files.
#[derive(Debug, Default)]
pub(crate) struct RevokedKeys(Vec<(PathBuf, Content)>);

#[derive(Debug)]
enum Content {
    /// Lines with a key each.
    Keys(Vec<(usize, PublicKey)>),
    Krl(Krl),
}

impl RevokedKeys {
    /// Reads the files. One that is missing or can't be understood is an error: it may hold the
    /// very key.
    pub(crate) fn load(files: &[PathBuf]) -> Result<Self, SshError> {
        let load = |path: &PathBuf| {
            let cannot = |source| SshError::File {
                path: path.clone(),
                source,
            };
            let bytes = std::fs::read(path).map_err(cannot)?;
            let content = match Krl::parse(&bytes) {
                Some(krl) => krl.map(Content::Krl),
                None => parse_keys(&String::from_utf8_lossy(&bytes)).map(Content::Keys),
            };
            let content = content.map_err(|why| cannot(std::io::Error::other(why)))?;
            Ok((path.clone(), content))
        };
        files
            .iter()
            .map(load)
            .collect::<Result<_, _>>()
            .map(RevokedKeys)
    }

    /// Where a key or, if it came in a certificate, that or its authority is revoked.
    pub(crate) fn find(
        &self,
        key: &PublicKey,
        certificate: Option<&Certificate>,
    ) -> Option<Revocation> {
        let is_meant = |listed: &PublicKey| {
            let data = listed.key_data();
            data == key.key_data() || certificate.is_some_and(|one| data == one.signature_key())
        };
        self.0.iter().find_map(|(file, content)| {
            let line = match content {
                Content::Krl(krl) => krl.revokes(key, certificate).then_some(None),
                Content::Keys(keys) => keys
                    .iter()
                    .find(|(_, listed)| is_meant(listed))
                    .map(|(line, _)| Some(*line)),
            };
            line.map(|line| Revocation {
                file: file.clone(),
                line,
            })
        })
    }
}

/// A key a line; comments and empty lines are skipped.
fn parse_keys(text: &str) -> Result<Vec<(usize, PublicKey)>, String> {
    let lines = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim()));
    let keys = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    keys.map(|(number, line)| match read_key(line) {
        Some(key) => Ok((number, key)),
        None => Err(format!("line {number} is not a public key")),
    })
    .collect()
}

/// A key, or the one in a certificate.
fn read_key(line: &str) -> Option<PublicKey> {
    if let Ok(certificate) = Certificate::from_openssh(line) {
        return Some(PublicKey::new(certificate.public_key().clone(), ""));
    }
    let mut words = line.split_ascii_whitespace();
    let bare = format!("{} {}", words.next()?, words.next()?);
    PublicKey::from_openssh(&bare).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use russh::keys::{Algorithm, PrivateKey};

    use super::*;

    fn new_key() -> PublicKey {
        PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519)
            .unwrap()
            .public_key()
            .clone()
    }

    fn load(text: &str) -> (tempfile::TempDir, Result<RevokedKeys, SshError>) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("revoked");
        std::fs::write(&file, text).unwrap();
        let keys = RevokedKeys::load(&[file]);
        (dir, keys)
    }

    #[test]
    fn lines_with_keys() {
        let (bad, good) = (new_key(), new_key());
        let text = format!("# stolen\n\n  {}\n", bad.to_openssh().unwrap());
        let (dir, keys) = load(&text);
        let keys = keys.unwrap();
        let found = keys.find(&bad, None).unwrap();
        assert_eq!(found.line, Some(3));
        assert!(found.to_string().ends_with("revoked:3"), "{found}");
        assert_eq!(keys.find(&good, None), None);
        drop(dir);
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        assert!(load("ssh-ed25519 AAAA\n").1.is_err());
        assert!(RevokedKeys::load(&["/nonexistent/revoked".into()]).is_err());
        assert!(
            RevokedKeys::load(&[])
                .unwrap()
                .find(&new_key(), None)
                .is_none()
        );
    }
}
