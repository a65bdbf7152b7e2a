//! The certificates that `kubeadm join --control-plane` downloads: the content
//! of the Secret `kube-system/kubeadm-certs`.

use std::collections::BTreeMap;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

use crate::error::PkiError;
use crate::material::Pki;
use crate::table::Ca;

/// What the API server needs for an external etcd, in PEM.
#[derive(Clone, Copy)]
pub struct ExternalEtcdFiles<'a> {
    /// CA of etcd's serving certificate.
    pub ca: &'a str,
    /// The API server's client certificate.
    pub cert: &'a str,
    /// Its key.
    pub key: &'a str,
}

/// Nonce (12 bytes), then ciphertext and tag: AES-256-GCM without associated
/// data. `None` only if the system has no random numbers.
pub(crate) fn encrypt_for_upload(key: &[u8; 32], plain: &[u8]) -> Option<Vec<u8>> {
    let mut nonce = [0; NONCE_LEN];
    SystemRandom::new().fill(&mut nonce).ok()?;
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
    // Encrypted in place: with room for the tag, no copy of the plain text
    // stays behind.
    let mut out = Vec::with_capacity(NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
    out.extend_from_slice(&nonce);
    out.extend_from_slice(plain);
    let nonce = Nonce::assume_unique_for_key(nonce);
    let tag = key
        .seal_in_place_separate_tag(nonce, Aad::empty(), &mut out[NONCE_LEN..])
        .ok()?;
    out.extend_from_slice(tag.as_ref());
    Some(out)
}

impl Pki {
    /// The Secret's data by its keys, which are the file names with `-` for
    /// `/`. As kubeadm has it, a key that is elsewhere is an empty value.
    /// `etcd` is needed only with an external etcd.
    pub fn uploads(
        &self,
        key: &[u8; 32],
        etcd: Option<ExternalEtcdFiles<'_>>,
    ) -> Result<BTreeMap<String, Vec<u8>>, PkiError> {
        let mut plain: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (ca, authority) in &self.authorities {
            if authority.key.is_none() {
                plain.insert(secret_key(&format!("{}.key", ca.base())), Vec::new());
            }
        }
        let encrypt = |name: &str, content: &str| {
            encrypt_for_upload(key, content.as_bytes())
                .ok_or_else(|| PkiError::Upload(name.to_owned()))
        };
        for file in self.shared_files() {
            plain.insert(secret_key(&file.path), encrypt(&file.path, &file.content)?);
        }
        if let (None, Some(etcd)) = (self.authority(Ca::Etcd), etcd) {
            for (name, content) in [
                ("external-etcd-ca.crt", etcd.ca),
                ("external-etcd.crt", etcd.cert),
                ("external-etcd.key", etcd.key),
            ] {
                plain.insert(name.to_owned(), encrypt(name, content)?);
            }
        }
        Ok(plain)
    }
}

fn secret_key(path: &str) -> String {
    path.replace('/', "-")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use aes_gcm::aead::{Aead, KeyInit};

    use super::*;

    /// Another implementation reads what ours wrote.
    #[test]
    fn what_is_uploaded_can_be_decrypted() {
        let sealed = encrypt_for_upload(&[7; 32], b"key").unwrap();
        assert_eq!(sealed.len(), 12 + 3 + 16);
        let (nonce, body) = sealed.split_at(12);
        let cipher = aes_gcm::Aes256Gcm::new_from_slice(&[7; 32]).unwrap();
        let nonce = aes_gcm::aead::Nonce::<aes_gcm::Aes256Gcm>::try_from(nonce).unwrap();
        assert_eq!(cipher.decrypt(&nonce, body).unwrap(), b"key");
        assert_ne!(sealed, encrypt_for_upload(&[7; 32], b"key").unwrap());
    }
}
