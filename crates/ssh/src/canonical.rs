//! The name that a host is connected to: as it was written, or made whole by
//! `CanonicalizeHostname`.

use std::net::{IpAddr, Ipv4Addr};

use crate::config::{Canonicalize, CanonicalizeMode};

/// What becomes of a host's name.
///
/// `direct`: no proxy will resolve it. `exists` looks a name up.
///
/// # Errors
///
/// The rules demand a full name, and there is no such name.
pub(crate) fn canonicalize(
    host: &str,
    rules: &Canonicalize,
    direct: bool,
    exists: impl Fn(&str) -> bool,
) -> Result<String, String> {
    if let Some(address) = parse_address(host) {
        return Ok(address.to_string());
    }
    let host = host.to_lowercase();
    match rules.mode.unwrap_or_default() {
        CanonicalizeMode::No => return Ok(host),
        CanonicalizeMode::Yes if !direct => return Ok(host),
        CanonicalizeMode::Yes | CanonicalizeMode::Always => {}
    }
    let cnames = rules.permitted_cnames.iter().flatten();
    if cnames.clone().any(|one| !one.eq_ignore_ascii_case("none")) {
        return Err("CanonicalizePermittedCNAMEs is not supported".into());
    }
    if let Some(whole) = host.strip_suffix('.') {
        return match exists(&host) {
            true => Ok(whole.to_string()),
            false => fall_back(host, rules),
        };
    }
    if host.matches('.').count() > rules.max_dots.unwrap_or(1) as usize {
        return Ok(host);
    }
    let domains = rules.domains.iter().flatten();
    for domain in domains.filter(|domain| !domain.eq_ignore_ascii_case("none")) {
        let whole = format!("{host}.{domain}");
        if exists(&format!("{whole}.")) {
            return Ok(whole);
        }
    }
    fall_back(host, rules)
}

fn fall_back(host: String, rules: &Canonicalize) -> Result<String, String> {
    match rules.fallback_local {
        Some(false) => Err(format!(
            "cannot resolve {host} in any of CanonicalDomains, and CanonicalizeFallbackLocal is `no`"
        )),
        _ => Ok(host),
    }
}

/// An address, in the forms that the system's resolver takes: `127.1` is 127.0.0.1.
fn parse_address(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| parse_short_ipv4(text))
}

/// Up to four numbers, the last of which fills the rest; hexadecimal with `0x`, octal with `0`.
fn parse_short_ipv4(text: &str) -> Option<IpAddr> {
    let parts: Vec<u32> = text.split('.').map(parse_part).collect::<Option<_>>()?;
    let (last, front) = parts.split_last()?;
    if front.len() > 3 || front.iter().any(|part| *part > 0xff) {
        return None;
    }
    let width = 8 * (4 - front.len() as u32);
    if u64::from(*last) >> width != 0 {
        return None;
    }
    let front = front
        .iter()
        .fold(0u64, |sum, part| sum << 8 | u64::from(*part));
    let bits = u32::try_from(front << width | u64::from(*last)).ok()?;
    Some(Ipv4Addr::from_bits(bits).into())
}

fn parse_part(part: &str) -> Option<u32> {
    // A sign would be taken by the parser.
    if !part.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (digits, radix) = match part.strip_prefix("0x").or(part.strip_prefix("0X")) {
        Some(hex) => (hex, 16),
        None if part.len() > 1 && part.starts_with('0') => (&part[1..], 8),
        None => (part, 10),
    };
    if digits.starts_with('+') {
        return None;
    }
    u32::from_str_radix(digits, radix).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn rules(mode: CanonicalizeMode) -> Canonicalize {
        Canonicalize {
            mode: Some(mode),
            domains: Some(vec!["a.example".into(), "b.example".into()]),
            ..Canonicalize::default()
        }
    }

    fn canonical(host: &str, rules: &Canonicalize) -> Result<String, String> {
        canonicalize(host, rules, true, |name| name == "web.b.example.")
    }

    #[test]
    fn names_are_tried_in_each_domain() {
        let yes = rules(CanonicalizeMode::Yes);
        assert_eq!(canonical("WEB", &yes).unwrap(), "web.b.example");
        assert_eq!(canonical("web.b.example.", &yes).unwrap(), "web.b.example");
        assert_eq!(canonical("db", &yes).unwrap(), "db");
        assert_eq!(canonical("x.y.z", &yes).unwrap(), "x.y.z");
        let strict = Canonicalize {
            fallback_local: Some(false),
            ..yes
        };
        assert!(canonical("db", &strict).is_err());
        assert_eq!(
            canonical("Web", &rules(CanonicalizeMode::No)).unwrap(),
            "web"
        );
    }

    #[test]
    fn a_proxy_resolves_for_itself() {
        let through = |mode| canonicalize("web", &rules(mode), false, |_| true).unwrap();
        assert_eq!(through(CanonicalizeMode::Yes), "web");
        assert_eq!(through(CanonicalizeMode::Always), "web.a.example");
    }

    #[test]
    fn aliases_of_names_are_an_error() {
        let rules = Canonicalize {
            permitted_cnames: Some(vec!["*.example:*.example".into()]),
            ..rules(CanonicalizeMode::Yes)
        };
        assert!(canonical("web", &rules).is_err());
    }

    #[test]
    fn addresses_have_one_form() {
        let address = |text| parse_address(text).map(|address| address.to_string());
        assert_eq!(address("127.1").unwrap(), "127.0.0.1");
        assert_eq!(address("0x7f.010.0.1").unwrap(), "127.8.0.1");
        assert_eq!(address("1").unwrap(), "0.0.0.1");
        assert_eq!(address("4294967295").unwrap(), "255.255.255.255");
        assert_eq!(address("FD00::0:1").unwrap(), "fd00::1");
        for text in [
            "web1",
            "1.2.3.4.5",
            "256.1",
            "1.2.3.256",
            "+1",
            "1..2",
            "",
            "0x",
        ] {
            assert_eq!(address(text), None, "{text}");
        }
    }
}
