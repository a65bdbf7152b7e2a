//! Certificates: lifetimes, keys.

use std::time::Duration;

use super::fault::Fault;
use super::resolver::Resolver;
use super::values;
use crate::inventory::spec::ClusterSpec;
use crate::inventory::yaml::FieldPath;

const HOUR: u64 = 3600;

/// Lifetimes of leaf and CA certificates.
pub(super) fn resolve_validity(
    spec: &ClusterSpec,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) -> (Duration, Duration) {
    let leaf_at = at.key("certificateValidityPeriod");
    let ca_at = at.key("caCertificateValidityPeriod");
    let leaf = spec.certificate_validity_period.as_deref();
    let leaf = values::resolve_duration(leaf, Duration::from_secs(8760 * HOUR), &leaf_at, resolver);
    let ca = spec.ca_certificate_validity_period.as_deref();
    let ca = values::resolve_duration(ca, Duration::from_secs(87600 * HOUR), &ca_at, resolver);
    if leaf > ca {
        let message = "certificates would outlive the CA that signs them";
        let at = match resolver.is_given(&leaf_at) {
            true => &leaf_at,
            false => &ca_at,
        };
        resolver.report(
            Fault::warning(at, message)
                .help("make `caCertificateValidityPeriod` the longer one; its default is 87600h"),
        );
    }
    (leaf, ca)
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
            Err(format!("is not {DIGITS} hexadecimal digits"))
        }
        _ => Ok(()),
    };
    resolver.check(&at.key("certificateKey"), valid);
}
