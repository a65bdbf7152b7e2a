//! Decides whether an existing leaf still fits.

use std::time::Duration;

use jiff::Timestamp;

use crate::inspect::Parsed;
use crate::keys::PrivateKey;
use crate::request::Expected;

/// From when on we say that a certificate authority will expire.
pub(crate) const SOON: Duration = Duration::from_secs(30 * 24 * 3_600);

/// What the dates of a leaf have to be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Dates {
    /// It ends at least this long after `now`.
    Lasts {
        now: Timestamp,
        renew_before: Duration,
    },
    /// It has not ended.
    NotEnded { now: Timestamp },
    /// It does not matter: it was used once, long ago.
    Any,
}

impl Dates {
    /// Why a certificate that ends then has to be replaced. One that is not valid yet doesn't:
    /// that is a clock which is behind.
    fn check(self, not_after: Timestamp) -> Result<(), String> {
        let (now, renew_before) = match self {
            Dates::Lasts { now, renew_before } => (now, renew_before),
            Dates::NotEnded { now } => (now, Duration::ZERO),
            Dates::Any => return Ok(()),
        };
        if now > not_after {
            return Err(format!("it expired at {not_after}"));
        }
        match not_after.duration_since(now).unsigned_abs() < renew_before {
            true => Err(format!(
                "it expires at {not_after}, within {}",
                format_period(renew_before)
            )),
            false => Ok(()),
        }
    }
}

fn format_period(period: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let seconds = period.as_secs();
    let (count, unit) = match seconds {
        _ if seconds >= DAY && seconds.is_multiple_of(DAY) => (seconds / DAY, "day"),
        _ if seconds >= HOUR && seconds.is_multiple_of(HOUR) => (seconds / HOUR, "hour"),
        _ if seconds >= MINUTE && seconds.is_multiple_of(MINUTE) => (seconds / MINUTE, "minute"),
        _ => (seconds, "second"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

/// The certificate, if it fits `expected`; else the first reason why not, as a
/// clause. With `exact`, SANs beyond the expected are a reason, too.
pub(crate) fn check_leaf(
    cert: &str,
    key: Option<&str>,
    expected: &Expected,
    ca: &Parsed,
    dates: Dates,
    exact: bool,
) -> Result<Parsed, String> {
    let parsed = Parsed::from_pem(cert)?;
    let info = &parsed.info;
    dates.check(info.not_after)?;
    let key = key.ok_or("its key is missing")?;
    let key = PrivateKey::from_pem(key).map_err(|why| format!("its key {why}"))?;
    if key.spki() != parsed.spki {
        return Err("its key is another certificate's".into());
    }
    if !parsed.is_signed_by(ca) {
        return Err(format!(
            "it was not signed by {}",
            expected.leaf.signer.base()
        ));
    }
    if info.common_name != expected.common_name
        || !info
            .organizations
            .iter()
            .map(String::as_str)
            .eq(expected.organization)
    {
        return Err(format!(
            "its subject is {:?}, not {:?}",
            info.subject,
            format_subject(expected)
        ));
    }
    let usage = expected.leaf.usage;
    if usage.server() && !info.server_auth || usage.client() && !info.client_auth {
        return Err("its extended key usage does not cover its use".into());
    }
    let (want, have) = (&expected.sans, info.sans());
    let lacking = want.list_beyond(&have);
    let surplus = if exact {
        have.list_beyond(want)
    } else {
        Vec::new()
    };
    match (lacking.is_empty(), surplus.is_empty()) {
        (true, true) => Ok(parsed),
        (false, true) => Err(format!("it lacks {}", lacking.join(", "))),
        (true, false) => Err(format!("it should not have {}", surplus.join(", "))),
        (false, false) => Err(format!(
            "it lacks {} and should not have {}",
            lacking.join(", "),
            surplus.join(", ")
        )),
    }
}

/// Whether `theirs` can stay in the place of `ours`: it says the same, was signed by the
/// same `ca`, and is valid for longer. Whether it is valid yet isn't asked: on its host it is,
/// and this machine's clock may be behind.
pub(crate) fn outlives(theirs: &Parsed, ours: &Parsed, ca: &Parsed) -> bool {
    let (have, want) = (&theirs.info, &ours.info);
    let (have_sans, want_sans) = (have.sans(), want.sans());
    have.not_after > want.not_after
        && !have.is_ca
        && have.common_name == want.common_name
        && have.organizations == want.organizations
        && (have.server_auth, have.client_auth) == (want.server_auth, want.client_auth)
        && want_sans.list_beyond(&have_sans).is_empty()
        && have_sans.list_beyond(&want_sans).is_empty()
        && ours.is_signed_by(ca)
        && theirs.is_signed_by(ca)
}

fn format_subject(expected: &Expected) -> String {
    let common_name = &expected.common_name;
    match expected.organization {
        Some(organization) => format!("O={organization}, CN={common_name}"),
        None => format!("CN={common_name}"),
    }
}

/// A sentence if `file` expires `soon`.
pub(crate) fn expiry_warning(
    file: &str,
    not_after: Timestamp,
    now: Timestamp,
    soon: Duration,
) -> Option<String> {
    let left = not_after.duration_since(now);
    (left.unsigned_abs() < soon).then(|| {
        format!(
            "{file} expires in {} days, at {not_after}",
            left.as_hours() / 24
        )
    })
}
