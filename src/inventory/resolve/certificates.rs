//! Certificates: lifetimes, keys.

use std::time::Duration;

use super::fault::Fault;
use super::resolver::Resolver;
use super::values;
use crate::inventory::cluster::Version;
use crate::inventory::spec::{ClusterSpec, EncryptionAlgorithm, defaults};
use crate::inventory::yaml::FieldPath;

/// Lifetimes of leaf and CA certificates.
pub(super) fn resolve_validity(
    spec: &ClusterSpec,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) -> (Duration, Duration) {
    let leaf_at = at.key("certificateValidityPeriod");
    let ca_at = at.key("caCertificateValidityPeriod");
    let leaf = spec.certificate_validity_period.as_deref();
    let leaf = values::resolve_duration(leaf, defaults::CERTIFICATE_VALIDITY, &leaf_at, resolver);
    let ca = spec.ca_certificate_validity_period.as_deref();
    let ca = values::resolve_duration(ca, defaults::CA_CERTIFICATE_VALIDITY, &ca_at, resolver);
    if leaf > ca {
        let message = "certificates would outlive their CA";
        let at = match resolver.is_given(&leaf_at) {
            true => &leaf_at,
            false => &ca_at,
        };
        resolver.report(Fault::warning(at, message).help(format!(
            "make `caCertificateValidityPeriod` longer (default: {})",
            defaults::CA_CERTIFICATE_VALIDITY
        )));
    }
    (leaf, ca)
}

/// How long before its end a leaf certificate is replaced. Less than it is valid: otherwise
/// each run would replace what the last one made.
pub(super) fn resolve_renewal(
    spec: &ClusterSpec,
    validity: Duration,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) -> Duration {
    let renew_at = at.key("certificateRenewBefore");
    let given = spec.certificate_renew_before.as_deref();
    let default = defaults::CERTIFICATE_RENEW_BEFORE;
    let renew_before = values::resolve_duration(given, default, &renew_at, resolver);
    if given.is_none() {
        return renew_before.min(validity / 3);
    }
    if renew_before >= validity {
        let message = "certificates would be replaced as soon as they are made";
        let validity_at = at.key("certificateValidityPeriod");
        let valid = match resolver.is_given(&validity_at) {
            true => "they are valid for no longer than that".to_owned(),
            false => format!("they are valid for {}", defaults::CERTIFICATE_VALIDITY),
        };
        resolver.report(
            Fault::error(&renew_at, message)
                .also(&validity_at, valid)
                .help("make it shorter than `certificateValidityPeriod`"),
        );
    }
    renew_before
}

/// An AES-256 key in hex.
pub(super) fn check_certificate_key(
    key: Option<&str>,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) {
    const DIGITS: usize = 64;
    let valid = match key {
        Some(key) if key.len() != DIGITS || !key.bytes().all(|b| b.is_ascii_hexdigit()) => {
            Err(format!("must be {DIGITS} hexadecimal digits"))
        }
        _ => Ok(()),
    };
    resolver.check(&at.key("certificateKey"), valid);
}

/// The algorithm for keys that are generated, if this version of Kubernetes supports it.
pub(super) fn resolve_algorithm(
    spec: &ClusterSpec,
    version: Option<Version>,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) -> EncryptionAlgorithm {
    let encryption_algorithm = spec.encryption_algorithm.unwrap_or_default();
    if encryption_algorithm == EncryptionAlgorithm::EcdsaP384
        && let Some(version) = version.filter(|version| version.minor < 34)
    {
        let message = "ECDSA-P384 needs Kubernetes v1.34 or newer";
        resolver.report(
            Fault::error(&at.key("encryptionAlgorithm"), message)
                .also(&at.key("kubernetesVersion"), format!("this is {version}"))
                .help("use ECDSA-P256, or a newer version of Kubernetes"),
        );
    }
    encryption_algorithm
}
