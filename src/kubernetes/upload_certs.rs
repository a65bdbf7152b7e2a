//! `kubeadm-certs`: the shared certificates and keys, encrypted, for
//! `kubeadm join --control-plane`.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::error::KubernetesError;
use crate::layout::names;

/// How long kubeadm keeps the Secret.
pub const LIFETIME: jiff::SignedDuration = jiff::SignedDuration::from_hours(2);

const KEY_BYTES: usize = 32;

/// The key that the uploaded certificates are encrypted with: 64 hex digits.
#[derive(Clone)]
pub struct CertificateKey(Zeroizing<[u8; KEY_BYTES]>);

impl fmt::Debug for CertificateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CertificateKey(…)")
    }
}

impl CertificateKey {
    /// Makes a new one.
    pub fn generate() -> Result<Self, KubernetesError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        SystemRandom::new()
            .fill(key.as_mut())
            .map_err(|_| KubernetesError::Random)?;
        Ok(CertificateKey(key))
    }

    /// Reads one of the operator's.
    pub fn parse(text: &str) -> Result<Self, KubernetesError> {
        let digits = text.as_bytes();
        if digits.len() != 2 * KEY_BYTES {
            return Err(KubernetesError::CertificateKey);
        }
        let digit = |digit: u8| {
            char::from(digit)
                .to_digit(16)
                .and_then(|value| u8::try_from(value).ok())
                .ok_or(KubernetesError::CertificateKey)
        };
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(CertificateKey(key))
    }

    /// Its 64 hex digits: a secret.
    pub fn expose(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(2 * KEY_BYTES));
        for byte in self.0.iter() {
            for nibble in [byte >> 4, byte & 0xf] {
                text.extend(char::from_digit(nibble.into(), 16));
            }
        }
        text
    }

    /// Its 32 bytes: a secret.
    pub fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

/// The Secret `kubeadm-certs`.
///
/// `data` is what the PKI encrypted for upload. `owner` is the name and
/// UID of the Secret of [`super::TokenSecret::for_uploaded_certs`], whose removal
/// takes this one along.
pub fn secret(data: &BTreeMap<String, Vec<u8>>, owner: (&str, &str)) -> Value {
    let data: Map<String, Value> = data
        .iter()
        .map(|(name, sealed)| (name.clone(), STANDARD.encode(sealed).into()))
        .collect();
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": names::KUBEADM_CERTS,
            "namespace": names::KUBE_SYSTEM,
            "ownerReferences": [{
                "apiVersion": "v1",
                "kind": "Secret",
                "name": owner.0,
                "uid": owner.1,
                "controller": true,
                "blockOwnerDeletion": true,
            }],
        },
        "data": data,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_goes_when_its_owner_goes() {
        let data = BTreeMap::from([
            ("ca.key".to_owned(), Vec::new()),
            ("etcd-ca.crt".to_owned(), b"sealed".to_vec()),
        ]);
        let secret = secret(&data, ("bootstrap-token-abcdef", "1-2"));
        let owner = &secret["metadata"]["ownerReferences"][0];
        assert_eq!(
            (&owner["name"], &owner["uid"]),
            (&"bootstrap-token-abcdef".into(), &"1-2".into())
        );
        assert_eq!(owner["controller"], true);
        assert_eq!(secret["data"]["ca.key"], "");
        assert_eq!(secret["data"]["etcd-ca.crt"], STANDARD.encode("sealed"));
    }

    #[test]
    fn a_key_never_shows_by_accident() {
        let key = CertificateKey::generate().unwrap();
        assert_eq!(format!("{key:?}"), "CertificateKey(…)");
        assert_eq!(
            CertificateKey::parse(&key.expose()).unwrap().bytes(),
            key.bytes()
        );
    }

    #[test]
    fn malformed_keys_are_refused() {
        let good = "0123456789abcdef".repeat(4);
        assert_eq!(*CertificateKey::parse(&good).unwrap().expose(), good);
        for wrong in [
            &good[1..],
            "",
            &"g".repeat(64),
            &"é".repeat(32),
            &format!("{good}0"),
        ] {
            assert!(CertificateKey::parse(wrong).is_err(), "{wrong}");
        }
    }
}
