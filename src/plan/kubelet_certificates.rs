//! Certificates that the kubelet renews itself: whether it does.

use jiff::{Timestamp, Unit};
use pki::inspect;

use crate::cluster::survey::Surveyed;
use crate::host::preflight::{Finding, Severity};
use crate::layout::paths;

/// The part of its lifetime after which a certificate should have been renewed, in percent.
/// The kubelet renews between 70 and 90.
const RENEWED_BY: i64 = 92;

/// Warns about the kubelet's own certificates on a host of the cluster that have ended, or
/// are about to and are not being renewed.
pub(super) fn check_kubelet_certificates(one: &Surveyed, now: Timestamp) -> Vec<Finding> {
    let certificates = one.gathered.kubelet_certificates.iter();
    let findings = certificates.filter_map(|(path, pem)| {
        // An unreadable one is the kubelet's to complain about.
        let info = inspect(pem).ok()?;
        let (message, mut remedy) = judge(path, info.not_before, info.not_after, now)?;
        if path.ends_with(paths::KUBELET_CLIENT_CURRENT) && info.not_after <= now {
            remedy = remedy_for_ended(one.host.is_control_plane());
        }
        Some(Finding {
            check: "KubeletCertificate".into(),
            host: one.host.name.clone(),
            severity: Severity::Warning,
            message,
            remedy: Some(remedy),
        })
    });
    findings.collect()
}

/// What to do about a client certificate that has ended.
fn remedy_for_ended(is_control_plane: bool) -> String {
    match is_control_plane {
        true => "`clusterctl-rs apply` writes a new one",
        false => "`clusterctl-rs apply` lets the kubelet join again",
    }
    .to_owned()
}

/// What is wrong with a certificate, and what to do about it.
fn judge(
    path: &str,
    from: Timestamp,
    until: Timestamp,
    now: Timestamp,
) -> Option<(String, String)> {
    let seconds = |one: Timestamp, other: Timestamp| other.as_second() - one.as_second();
    let (age, lifetime) = (seconds(from, now), seconds(from, until));
    if age.saturating_mul(100) < lifetime.saturating_mul(RENEWED_BY) {
        return None;
    }
    let end = until.round(Unit::Second).unwrap_or(until);
    let message = match now < until {
        true => format!("{path} ends at {end}, and the kubelet has not renewed it"),
        false => format!("{path} ended at {end}"),
    };
    // The self-signed one is made once, and only if it is missing.
    let remedy = match path.ends_with("/kubelet.crt") {
        true => "remove it and kubelet.key beside it, then run `systemctl restart kubelet`",
        false => "see `journalctl -u kubelet` on the host for why it is not renewed",
    };
    Some((message, remedy.to_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_of_interest_once_the_kubelet_should_have_renewed_it() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let (from, until) = (at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
        let client = "/var/lib/kubelet/pki/kubelet-client-current.pem";
        let judge = |now: &str| judge(client, from, until, at(now)).map(|found| found.0);
        assert_eq!(judge("2026-11-25T00:00:00Z"), None);
        assert_eq!(
            judge("2026-12-10T00:00:00Z").unwrap(),
            format!("{client} ends at 2027-01-01T00:00:00Z, and the kubelet has not renewed it")
        );
        assert_eq!(
            judge("2027-01-01T00:00:00Z").unwrap(),
            format!("{client} ended at 2027-01-01T00:00:00Z")
        );
    }
}
