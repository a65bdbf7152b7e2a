//! Private keys: made, read in every form that kubeadm reads, written in the
//! two forms that kubeadm writes.

use std::fmt;

use der::oid::ObjectIdentifier;
use der::pem::{LineEnding, encode_string};
use der::{Decode, EncodePem, ErrorKind, Tag};
use pkcs8::PrivateKeyInfoRef;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use rsa::pkcs1::EncodeRsaPrivateKey;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use sec1::{EcParameters, EcPrivateKey};
use zeroize::{Zeroize, Zeroizing};

/// Algorithms of PKCS#8 keys, and the names of curves (RFC 5480).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

/// kubeadm's `encryptionAlgorithm`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA on P-256.
    #[default]
    EcdsaP256,
    /// ECDSA on P-384.
    EcdsaP384,
    /// RSA, 2048 bits.
    Rsa2048,
    /// RSA, 3072 bits.
    Rsa3072,
    /// RSA, 4096 bits.
    Rsa4096,
}

impl fmt::Display for Algorithm {
    /// kubeadm's word for it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Algorithm::EcdsaP256 => "ECDSA-P256",
            Algorithm::EcdsaP384 => "ECDSA-P384",
            Algorithm::Rsa2048 => "RSA-2048",
            Algorithm::Rsa3072 => "RSA-3072",
            Algorithm::Rsa4096 => "RSA-4096",
        })
    }
}

/// The two curves that both kubeadm and ring know.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Curve {
    P256,
    P384,
}

impl Curve {
    fn from_oid(oid: ObjectIdentifier) -> Option<Self> {
        match oid {
            P256 => Some(Curve::P256),
            P384 => Some(Curve::P384),
            _ => None,
        }
    }

    fn oid(self) -> ObjectIdentifier {
        match self {
            Curve::P256 => P256,
            Curve::P384 => P384,
        }
    }

    /// Bytes of a private scalar.
    fn size(self) -> usize {
        match self {
            Curve::P256 => 32,
            Curve::P384 => 48,
        }
    }

    fn signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Curve::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
            Curve::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
        }
    }
}

/// Both halves of a key, ready to sign.
enum KeyPair {
    Ec(Curve, EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

/// A private key. What it holds is wiped when it is dropped, and never shown.
pub struct PrivateKey {
    pair: KeyPair,
    /// SEC1 (with the curve's name) or PKCS#1.
    pem: Zeroizing<String>,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({}, redacted)", self.algorithm_name())
    }
}

/// Why a key can't be used, as a clause that follows the file's name.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(pub(crate) String);

impl KeyError {
    fn new(why: impl Into<String>) -> Self {
        KeyError(why.into())
    }
}

impl PrivateKey {
    /// Makes a key. RSA takes from half a second (2048 bits) to many (4096).
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        match algorithm {
            Algorithm::EcdsaP256 => Self::generate_ec(Curve::P256),
            Algorithm::EcdsaP384 => Self::generate_ec(Curve::P384),
            Algorithm::Rsa2048 => Self::generate_rsa(2048),
            Algorithm::Rsa3072 => Self::generate_rsa(3072),
            Algorithm::Rsa4096 => Self::generate_rsa(4096),
        }
    }

    fn generate_ec(curve: Curve) -> Result<Self, KeyError> {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(curve.signing(), &SystemRandom::new())
            .map_err(|_| KeyError::new("the system has no random numbers"))?;
        Self::from_pkcs8(pkcs8.as_ref())
    }

    /// ring can't make RSA keys; it only signs with them.
    fn generate_rsa(bits: usize) -> Result<Self, KeyError> {
        let failed = |e: String| KeyError(format!("making an RSA key failed: {e}"));
        let key =
            rsa::RsaPrivateKey::new(&mut rand::rng(), bits).map_err(|e| failed(e.to_string()))?;
        let pkcs1 = key.to_pkcs1_der().map_err(|e| failed(e.to_string()))?;
        Self::from_pkcs1(pkcs1.as_bytes())
    }

    /// Reads the first private key of a PEM text: PKCS#1, SEC1 or PKCS#8. Other
    /// blocks, such as the EC PARAMETERS that OpenSSL writes first, are skipped.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        if pem.contains("BEGIN ENCRYPTED") || pem.contains("4,ENCRYPTED") {
            return Err(KeyError::new(
                "is encrypted with a passphrase, which Kubernetes can't read",
            ));
        }
        let mut parsed = PrivateKeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| KeyError::new("holds no private key in PEM form"))?;
        let key = match &parsed {
            PrivateKeyDer::Pkcs1(der) => Self::from_pkcs1(der.secret_pkcs1_der()),
            PrivateKeyDer::Sec1(der) => Self::from_sec1(der.secret_sec1_der(), None),
            PrivateKeyDer::Pkcs8(der) => Self::from_pkcs8(der.secret_pkcs8_der()),
            _ => Err(KeyError::new("has a format that kubeadm doesn't know")),
        };
        parsed.zeroize();
        key
    }

    fn from_pkcs1(pkcs1: &[u8]) -> Result<Self, KeyError> {
        let pair = RsaKeyPair::from_der(pkcs1)
            .map_err(|e| KeyError(format!("is not an RSA key of 2048 to 4096 bits ({e})")))?;
        Ok(PrivateKey {
            pair: KeyPair::Rsa(pair),
            pem: encode_pem("RSA PRIVATE KEY", pkcs1)?,
        })
    }

    fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, KeyError> {
        let info =
            PrivateKeyInfoRef::try_from(pkcs8).map_err(|_| KeyError::new("is not a PKCS#8 key"))?;
        let key = info.private_key.as_bytes();
        match info.algorithm.oid {
            RSA => Self::from_pkcs1(key),
            EC => Self::from_sec1(key, info.algorithm.parameters_oid().ok()),
            _ => Err(KeyError::new(
                "is neither an RSA nor an ECDSA key; kubeadm supports no other",
            )),
        }
    }

    /// Reads a SEC1 key. In PKCS#8, the curve is named outside of it.
    fn from_sec1(sec1: &[u8], outer_curve: Option<ObjectIdentifier>) -> Result<Self, KeyError> {
        let unknown_curve = || KeyError::new("uses a curve other than P-256 and P-384");
        let malformed = || KeyError::new("is not a SEC1 key");
        let key = EcPrivateKey::from_der(sec1).map_err(|error| match error.kind() {
            // The curve's parameters are spelled out, where its name should be.
            ErrorKind::TagUnexpected {
                expected: Some(Tag::ObjectIdentifier),
                ..
            } => unknown_curve(),
            _ => malformed(),
        })?;
        let curve = key
            .parameters
            .and_then(EcParameters::named_curve)
            .or(outer_curve)
            .and_then(Curve::from_oid)
            .ok_or_else(unknown_curve)?;
        let point = key.public_key.ok_or_else(|| {
            KeyError::new("lacks its public half (`openssl ec -in old.key -out new.key` adds it)")
        })?;
        // OpenSSL used to leave out leading zeros, which ring insists on.
        let missing = curve
            .size()
            .checked_sub(key.private_key.len())
            .ok_or_else(malformed)?;
        let mut scalar = Zeroizing::new(Vec::with_capacity(curve.size()));
        scalar.resize(missing, 0);
        scalar.extend_from_slice(key.private_key);

        let pair = EcdsaKeyPair::from_private_key_and_public_key(
            curve.signing(),
            &scalar,
            point,
            &SystemRandom::new(),
        )
        .map_err(|e| KeyError(format!("is not a valid ECDSA key ({e})")))?;
        // Go and OpenSSL look for the curve's name inside, whatever PKCS#8 said.
        let pem = EcPrivateKey {
            private_key: &scalar,
            parameters: Some(curve.oid().into()),
            public_key: Some(point),
        }
        .to_pem(LineEnding::LF)
        .map_err(|e| KeyError(format!("can't be written as PEM ({e})")))?;
        Ok(PrivateKey {
            pair: KeyPair::Ec(curve, pair),
            pem: Zeroizing::new(pem),
        })
    }

    /// The key as kubeadm writes it: `EC PRIVATE KEY` or `RSA PRIVATE KEY`.
    pub fn to_pem(&self) -> Zeroizing<String> {
        self.pem.clone()
    }

    /// The public half as `PUBLIC KEY`.
    pub fn public_pem(&self) -> Result<String, KeyError> {
        Ok(encode_pem("PUBLIC KEY", &self.spki())?.to_string())
    }

    /// The public half as a DER SubjectPublicKeyInfo.
    pub fn spki(&self) -> Vec<u8> {
        rcgen::PublicKeyData::subject_public_key_info(self)
    }

    fn algorithm_name(&self) -> String {
        match &self.pair {
            KeyPair::Ec(Curve::P256, _) => "ECDSA-P256".into(),
            KeyPair::Ec(Curve::P384, _) => "ECDSA-P384".into(),
            KeyPair::Rsa(pair) => format!("RSA-{}", pair.public().modulus_len() * 8),
        }
    }

    /// Signs with SHA-256 (P-256, RSA) or SHA-384 (P-384), as Go does.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let random = SystemRandom::new();
        let failed = |_| KeyError::new("can't sign: the system has no random numbers");
        match &self.pair {
            KeyPair::Ec(_, pair) => Ok(pair
                .sign(&random, message)
                .map_err(failed)?
                .as_ref()
                .to_vec()),
            KeyPair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(failed)?;
                Ok(signature)
            }
        }
    }
}

impl rcgen::PublicKeyData for PrivateKey {
    fn der_bytes(&self) -> &[u8] {
        match &self.pair {
            KeyPair::Ec(_, pair) => pair.public_key().as_ref(),
            KeyPair::Rsa(pair) => pair.public_key().as_ref(),
        }
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        match self.pair {
            KeyPair::Ec(Curve::P256, _) => &rcgen::PKCS_ECDSA_P256_SHA256,
            KeyPair::Ec(Curve::P384, _) => &rcgen::PKCS_ECDSA_P384_SHA384,
            KeyPair::Rsa(_) => &rcgen::PKCS_RSA_SHA256,
        }
    }
}

/// PEM as Go writes it: lines of 64 characters, each ended by `\n`.
pub(crate) fn encode_pem(label: &str, der: &[u8]) -> Result<Zeroizing<String>, KeyError> {
    encode_string(label, LineEnding::LF, der)
        .map(Zeroizing::new)
        .map_err(|e| KeyError(format!("can't be written as PEM ({e})")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_own_pem() {
        for algorithm in [Algorithm::EcdsaP256, Algorithm::EcdsaP384] {
            let key = PrivateKey::generate(algorithm).unwrap();
            let again = PrivateKey::from_pem(&key.to_pem()).unwrap();
            assert_eq!(key.to_pem(), again.to_pem());
            assert_eq!(key.spki(), again.spki());
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let key = PrivateKey::generate(Algorithm::EcdsaP256).unwrap();
        assert_eq!(format!("{key:?}"), "PrivateKey(ECDSA-P256, redacted)");
    }

    #[test]
    fn other_files_are_refused_with_a_reason() {
        let pem = |label, der| encode_pem(label, der).unwrap();
        let wrong = |pem: &str| PrivateKey::from_pem(pem).unwrap_err().to_string();
        assert_eq!(wrong("hello"), "holds no private key in PEM form");
        assert_eq!(wrong(&pem("EC PRIVATE KEY", b"hello")), "is not a SEC1 key");
        assert_eq!(wrong(&pem("PRIVATE KEY", b"hello")), "is not a PKCS#8 key");
        assert!(wrong(&pem("ENCRYPTED PRIVATE KEY", b"x")).contains("passphrase"));
    }
}
