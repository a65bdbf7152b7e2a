//! Issues certificates as Go's x509 package would for kubeadm.

use std::net::IpAddr;
use std::time::Duration;

use der::asn1::{AnyRef, BitStringRef};
use der::{Decode, Encode, Reader as _};
use jiff::Timestamp;
use rand::RngExt;
use rcgen::string::{Ia5String, PrintableString};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyUsagePurpose, PublicKeyData, SanType,
    SerialNumber, SignatureAlgorithm, SigningKey,
};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::keys::{PrivateKey, encode_pem};
use crate::request::{Expected, Sans};
use crate::table::Ca;

/// kubeadm dates certificates back by this much, for clocks that lag behind.
pub(crate) const BACKDATE: Duration = Duration::from_secs(5 * 60);

/// Why no certificate could be issued.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct IssueError(String);

impl IssueError {
    fn new(why: impl ToString) -> Self {
        IssueError(why.to_string())
    }
}

/// From when until when a certificate is valid.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Period {
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

/// Who signs.
pub(crate) struct Signer<'a> {
    /// The subject of the CA's certificate, in DER.
    pub(crate) subject: &'a [u8],
    /// The CA's subject key identifier, if it has one.
    pub(crate) key_id: Option<&'a [u8]>,
    pub(crate) key: &'a PrivateKey,
}

/// A CA's own certificate, in PEM.
pub(crate) fn issue_authority(
    ca: Ca,
    period: Period,
    key: &PrivateKey,
) -> Result<String, IssueError> {
    let mut params = common_params(ca.common_name(), None, period)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages.push(KeyUsagePurpose::KeyCertSign);
    params.subject_alt_names = san_types(&Sans::new([ca.common_name().into()], []))?;
    // RFC 7093, method 1, as Go does it: over the key alone.
    let key_id = Sha256::digest(key.der_bytes())[..20].to_vec();
    params.key_identifier_method = KeyIdMethod::PreSpecified(key_id);

    let unsigned = params
        .self_signed(&Unsigned(key))
        .map_err(IssueError::new)?;
    sign(unsigned.der(), None, key)
}

/// A leaf's certificate for the public half of `key`, in PEM.
pub(crate) fn issue_leaf(
    expected: &Expected,
    period: Period,
    key: &PrivateKey,
    signer: &Signer<'_>,
) -> Result<String, IssueError> {
    let mut params = common_params(&expected.common_name, expected.organization, period)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.subject_alt_names = san_types(&expected.sans)?;
    if expected.leaf.usage.server() {
        params
            .extended_key_usages
            .push(ExtendedKeyUsagePurpose::ServerAuth);
    }
    if expected.leaf.usage.client() {
        params
            .extended_key_usages
            .push(ExtendedKeyUsagePurpose::ClientAuth);
    }
    params.use_authority_key_identifier_extension = signer.key_id.is_some();

    let mut issuer = CertificateParams::default();
    issuer.distinguished_name = DistinguishedName::new();
    issuer.key_identifier_method =
        KeyIdMethod::PreSpecified(signer.key_id.unwrap_or_default().to_vec());
    let unsigned = params
        .signed_by(key, &Issuer::new(issuer, Unsigned(signer.key)))
        .map_err(IssueError::new)?;
    sign(unsigned.der(), Some(signer.subject), signer.key)
}

fn common_params(
    common_name: &str,
    organization: Option<&str>,
    period: Period,
) -> Result<CertificateParams, IssueError> {
    let mut params = CertificateParams::default();
    params.not_before = to_offset(period.not_before)?;
    params.not_after = to_offset(period.not_after)?;
    params.serial_number = Some(random_serial());
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
    ];
    let mut name = DistinguishedName::new();
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, dn_value(organization));
    }
    name.push(DnType::CommonName, dn_value(common_name));
    params.distinguished_name = name;
    Ok(params)
}

/// Random, positive, below 2^63.
fn random_serial() -> SerialNumber {
    rand::rng().random_range(1..1u64 << 63).into()
}

/// Go writes a PrintableString wherever one suffices.
fn dn_value(text: &str) -> DnValue {
    PrintableString::try_from(text).map_or_else(
        |_| DnValue::Utf8String(text.into()),
        DnValue::PrintableString,
    )
}

fn san_types(sans: &Sans) -> Result<Vec<SanType>, IssueError> {
    let dns = sans
        .dns
        .iter()
        .map(|name| Ia5String::try_from(name.as_str()).map(SanType::DnsName));
    let ips = sans
        .ips
        .iter()
        .map(|ip: &IpAddr| Ok(SanType::IpAddress(*ip)));
    dns.chain(ips)
        .collect::<Result<_, _>>()
        .map_err(IssueError::new)
}

/// X.509 knows whole seconds, and no year beyond 9999.
fn to_offset(at: Timestamp) -> Result<OffsetDateTime, IssueError> {
    OffsetDateTime::from_unix_timestamp(at.as_second()).map_err(IssueError::new)
}

/// Stands in for the signer while rcgen writes what is to be signed.
struct Unsigned<'a>(&'a PrivateKey);

impl PublicKeyData for Unsigned<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.0.algorithm()
    }
}

impl SigningKey for Unsigned<'_> {
    fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(Vec::new())
    }
}

/// The issuer's place among the fields of a TBSCertificate (RFC 5280): version,
/// serial number, algorithm, issuer, …
const ISSUER: usize = 3;

/// Puts `issuer` in its place and signs.
///
/// Verifiers compare names byte by byte, but rcgen takes a name apart and
/// writes it again: sorted by kind, one value each. A CA of the operator's own
/// may have more than that in its name, so its bytes are copied instead.
fn sign(unsigned: &[u8], issuer: Option<&[u8]>, key: &PrivateKey) -> Result<String, IssueError> {
    let (mut fields, algorithm) = split_certificate(unsigned).map_err(IssueError::new)?;
    if let (Some(issuer), Some(field)) = (issuer, fields.get_mut(ISSUER)) {
        *field = AnyRef::from_der(issuer).map_err(IssueError::new)?;
    }
    let tbs = fields.to_der().map_err(IssueError::new)?;
    let signature = key.sign(&tbs).map_err(IssueError::new)?;
    let certificate = join_certificate(&tbs, algorithm, &signature).map_err(IssueError::new)?;
    let pem = encode_pem("CERTIFICATE", &certificate).map_err(IssueError::new)?;
    Ok(pem.to_string())
}

/// The fields of a certificate's signed part, and its signature's algorithm.
fn split_certificate(certificate: &[u8]) -> der::Result<(Vec<AnyRef<'_>>, AnyRef<'_>)> {
    AnyRef::from_der(certificate)?.sequence(|parts| {
        let (tbs, algorithm) = (parts.decode()?, parts.decode()?);
        let _signature: AnyRef<'_> = parts.decode()?;
        Ok((tbs, algorithm))
    })
}

/// The reverse of [`split_certificate`], with a signature.
fn join_certificate(tbs: &[u8], algorithm: AnyRef<'_>, signature: &[u8]) -> der::Result<Vec<u8>> {
    let signature = BitStringRef::from_bytes(signature)?.to_der()?;
    vec![
        AnyRef::from_der(tbs)?,
        algorithm,
        AnyRef::from_der(&signature)?,
    ]
    .to_der()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_are_positive_and_below_2_to_the_63() {
        for _ in 0..1_000 {
            let bytes = random_serial().to_bytes();
            let value = bytes
                .iter()
                .fold(0u128, |sum, byte| sum << 8 | u128::from(*byte));
            assert!((1..1 << 63).contains(&value), "{value}");
        }
    }
}
