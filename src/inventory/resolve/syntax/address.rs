//! Hosts, endpoints and URLs.

use std::net::IpAddr;

use super::name::check_dns_subdomain;
use super::problem::Problem;
use crate::inventory::cluster::Endpoint;

/// `host` or `host:port`, IPv6 in brackets if a port follows.
pub(crate) fn parse_endpoint(text: &str, default_port: u16) -> Result<Endpoint, Problem> {
    if let Some((_, rest)) = text.split_once("://") {
        let host = rest.split('/').next().unwrap_or(rest);
        return Err(format!("must not have a scheme: write `{host}`"));
    }
    if let Some((host, _)) = text.split_once('/') {
        return Err(format!("must not have a path: write `{host}`"));
    }
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        match rest.split_once(']') {
            Some((host, "")) => (host, None),
            Some((host, port)) if port.starts_with(':') => (host, Some(&port[1..])),
            _ => return Err("has an unclosed `[`".to_owned()),
        }
    } else if text.parse::<IpAddr>().is_ok() {
        (text, None)
    } else {
        match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let port = match port {
        None => default_port,
        Some(port) => match port.parse() {
            Ok(port) if port != 0 => port,
            _ => {
                return Err(format!("has an invalid port `{port}` (1–65535)"));
            }
        },
    };
    if text.starts_with('[') && host.parse::<std::net::Ipv6Addr>().is_err() {
        return Err("must have an IPv6 address between `[` and `]`".to_owned());
    }
    check_host_name_or_ip(host)?;
    Ok(Endpoint {
        host: host.to_owned(),
        port,
    })
}

/// An IP address or a DNS name.
pub(crate) fn check_host_name_or_ip(host: &str) -> Result<(), Problem> {
    if host.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    let numeric = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if host.contains('.') && host.split('.').all(numeric) || host.contains(':') {
        return Err("is not a valid IP address".to_owned());
    }
    check_dns_subdomain(&host.to_ascii_lowercase())
}

/// A URL of one of the given schemes, with a host.
pub(crate) fn check_url(text: &str, schemes: &[&str]) -> Result<(), Problem> {
    let list = || {
        let schemes: Vec<String> = schemes.iter().map(|s| format!("`{s}://`")).collect();
        schemes.join(" or ")
    };
    let rest = match text.split_once("://") {
        Some((scheme, rest)) if schemes.contains(&scheme) => rest,
        _ => return Err(format!("must start with {}", list())),
    };
    let authority = rest.split('/').next().unwrap_or(rest);
    if authority.contains('@') {
        return Err("must not contain a user name or password".to_owned());
    }
    parse_endpoint(authority, 443).map(drop)
}

/// `[user@]host[:port]`, several joined by commas.
pub(crate) fn check_proxy_jump(text: &str) -> Result<(), Problem> {
    for hop in text.split(',') {
        let (user, host) = match hop.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, hop),
        };
        if user.is_some_and(str::is_empty)
            || hop.contains(|c: char| c.is_whitespace() || c.is_control())
        {
            return Err("must have the form `[user@]host[:port]`".to_owned());
        }
        // A hop may be an alias of ~/.ssh/config, which is hardly limited.
        let alias = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if host.is_empty() || !host.bytes().all(alias) {
            parse_endpoint(host, 22)?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_have_a_host_and_maybe_a_port() {
        let parse = |text| parse_endpoint(text, 6443).map(|endpoint| endpoint.to_string());
        assert_eq!(parse("k8s.example.com").unwrap(), "k8s.example.com:6443");
        assert_eq!(parse("192.0.2.1:443").unwrap(), "192.0.2.1:443");
        assert_eq!(parse("[2001:db8::1]:443").unwrap(), "[2001:db8::1]:443");
        assert_eq!(parse("2001:db8::1").unwrap(), "[2001:db8::1]:6443");
        for wrong in [
            "",
            ":6443",
            "a:b",
            "a:0",
            "a:65536",
            "https://a",
            "a/b",
            "[a]:1",
            "[::1",
            "192.0.2.256",
            "a b",
            "a:1:2",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn urls_need_a_known_scheme_and_carry_no_password() {
        assert!(check_url("https://etcd1:2379", &["https"]).is_ok());
        assert!(check_url("http://etcd1:2379", &["https"]).is_err());
        assert!(check_url("https://a:b@etcd1", &["https"]).is_err());
    }

    #[test]
    fn hops_may_be_aliases_of_the_ssh_config() {
        assert!(check_proxy_jump("ops@bastion:2222,my_alias").is_ok());
        assert!(check_proxy_jump("@bastion").is_err() && check_proxy_jump("a,,b").is_err());
    }
}
