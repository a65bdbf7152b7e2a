//! Service account tokens: JWTs signed with `sa.key`, verified with `sa.pub`.

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{self, EcdsaKeyPair, RsaKeyPair, UnparsedPublicKey};
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

/// A key that signs tokens.
pub enum Signer {
    /// RS256.
    Rsa(RsaKeyPair),
    /// ES256.
    P256(EcdsaKeyPair),
}

/// A key that verifies them: algorithm name, and key in ring's form.
pub struct Verifier {
    algorithm: &'static str,
    key: Vec<u8>,
}

impl Signer {
    /// Loads a private key from PEM.
    pub fn load(pem: &[u8]) -> anyhow::Result<Self> {
        let key = crate::tls::key(pem)?;
        let rsa = matches!(key, PrivateKeyDer::Pkcs1(_));
        let der = crate::tls::pkcs8(&key)?;
        if let Ok(pair) = RsaKeyPair::from_pkcs8(&der) {
            return Ok(Self::Rsa(pair));
        }
        if rsa {
            bail!("invalid RSA private key");
        }
        let rng = ring::rand::SystemRandom::new();
        EcdsaKeyPair::from_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, &der, &rng)
            .map(Self::P256)
            .map_err(|e| anyhow::anyhow!("unsupported service account key: {e}"))
    }

    /// Signs a token.
    pub fn sign(&self, claims: &Value) -> anyhow::Result<String> {
        let rng = ring::rand::SystemRandom::new();
        let algorithm = match self {
            Self::Rsa(_) => "RS256",
            Self::P256(_) => "ES256",
        };
        let header = json!({"alg": algorithm, "typ": "JWT"});
        let text = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let failed = |_| anyhow::anyhow!("signing failed");
        let signature = match self {
            Self::Rsa(key) => {
                let mut out = vec![0; key.public().modulus_len()];
                key.sign(
                    &signature::RSA_PKCS1_SHA256,
                    &rng,
                    text.as_bytes(),
                    &mut out,
                )
                .map_err(failed)?;
                out
            }
            Self::P256(key) => key
                .sign(&rng, text.as_bytes())
                .map_err(failed)?
                .as_ref()
                .to_vec(),
        };
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

impl Verifier {
    /// Loads a `PUBLIC KEY`, a certificate's key, or the public half of a private key.
    pub fn load(pem: &[u8]) -> anyhow::Result<Self> {
        let text = String::from_utf8_lossy(pem);
        if text.contains("PRIVATE KEY") {
            return Self::from_spki(&rcgen::PublicKeyData::subject_public_key_info(
                &crate::tls::signing_key(pem)?,
            ));
        }
        let body: String = text.lines().filter(|l| !l.starts_with("-----")).collect();
        if !text.contains("-----BEGIN PUBLIC KEY-----") {
            bail!("data does not contain any valid RSA or ECDSA public keys");
        }
        Self::from_spki(&crate::api::unbase64(&body))
    }

    fn from_spki(der: &[u8]) -> anyhow::Result<Self> {
        let (_, spki) = SubjectPublicKeyInfo::from_der(der)
            .context("data does not contain any valid RSA or ECDSA public keys")?;
        let algorithm = if spki.algorithm.algorithm.to_id_string() == "1.2.840.113549.1.1.1" {
            "RS256"
        } else {
            "ES256"
        };
        Ok(Self {
            algorithm,
            key: spki.subject_public_key.data.to_vec(),
        })
    }

    /// The claims of a token that this key has signed and that is not out of date.
    pub fn verify(&self, token: &str) -> Option<Value> {
        let (text, signature) = token.rsplit_once('.')?;
        let (header, claims) = text.split_once('.')?;
        let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
        if header["alg"] != self.algorithm {
            return None;
        }
        let algorithm: &dyn signature::VerificationAlgorithm = match self.algorithm {
            "RS256" => &signature::RSA_PKCS1_2048_8192_SHA256,
            _ => &signature::ECDSA_P256_SHA256_FIXED,
        };
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        UnparsedPublicKey::new(algorithm, &self.key)
            .verify(text.as_bytes(), &signature)
            .ok()?;
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
        let now = jiff::Timestamp::now().as_second();
        (claims["exp"].as_i64()? > now && claims["nbf"].as_i64()? <= now + 60).then_some(claims)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_token_verifies_with_its_own_key_only() {
        let key = rcgen::KeyPair::generate().unwrap();
        let other = rcgen::KeyPair::generate().unwrap();
        let now = jiff::Timestamp::now().as_second();
        let claims = json!({"sub": "a", "nbf": now, "exp": now + 60});
        let token = Signer::load(key.serialize_pem().as_bytes())
            .unwrap()
            .sign(&claims)
            .unwrap();
        let verifier = |k: &rcgen::KeyPair| Verifier::load(k.public_key_pem().as_bytes()).unwrap();
        assert_eq!(verifier(&key).verify(&token).unwrap(), claims);
        assert!(verifier(&other).verify(&token).is_none());
    }
}
