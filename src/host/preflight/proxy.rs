//! Which proxy Go's programs would choose (golang.org/x/net/http/httpproxy).

use std::net::IpAddr;

use ipnet::IpNet;

/// The proxy through which a Go program with this environment would reach
/// `https://address`, if it would use one.
pub(super) fn proxy_for(env: &[(String, String)], address: IpAddr) -> Option<&str> {
    let value = |name: &str| {
        let found = env
            .iter()
            .find(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    };
    let proxy = value("https_proxy")?;
    if address.is_loopback() {
        return None;
    }
    let excluded = value("no_proxy")
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .any(|item| {
            let same = |item: &str| item.trim_matches(['[', ']']).parse() == Ok(address);
            let without_port = item.rsplit_once(':').map_or(item, |(host, _)| host);
            item == "*"
                || same(item)
                || same(without_port)
                || item
                    .parse::<IpNet>()
                    .is_ok_and(|net| net.contains(&address))
        });
    (!excluded).then_some(proxy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_takes_addresses_networks_and_a_star() {
        let chosen = |no_proxy: &str| {
            let env = [
                ("HTTPS_PROXY".to_owned(), "http://proxy:3128".to_owned()),
                ("no_proxy".to_owned(), no_proxy.to_owned()),
            ];
            proxy_for(&env, IpAddr::from([192, 0, 2, 7])).is_some()
        };
        assert!(chosen(""));
        assert!(chosen("example.com,192.0.2.8,10.0.0.0/8"));
        for none in ["*", "a, 192.0.2.7", "192.0.2.7:6443", "192.0.2.0/24"] {
            assert!(!chosen(none), "{none}");
        }
        let http = [("http_proxy".to_owned(), "http://proxy:3128".to_owned())];
        assert_eq!(proxy_for(&http, IpAddr::from([192, 0, 2, 7])), None);
    }
}
