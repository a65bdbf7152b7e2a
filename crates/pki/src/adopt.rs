//! Files that come from elsewhere into the store: those of a control plane, where the store was
//! lost.

use zeroize::Zeroizing;

use crate::disk;
use crate::error::PkiError;
use crate::inspect::Parsed;
use crate::keys::PrivateKey;
use crate::planned::read_file;
use crate::store::Store;

/// Begins and ends a block of PEM text; what is between them names it.
const DASHES: &str = "-----";

impl Store {
    /// The text of one of its files, relative to the operator state; `None` if it doesn't exist.
    ///
    /// # Errors
    /// A file that can't be read.
    pub fn read(&self, file: &str) -> Result<Option<Zeroizing<String>>, PkiError> {
        read_file(self, file)
    }

    /// Writes one of its files, whole or not at all, and readable by its owner alone unless it
    /// is a certificate.
    ///
    /// # Errors
    /// A file that can't be written.
    pub fn adopt(&self, file: &str, text: &str) -> Result<(), PkiError> {
        let mode = match file.ends_with(".crt") {
            true => 0o644,
            false => 0o600,
        };
        let path = self.path(file);
        disk::write_file(&path, text.as_bytes(), mode)
            .map_err(|source| PkiError::Write { path, source })
    }
}

/// Checks that `key` is that of the certificate `cert`, both PEM. The error is a clause that
/// follows the key's name.
pub fn check_key(key: &str, cert: &str) -> Result<(), String> {
    let key = PrivateKey::from_pem(key).map_err(|why| why.to_string())?;
    match Parsed::from_pem(cert) {
        Ok(cert) if cert.spki == key.spki() => Ok(()),
        Ok(_) => Err("is another certificate's".into()),
        Err(why) => Err(format!("belongs to a certificate that {why}")),
    }
}

/// Takes a file with both apart, as a kubelet writes it: the certificates, and the key.
pub fn split_pem(text: &str) -> Option<(String, Zeroizing<String>)> {
    let mut certificates = String::new();
    let mut key = Zeroizing::new(String::with_capacity(text.len()));
    let mut rest = text;
    while let Some(start) = rest.find("-----BEGIN ") {
        let block = &rest[start..];
        let name = block["-----BEGIN ".len()..].split(DASHES).next()?;
        let last = format!("-----END {name}-----");
        let end = block.find(&last)? + last.len();
        let into = match name {
            "CERTIFICATE" => &mut certificates,
            _ if name.ends_with("PRIVATE KEY") => &mut *key,
            _ => return None,
        };
        into.push_str(&block[..end]);
        into.push('\n');
        rest = &block[end..];
    }
    (!certificates.is_empty() && !key.is_empty()).then_some((certificates, key))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_certificates_are_for_others_to_read() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().join("demo"));
        for (file, mode) in [
            ("pki/etcd/ca.crt", 0o644),
            ("pki/etcd/ca.key", 0o600),
            ("pki/sa.pub", 0o600),
        ] {
            store.adopt(file, file).unwrap();
            let metadata = std::fs::metadata(store.path(file)).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, mode, "{file}");
            assert_eq!(&**store.read(file).unwrap().unwrap(), file);
        }
        assert_eq!(store.read("pki/ca.crt").unwrap(), None);
        let metadata = std::fs::metadata(dir.path().join("demo/pki")).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn what_a_kubelet_keeps_in_one_file_is_two() {
        let block = |name: &str| format!("-----BEGIN {name}-----\nQUJD\n-----END {name}-----\n");
        let (cert, key) = (block("CERTIFICATE"), block("EC PRIVATE KEY"));
        let both = format!("{cert}{cert}{key}");
        let (certificates, found) = split_pem(&both).unwrap();
        assert_eq!(certificates, format!("{cert}{cert}"));
        assert_eq!(*found, key);
        assert_eq!(split_pem(&cert), None, "no key");
        assert_eq!(split_pem(&key), None, "no certificate");
        assert_eq!(split_pem("-----BEGIN CERTIFICATE-----\nQUJD"), None);
        assert_eq!(split_pem("-----BEGIN "), None);
    }
}
