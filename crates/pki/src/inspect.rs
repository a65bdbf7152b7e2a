//! Reads certificates.

use std::net::IpAddr;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Serialize;
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

use crate::request::Sans;

/// What a certificate says. Text in it is whatever its maker put there: escape
/// it before it reaches a terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateInfo {
    /// The whole subject, such as `O=system:nodes, CN=system:node:cp1`.
    pub subject: String,
    /// The subject's first common name; empty if it has none.
    pub common_name: String,
    /// The subject's organizations.
    pub organizations: Vec<String>,
    /// The whole subject of whoever signed it.
    pub issuer: String,
    /// Lower hex, without leading zeros.
    pub serial: String,
    /// DNS SANs, in the certificate's order.
    pub dns_names: Vec<String>,
    /// IP SANs, in the certificate's order.
    pub ip_addresses: Vec<IpAddr>,
    /// Whether a TLS server may show it.
    pub server_auth: bool,
    /// Whether a TLS client may show it.
    pub client_auth: bool,
    /// Whether it is a certificate authority's.
    pub is_ca: bool,
    /// Valid from then.
    pub not_before: Timestamp,
    /// Valid until then.
    pub not_after: Timestamp,
    /// Such as `ECDSA-P256` or `RSA-2048`.
    pub key_algorithm: String,
}

impl CertificateInfo {
    pub(crate) fn sans(&self) -> Sans {
        Sans {
            dns: self.dns_names.clone(),
            ips: self.ip_addresses.clone(),
        }
    }
}

/// Reads the first certificate of a PEM text. The error is a clause that
/// follows the file's name.
pub fn inspect(pem: &str) -> Result<CertificateInfo, String> {
    Ok(Parsed::from_pem(pem)?.info)
}

/// kubeadm's pin of a CA: `sha256:` and the lower hex SHA-256 of the DER
/// SubjectPublicKeyInfo of the first certificate of a PEM text.
pub fn spki_pin(ca_pem: &str) -> Result<String, String> {
    let digest = Sha256::digest(Parsed::from_pem(ca_pem)?.spki);
    Ok(format!("sha256:{}", text::hex::encode(digest)))
}

/// A certificate, and of its bytes what issuing and checking needs.
#[derive(Debug, Clone)]
pub(crate) struct Parsed {
    pub(crate) info: CertificateInfo,
    pub(crate) der: Vec<u8>,
    pub(crate) subject: Vec<u8>,
    pub(crate) issuer: Vec<u8>,
    pub(crate) spki: Vec<u8>,
    pub(crate) key_id: Option<Vec<u8>>,
    /// Whether its key usage allows it to sign certificates.
    pub(crate) may_sign: bool,
}

impl Parsed {
    pub(crate) fn from_pem(pem: &str) -> Result<Self, String> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| "holds no certificate in PEM form")?;
        let (_, x509) = X509Certificate::from_der(&der)
            .map_err(|e| format!("holds no X.509 certificate ({e})"))?;
        Ok(Parsed {
            info: read_info(&x509)?,
            subject: x509.subject().as_raw().to_vec(),
            issuer: x509.issuer().as_raw().to_vec(),
            spki: x509.public_key().raw.to_vec(),
            key_id: x509
                .iter_extensions()
                .find_map(|ext| match ext.parsed_extension() {
                    ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
                    _ => None,
                }),
            may_sign: match x509.key_usage() {
                Ok(None) => true,
                Ok(Some(usage)) => usage.value.key_cert_sign(),
                Err(_) => false,
            },
            der: der.to_vec(),
        })
    }

    /// Whether `ca` signed it, and says so by the same name.
    pub(crate) fn is_signed_by(&self, ca: &Parsed) -> bool {
        let (Ok((_, leaf)), Ok((_, ca_cert))) = (
            X509Certificate::from_der(&self.der),
            X509Certificate::from_der(&ca.der),
        ) else {
            return false;
        };
        self.issuer == ca.subject && leaf.verify_signature(Some(ca_cert.public_key())).is_ok()
    }
}

fn read_info(x509: &X509Certificate<'_>) -> Result<CertificateInfo, String> {
    let wrong = |what: &str| format!("holds a certificate whose {what} can't be read");
    let text = |value: &x509_parser::x509::AttributeTypeAndValue<'_>| {
        value.as_str().map(str::to_owned).unwrap_or_default()
    };
    let usage = x509
        .extended_key_usage()
        .map_err(|_| wrong("extended key usage"))?;
    let mut dns_names = Vec::new();
    let mut ip_addresses = Vec::new();
    let sans = x509
        .subject_alternative_name()
        .map_err(|_| wrong("alternative names"))?;
    for name in sans.iter().flat_map(|ext| &ext.value.general_names) {
        match name {
            GeneralName::DNSName(name) => dns_names.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => {
                let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
                let v6 = || <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
                ip_addresses.push(v4.or_else(|_| v6()).map_err(|_| wrong("addresses"))?);
            }
            _ => {}
        }
    }
    let date = |at: x509_parser::time::ASN1Time| {
        Timestamp::from_second(at.timestamp()).map_err(|_| wrong("validity"))
    };
    Ok(CertificateInfo {
        subject: x509.subject().to_string(),
        common_name: x509
            .subject()
            .iter_common_name()
            .next()
            .map(text)
            .unwrap_or_default(),
        organizations: x509.subject().iter_organization().map(text).collect(),
        issuer: x509.issuer().to_string(),
        serial: x509.serial.to_str_radix(16),
        dns_names,
        ip_addresses,
        server_auth: usage
            .as_ref()
            .is_some_and(|ext| ext.value.server_auth || ext.value.any),
        client_auth: usage
            .as_ref()
            .is_some_and(|ext| ext.value.client_auth || ext.value.any),
        is_ca: x509
            .basic_constraints()
            .map_err(|_| wrong("basic constraints"))?
            .is_some_and(|ext| ext.value.ca),
        not_before: date(x509.validity().not_before)?,
        not_after: date(x509.validity().not_after)?,
        key_algorithm: name_key_algorithm(x509),
    })
}

fn name_key_algorithm(x509: &X509Certificate<'_>) -> String {
    match x509.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => format!("RSA-{}", key.key_size()),
        Ok(PublicKey::EC(point)) => format!("ECDSA-P{}", point.key_size()),
        _ => x509.public_key().algorithm.algorithm.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keys::encode_pem;

    proptest! {
        #[test]
        fn garbage_is_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(inspect(&encode_pem("CERTIFICATE", &bytes).unwrap()).is_err());
            prop_assert!(inspect(&String::from_utf8_lossy(&bytes)).is_err());
        }
    }
}
