//! Private keys: made, read in every form that kubeadm reads, written in the
//! two forms that kubeadm writes.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use rsa::pkcs1::EncodeRsaPrivateKey;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use zeroize::{Zeroize, Zeroizing};

use super::der::{self, Reader};

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
    fn from_oid(oid: &[u8]) -> Option<Self> {
        match oid {
            der::OID_P256 => Some(Curve::P256),
            der::OID_P384 => Some(Curve::P384),
            _ => None,
        }
    }

    fn oid(self) -> &'static [u8] {
        match self {
            Curve::P256 => der::OID_P256,
            Curve::P384 => der::OID_P384,
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

enum Signer {
    Ec(Curve, EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

/// A private key. What it holds is wiped when it is dropped, and never shown.
pub struct PrivateKey {
    signer: Signer,
    /// SEC1 (with the curve's name) or PKCS#1.
    der: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({}, redacted)", self.algorithm_name())
    }
}

/// Why a key is of no use, as a clause that follows the file's name.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(pub(super) String);

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
            .map_err(|_| KeyError::new("the system has no random numbers to make a key of"))?;
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
            _ => Err(KeyError::new("is of a form that kubeadm doesn't know")),
        };
        parsed.zeroize();
        key
    }

    fn from_pkcs1(pkcs1: &[u8]) -> Result<Self, KeyError> {
        let pair = RsaKeyPair::from_der(pkcs1)
            .map_err(|e| KeyError(format!("is no RSA key of 2048 to 4096 bits ({e})")))?;
        Ok(PrivateKey {
            signer: Signer::Rsa(pair),
            der: Zeroizing::new(pkcs1.to_vec()),
        })
    }

    /// PrivateKeyInfo (RFC 5208): version, algorithm, key.
    fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, KeyError> {
        let parse = || {
            let mut info = Reader::within(pkcs8, der::SEQUENCE)?;
            info.expect(der::INTEGER)?;
            let mut algorithm = Reader::new(info.expect(der::SEQUENCE)?);
            let oid = algorithm.next()?.raw;
            let parameters = algorithm.next().map(|element| element.raw);
            Some((oid, parameters, info.expect(der::OCTET_STRING)?))
        };
        match parse() {
            Some((der::OID_RSA, _, key)) => Self::from_pkcs1(key),
            Some((der::OID_EC_PUBLIC_KEY, curve, key)) => Self::from_sec1(key, curve),
            Some(_) => Err(KeyError::new(
                "is neither an RSA nor an ECDSA key, and kubeadm takes no other",
            )),
            None => Err(KeyError::new("is no PKCS#8 key")),
        }
    }

    /// ECPrivateKey (RFC 5915): version, scalar, [0] curve, [1] public key. In
    /// PKCS#8, the curve may stand outside.
    fn from_sec1<'a>(sec1: &'a [u8], mut curve: Option<&'a [u8]>) -> Result<Self, KeyError> {
        let malformed = || KeyError::new("is no SEC1 key");
        let mut key = Reader::within(sec1, der::SEQUENCE).ok_or_else(malformed)?;
        key.expect(der::INTEGER).ok_or_else(malformed)?;
        let scalar = key.expect(der::OCTET_STRING).ok_or_else(malformed)?;
        let mut point = None;
        while let Some(field) = key.next() {
            match field.tag {
                0xa0 => curve = Some(field.value),
                0xa1 => point = Reader::new(field.value).expect(der::BIT_STRING),
                _ => return Err(malformed()),
            }
        }
        let curve = curve.and_then(Curve::from_oid).ok_or_else(|| {
            KeyError::new("names no curve that we know (P-256 and P-384 by name)")
        })?;
        // A bit string begins with the number of unused bits.
        let point = point
            .and_then(|bits| bits.strip_prefix(&[0]))
            .ok_or_else(|| {
                KeyError::new(
                    "lacks its public half (`openssl ec -in old.key -out new.key` adds it)",
                )
            })?;
        if scalar.len() > curve.size() {
            return Err(malformed());
        }
        let mut padded = Zeroizing::new(vec![0; curve.size() - scalar.len()]);
        padded.reserve_exact(scalar.len());
        padded.extend_from_slice(scalar);

        let pair = EcdsaKeyPair::from_private_key_and_public_key(
            curve.signing(),
            &padded,
            point,
            &SystemRandom::new(),
        )
        .map_err(|e| KeyError(format!("is no valid ECDSA key ({e})")))?;
        // Go and OpenSSL want to read the curve's name here.
        let der = der::element(
            der::SEQUENCE,
            &[
                &[der::INTEGER, 1, 1],
                &der::element(der::OCTET_STRING, &[&padded]),
                &der::element(0xa0, &[curve.oid()]),
                &der::element(0xa1, &[&der::element(der::BIT_STRING, &[&[0], point])]),
            ],
        );
        Ok(PrivateKey {
            signer: Signer::Ec(curve, pair),
            der,
        })
    }

    /// The key as kubeadm writes it: `EC PRIVATE KEY` or `RSA PRIVATE KEY`.
    pub fn to_pem(&self) -> Zeroizing<String> {
        pem(
            match self.signer {
                Signer::Ec(..) => "EC PRIVATE KEY",
                Signer::Rsa(_) => "RSA PRIVATE KEY",
            },
            &self.der,
        )
    }

    /// The public half as `PUBLIC KEY`.
    pub fn public_pem(&self) -> String {
        pem("PUBLIC KEY", &self.spki()).to_string()
    }

    /// The public half as a DER SubjectPublicKeyInfo.
    pub fn spki(&self) -> Vec<u8> {
        let algorithm = match &self.signer {
            Signer::Ec(curve, _) => {
                der::element(der::SEQUENCE, &[der::OID_EC_PUBLIC_KEY, curve.oid()])
            }
            Signer::Rsa(_) => der::element(der::SEQUENCE, &[der::OID_RSA, der::NULL]),
        };
        let public = der::element(der::BIT_STRING, &[&[0], self.public_bytes()]);
        der::element(der::SEQUENCE, &[&algorithm, &public]).to_vec()
    }

    fn public_bytes(&self) -> &[u8] {
        match &self.signer {
            Signer::Ec(_, pair) => pair.public_key().as_ref(),
            Signer::Rsa(pair) => pair.public_key().as_ref(),
        }
    }

    fn algorithm_name(&self) -> String {
        match &self.signer {
            Signer::Ec(Curve::P256, _) => "ECDSA-P256".into(),
            Signer::Ec(Curve::P384, _) => "ECDSA-P384".into(),
            Signer::Rsa(pair) => format!("RSA-{}", pair.public().modulus_len() * 8),
        }
    }

    /// Signs with SHA-256 (P-256, RSA) or SHA-384 (P-384), as Go does.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let random = SystemRandom::new();
        let failed = |_| KeyError::new("can't sign: the system has no random numbers");
        match &self.signer {
            Signer::Ec(_, pair) => Ok(pair
                .sign(&random, message)
                .map_err(failed)?
                .as_ref()
                .to_vec()),
            Signer::Rsa(pair) => {
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
        self.public_bytes()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        match self.signer {
            Signer::Ec(Curve::P256, _) => &rcgen::PKCS_ECDSA_P256_SHA256,
            Signer::Ec(Curve::P384, _) => &rcgen::PKCS_ECDSA_P384_SHA384,
            Signer::Rsa(_) => &rcgen::PKCS_RSA_SHA256,
        }
    }
}

/// PEM as Go writes it: lines of 64 characters, each ended by `\n`.
pub(super) fn pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    let mut body = Zeroizing::new(vec![0; der.len().div_ceil(3) * 4]);
    // The buffer has exactly the size of the encoding, so this can't fail.
    let length = STANDARD.encode_slice(der, &mut body).unwrap_or_default();
    let mut out = Zeroizing::new(String::with_capacity(length + length / 64 + 80));
    out.push_str("-----BEGIN ");
    out.push_str(label);
    out.push_str("-----\n");
    for line in body[..length].chunks(64) {
        out.extend(line.iter().map(|byte| char::from(*byte)));
        out.push('\n');
    }
    out.push_str("-----END ");
    out.push_str(label);
    out.push_str("-----\n");
    out
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
    fn what_is_no_key_says_so() {
        let wrong = |pem: &str| PrivateKey::from_pem(pem).unwrap_err().to_string();
        assert_eq!(wrong("hello"), "holds no private key in PEM form");
        assert_eq!(wrong(&pem("EC PRIVATE KEY", b"hello")), "is no SEC1 key");
        assert_eq!(wrong(&pem("PRIVATE KEY", b"hello")), "is no PKCS#8 key");
        assert!(wrong(&pem("ENCRYPTED PRIVATE KEY", b"x")).contains("passphrase"));
    }
}
