//! The small languages within the file: names, durations, endpoints. Each
//! function says what is wrong with a value, in words that end a sentence.

use std::net::IpAddr;
use std::time::Duration;

use super::cluster::Endpoint;

/// What is wrong with a value, such as "may be 63 characters long at most".
pub(super) type Wrong = String;

/// RFC 1123 label, lower-case: what Kubernetes calls a DNS label.
pub(super) fn dns_label(name: &str) -> Result<(), Wrong> {
    const MAX: usize = 63;
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if name.is_empty() {
        return Err("is empty".to_owned());
    }
    if name.len() > MAX {
        return Err(format!(
            "has {} characters, {MAX} at most are allowed",
            name.len()
        ));
    }
    if !name.bytes().all(|b| alphanumeric(b) || b == b'-') {
        return Err("may only have lower-case letters, digits and `-`".to_owned());
    }
    let ends = [name.bytes().next(), name.bytes().next_back()];
    match ends.into_iter().flatten().all(alphanumeric) {
        true => Ok(()),
        false => Err("has to start and end with a letter or a digit".to_owned()),
    }
}

/// DNS labels joined by dots.
pub(super) fn dns_subdomain(name: &str) -> Result<(), Wrong> {
    const MAX: usize = 253;
    if name.len() > MAX {
        return Err(format!(
            "has {} characters, {MAX} at most are allowed",
            name.len()
        ));
    }
    match name.split('.').try_for_each(dns_label) {
        Err(wrong) if wrong == "is empty" && !name.is_empty() => {
            Err("has a dot too many".to_owned())
        }
        Err(wrong) if wrong.starts_with("may only") => {
            Err("may only have lower-case letters, digits, `-` and `.`".to_owned())
        }
        other => other,
    }
}

/// A DNS name as it may stand in a certificate: also upper-case (kubeadm
/// lowers it), and with a wildcard as its first label.
pub(super) fn dns_name_or_wildcard(name: &str) -> Result<(), Wrong> {
    let lower = name.to_ascii_lowercase();
    dns_subdomain(lower.strip_prefix("*.").unwrap_or(&lower))
}

/// A label's value, or the name in its key: `[A-Za-z0-9._-]`, 63 at most.
fn label_text(text: &str) -> Result<(), Wrong> {
    const MAX: usize = 63;
    if text.len() > MAX {
        return Err(format!(
            "has {} characters, {MAX} at most are allowed",
            text.len()
        ));
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if !text.bytes().all(allowed) {
        return Err("may only have letters, digits, `-`, `_` and `.`".to_owned());
    }
    let ends = [text.bytes().next(), text.bytes().next_back()];
    match ends
        .into_iter()
        .flatten()
        .all(|b| b.is_ascii_alphanumeric())
    {
        true => Ok(()),
        false => Err("has to start and end with a letter or a digit".to_owned()),
    }
}

/// A label's or taint's value; may be empty.
pub(super) fn label_value(value: &str) -> Result<(), Wrong> {
    label_text(value)
}

/// A label's or taint's key: `name` or `prefix/name`.
pub(super) fn qualified_name(key: &str) -> Result<(), Wrong> {
    let name = match key.split_once('/') {
        Some((prefix, name)) => {
            dns_subdomain(prefix).map_err(|wrong| format!("has a prefix that {wrong}"))?;
            name
        }
        None => key,
    };
    if name.is_empty() {
        return Err("has no name".to_owned());
    }
    if name.contains('/') {
        return Err("may have one `/` only, behind the prefix".to_owned());
    }
    label_text(name)
}

/// A duration as Go writes it: `1h30m`, `4m0s`, `0`.
pub(super) fn duration(text: &str) -> Result<Duration, Wrong> {
    let wrong = || "is not a duration such as `90s`, `4m` or `1h30m`".to_owned();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut nanoseconds: f64 = 0.0;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(|| format!("lacks a unit: write `{text}s` for seconds"))?;
        let number: f64 = rest[..end].parse().map_err(|_| wrong())?;
        rest = &rest[end..];
        let end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            "d" => return Err("uses days: a duration has hours at most, `24h`".to_owned()),
            _ => return Err(wrong()),
        };
        nanoseconds += number * unit;
        rest = &rest[end..];
    }
    // Go keeps a duration in 63 bits of nanoseconds.
    match nanoseconds < i64::MAX as f64 {
        true => Ok(Duration::from_secs_f64(nanoseconds / 1e9)),
        false => Err("is longer than 292 years".to_owned()),
    }
}

/// `host` or `host:port`, IPv6 in brackets if a port follows.
pub(super) fn endpoint(text: &str, default_port: u16) -> Result<Endpoint, Wrong> {
    if let Some((_, rest)) = text.split_once("://") {
        let host = rest.split('/').next().unwrap_or(rest);
        return Err(format!("has a scheme: write `{host}`"));
    }
    if let Some((host, _)) = text.split_once('/') {
        return Err(format!("has a path: write `{host}`"));
    }
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        match rest.split_once(']') {
            Some((host, "")) => (host, None),
            Some((host, port)) if port.starts_with(':') => (host, Some(&port[1..])),
            _ => return Err("has a `[` without its `]`".to_owned()),
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
                return Err(format!(
                    "has a port `{port}`, which is none from 1 to 65535"
                ));
            }
        },
    };
    if text.starts_with('[') && host.parse::<std::net::Ipv6Addr>().is_err() {
        return Err("has something in brackets that is no IPv6 address".to_owned());
    }
    host_name_or_ip(host)?;
    Ok(Endpoint {
        host: host.to_owned(),
        port,
    })
}

/// An IP address or a DNS name.
pub(super) fn host_name_or_ip(host: &str) -> Result<(), Wrong> {
    if host.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    let numeric = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if host.contains('.') && host.split('.').all(numeric) || host.contains(':') {
        return Err("is not an IP address".to_owned());
    }
    dns_subdomain(&host.to_ascii_lowercase())
}

/// A URL of one of the given schemes, with a host.
pub(super) fn url(text: &str, schemes: &[&str]) -> Result<(), Wrong> {
    let list = || {
        let schemes: Vec<String> = schemes.iter().map(|s| format!("`{s}://`")).collect();
        schemes.join(" or ")
    };
    let rest = match text.split_once("://") {
        Some((scheme, rest)) if schemes.contains(&scheme) => rest,
        _ => return Err(format!("has to start with {}", list())),
    };
    let authority = rest.split('/').next().unwrap_or(rest);
    if authority.contains('@') {
        return Err("may not carry a user or a password".to_owned());
    }
    endpoint(authority, 443).map(drop)
}

/// `user` or `user:group`, as `user:group`.
pub(super) fn owner(text: &str) -> Result<String, Wrong> {
    let (user, group) = text.split_once(':').unwrap_or((text, text));
    let valid = |name: &str| {
        let start = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let other = |b: u8| start(b) || matches!(b, b'-' | b'.' | b'$');
        name.len() <= 32 && name.bytes().next().is_some_and(start) && name.bytes().all(other)
    };
    match valid(user) && valid(group) {
        true => Ok(format!("{user}:{group}")),
        false => Err("is not of the form `user` or `user:group`".to_owned()),
    }
}

/// Permission bits in octal: `0644`.
pub(super) fn mode(text: &str) -> Result<u32, Wrong> {
    let octal = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    match u32::from_str_radix(text, 8) {
        Ok(mode) if octal => Ok(mode),
        _ => Err("is not three or four octal digits, such as `\"0644\"`".to_owned()),
    }
}

/// A path that is absolute and stays where it seems to point.
pub(super) fn absolute_path(path: &str) -> Result<(), Wrong> {
    if !path.starts_with('/') {
        return Err("is not an absolute path".to_owned());
    }
    if path.contains(|c: char| c.is_control()) {
        return Err("has a control character".to_owned());
    }
    let parts = path[1..].trim_end_matches('/').split('/');
    for part in parts {
        match part {
            "" if path.trim_end_matches('/').is_empty() => {}
            "" => return Err("has two slashes in a row".to_owned()),
            "." | ".." => return Err(format!("may not contain `{part}`")),
            _ => {}
        }
    }
    Ok(())
}

/// A sysctl's name, with dots: `net.ipv4.ip_forward`. An interface's name
/// within it may have a dot of its own, written as `/`.
pub(super) fn sysctl(name: &str) -> Result<(), Wrong> {
    if name.starts_with('/') || name.starts_with("net/") || name.starts_with("vm/") {
        let dotted = name.trim_start_matches("/proc/sys/").replace('/', ".");
        return Err(format!(
            "is a path: write `{}`",
            dotted.trim_start_matches('.')
        ));
    }
    let part = |part: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'/');
        !part.is_empty() && part != ".." && part.bytes().all(allowed)
    };
    match name.contains('.') && name.split('.').all(part) && !name.contains("//") {
        true => Ok(()),
        false => Err("is not a sysctl's name, such as `net.core.somaxconn`".to_owned()),
    }
}

/// A bootstrap token's form. Says nothing of the token itself.
pub(super) fn bootstrap_token(token: &str) -> Result<(), Wrong> {
    let part = |text: &str, length: usize| {
        text.len() == length
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    match token.split_once('.') {
        Some((id, secret)) if part(id, 6) && part(secret, 16) => Ok(()),
        _ => Err("is not six and sixteen of a-z and 0-9 with a dot between".to_owned()),
    }
}

/// `[user@]host[:port]`, several joined by commas.
pub(super) fn proxy_jump(text: &str) -> Result<(), Wrong> {
    for hop in text.split(',') {
        let (user, host) = match hop.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, hop),
        };
        if user.is_some_and(str::is_empty)
            || hop.contains(|c: char| c.is_whitespace() || c.is_control())
        {
            return Err("is not of the form `[user@]host[:port]`".to_owned());
        }
        // A hop may be an alias of ~/.ssh/config, which is hardly limited.
        let alias = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if host.is_empty() || !host.bytes().all(alias) {
            endpoint(host, 22)?;
        }
    }
    Ok(())
}

/// A registry with a path, and no tag: `registry.example.com:5000/k8s`.
pub(super) fn image_repository(text: &str) -> Result<(), Wrong> {
    if let Some((_, rest)) = text.split_once("://") {
        return Err(format!("has a scheme: write `{rest}`"));
    }
    if text.ends_with('/') {
        return Err(format!(
            "ends with a slash: write `{}`",
            text.trim_end_matches('/')
        ));
    }
    let last = text.rsplit('/').next().unwrap_or(text);
    if text.contains('/') && last.contains(':') || text.contains('@') {
        return Err("has a tag or a digest, which belong to single images".to_owned());
    }
    let allowed = |b: u8| {
        b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_' | b':')
    };
    let part = |part: &str| !part.is_empty() && part.bytes().all(allowed);
    match text.split('/').all(part) {
        true => Ok(()),
        false => Err("is not a registry such as `registry.example.com:5000/k8s`".to_owned()),
    }
}

/// An image's tag.
pub(super) fn image_tag(text: &str) -> Result<(), Wrong> {
    let start = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let other = |b: u8| start(b) || matches!(b, b'.' | b'-');
    let valid =
        text.len() <= 128 && text.bytes().next().is_some_and(start) && text.bytes().all(other);
    match valid {
        true => Ok(()),
        false => Err("is not an image's tag, such as `v1.14.2`".to_owned()),
    }
}

/// An image with its tag or digest: `docker.io/library/haproxy:3.2`.
pub(super) fn image_reference(text: &str) -> Result<(), Wrong> {
    if let Some((repository, digest)) = text.split_once('@') {
        let hex = |b: u8| b.is_ascii_digit() || matches!(b, b'a'..=b'f');
        let valid = digest
            .strip_prefix("sha256:")
            .is_some_and(|digits| digits.len() == 64 && digits.bytes().all(hex));
        if !valid {
            return Err("has a digest that is not of the form `sha256:…`".to_owned());
        }
        // A tag before a digest is for humans.
        return match last_colon(repository) {
            Some((repository, tag)) => image_repository(repository).and(image_tag(tag)),
            None => image_repository(repository),
        };
    }
    match last_colon(text) {
        Some((repository, tag)) => {
            image_repository(repository)?;
            image_tag(tag).map_err(|_| format!("has `:{tag}`, which is no tag"))
        }
        None => {
            image_repository(text)?;
            Err(format!("lacks a tag, as in `{text}:3.2`"))
        }
    }
}

/// Splits at the colon that starts a tag, not at that of a registry's port.
fn last_colon(text: &str) -> Option<(&str, &str)> {
    text.rsplit_once(':')
        .filter(|(_, after)| !after.contains('/'))
}

/// A network interface's name, as Linux takes it.
pub(super) fn interface(name: &str) -> Result<(), Wrong> {
    const MAX: usize = 15;
    let wrong = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | ':');
    match name {
        "" | "." | ".." => Err("is not an interface's name, such as `eth0`".to_owned()),
        _ if name.len() > MAX => Err(format!("has more than {MAX} characters")),
        _ if name.contains(wrong) => Err("is not an interface's name, such as `eth0`".to_owned()),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert!(dns_label("a-1").is_ok());
        assert!(dns_label(&"a".repeat(63)).is_ok());
        for wrong in ["", "-a", "a-", "a.b", "A", "a_b", "ä", &"a".repeat(64)] {
            assert!(dns_label(wrong).is_err(), "{wrong}");
        }
        assert!(dns_subdomain("cp1.example.com").is_ok());
        for wrong in ["", ".", "a..b", "a.", ".a", "a_b.c", &"a.".repeat(128)] {
            assert!(dns_subdomain(wrong).is_err(), "{wrong}");
        }
        assert!(dns_name_or_wildcard("*.Example.com").is_ok());
        assert!(dns_name_or_wildcard("a.*.com").is_err());
    }

    #[test]
    fn images_and_interfaces() {
        let digest = "a".repeat(64);
        for right in [
            "haproxy:3.2",
            "docker.io/library/haproxy:3.2-alpine",
            "registry.example.com:5000/haproxy:1",
            &format!("ghcr.io/kube-vip/kube-vip@sha256:{digest}"),
            &format!("ghcr.io/kube-vip/kube-vip:v1@sha256:{digest}"),
        ] {
            assert!(image_reference(right).is_ok(), "{right}");
        }
        for wrong in [
            "haproxy",
            "registry.example.com:5000/haproxy",
            "haproxy:",
            "haproxy:3 2",
            "https://a/haproxy:1",
            "haproxy@sha256:12",
            "HAproxy:1",
            "",
        ] {
            assert!(image_reference(wrong).is_err(), "{wrong}");
        }
        assert!(interface("eth0.100").is_ok());
        for wrong in ["", "..", "eth 0", "eth0/1", "0123456789abcdef"] {
            assert!(interface(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn labels() {
        for right in ["tier", "example.com/tier", "a_b.C-d", "1"] {
            assert!(qualified_name(right).is_ok(), "{right}");
        }
        for wrong in ["", "/a", "a/", "a/b/c", "-a", "A.com/x", "a b"] {
            assert!(qualified_name(wrong).is_err(), "{wrong}");
        }
        assert!(label_value("").is_ok());
        assert!(label_value("a b").is_err());
    }

    #[test]
    fn durations() {
        let seconds = |text| duration(text).unwrap().as_secs_f64();
        assert_eq!(seconds("0"), 0.0);
        assert_eq!(seconds("4m0s"), 240.0);
        assert_eq!(seconds("1h30m"), 5400.0);
        assert_eq!(seconds("1.5h"), 5400.0);
        assert_eq!(seconds("250ms"), 0.25);
        assert_eq!(seconds("87600h"), 315_360_000.0);
        for wrong in [
            "",
            "5",
            "5 m",
            "m",
            "-5m",
            "1d",
            "1.2.3s",
            "5x",
            "9e9h",
            "9999999999h",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn endpoints() {
        let parse = |text| endpoint(text, 6443).map(|endpoint| endpoint.to_string());
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
    fn odds_and_ends() {
        assert_eq!(owner("root").unwrap(), "root:root");
        assert_eq!(owner("1000:adm").unwrap(), "1000:adm");
        assert!(owner("a:b:c").is_err() && owner("").is_err() && owner("-r").is_err());
        assert_eq!(mode("0640").unwrap(), 0o640);
        assert!(mode("9").is_err() && mode("0o644").is_err() && mode("+644").is_err());
        assert!(absolute_path("/etc/a.conf").is_ok() && absolute_path("/").is_ok());
        for wrong in ["etc", "/a//b", "/a/../b", "/a/./b", "/a\n"] {
            assert!(absolute_path(wrong).is_err(), "{wrong:?}");
        }
        assert!(sysctl("net.ipv4.conf.eth0/1.rp_filter").is_ok());
        assert!(
            sysctl("/proc/sys/vm/swappiness")
                .unwrap_err()
                .contains("vm.swappiness")
        );
        assert!(sysctl("swappiness").is_err() && sysctl("a..b").is_err());
        assert!(bootstrap_token("abcdef.0123456789abcdef").is_ok());
        assert!(bootstrap_token("abcdef.0123456789abcdeF").is_err());
        assert!(proxy_jump("ops@bastion:2222,my_alias").is_ok());
        assert!(proxy_jump("@bastion").is_err() && proxy_jump("a,,b").is_err());
        assert!(image_repository("registry.example.com:5000/k8s").is_ok());
        for wrong in ["", "https://a/b", "a/b/", "a/b:1", "a/b@sha256:00", "A/b"] {
            assert!(image_repository(wrong).is_err(), "{wrong}");
        }
        assert!(image_tag("v1.14.2").is_ok() && image_tag("-a").is_err());
        assert!(url("https://etcd1:2379", &["https"]).is_ok());
        assert!(url("http://etcd1:2379", &["https"]).is_err());
        assert!(url("https://a:b@etcd1", &["https"]).is_err());
    }
}
