//! Routes, and where files can be put.

use std::net::IpAddr;

use ipnet::IpNet;

use super::model::Route;

/// More routes than this are of no use: a router of the Internet has a million.
const MAX_ROUTES: usize = 5000;

/// Types of routes that lead nowhere.
const NOWHERE: [&str; 4] = ["unreachable", "blackhole", "prohibit", "throw"];

/// Lines of `ip route show`, of both families.
pub(super) fn routes(lines: &[String]) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    // Where the lines that follow one without a device of its own lead (several next hops).
    let mut shared: Option<IpNet> = None;
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        let after = |key: &str| {
            let at = words.iter().position(|word| *word == key)?;
            words.get(at + 1).copied()
        };
        let via = after("via").filter(|via| *via != "inet6");
        let via: Option<IpAddr> = via
            .or_else(|| after("inet6"))
            .and_then(|via| via.parse().ok());
        let v6 = via.is_some_and(|via| via.is_ipv6());
        let to = match words.first().copied() {
            Some("nexthop") => shared,
            Some(word) if NOWHERE.contains(&word) => None,
            Some(word) => destination(word, v6),
            None => None,
        };
        shared = to;
        if let (Some(to), Some(device)) = (to, after("dev")) {
            routes.push(Route {
                to,
                via,
                device: device.to_owned(),
            });
        }
        if routes.len() >= MAX_ROUTES {
            break;
        }
    }
    routes
}

/// `default`, a network or an address.
fn destination(word: &str, v6: bool) -> Option<IpNet> {
    if word == "default" {
        return if v6 { "::/0" } else { "0.0.0.0/0" }.parse().ok();
    }
    let address = || word.parse::<IpAddr>().ok().map(IpNet::from);
    word.parse().ok().or_else(address)
}

/// Whether programs or units can't be put below /usr.
pub(super) fn is_usr_read_only(lines: &[String]) -> bool {
    let read_only = |path: &str| {
        lines
            .iter()
            .any(|line| line.strip_prefix("read-only .") == Some(path))
    };
    read_only("/usr/bin") || read_only("/usr/lib/systemd/system")
}

/// Whether ours go elsewhere for that. Where they once are, they stay.
pub(super) fn uses_opt(lines: &[String]) -> bool {
    let ours = |path: &str| {
        lines
            .iter()
            .any(|line| line.strip_prefix("ours .") == Some(path))
    };
    match (ours("/usr/bin/kubelet"), ours("/opt/bin/kubelet")) {
        (true, false) => false,
        (false, true) => true,
        _ => is_usr_read_only(lines),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn routes_of_both_families_are_read() {
        let text = "default via 192.0.2.1 dev eth0 proto dhcp src 192.0.2.7 metric 100
192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.7
10.8.0.5 via 192.0.2.2 dev eth0
blackhole 10.244.3.0/26 proto bird
10.20.0.0/16 proto static
\tnexthop via 192.0.2.3 dev eth0 weight 1
\tnexthop via 192.0.2.4 dev eth1 weight 1
10.30.0.0/16 via inet6 fe80::9 dev eth0
2001:db8::/64 dev eth0 proto kernel metric 256 pref medium
default via fe80::1 dev eth0 metric 1024
nonsense
";
        let found: Vec<String> = routes(&lines(text))
            .iter()
            .map(|route| format!("{} {:?} {}", route.to, route.via, route.device))
            .collect();
        assert_eq!(
            found,
            [
                "0.0.0.0/0 Some(192.0.2.1) eth0",
                "192.0.2.0/24 None eth0",
                "10.8.0.5/32 Some(192.0.2.2) eth0",
                "10.20.0.0/16 Some(192.0.2.3) eth0",
                "10.20.0.0/16 Some(192.0.2.4) eth1",
                "10.30.0.0/16 Some(fe80::9) eth0",
                "2001:db8::/64 None eth0",
                "::/0 Some(fe80::1) eth0",
            ]
        );
    }

    #[test]
    fn what_was_put_somewhere_stays_there() {
        let read_only = "read-only ./usr/bin\nread-only ./usr/lib/systemd/system";
        assert!(uses_opt(&lines(read_only)) && !uses_opt(&lines("")));
        assert!(is_usr_read_only(&lines(
            "read-only ./usr/lib/systemd/system"
        )));
        assert!(!is_usr_read_only(&lines("read-only ./opt")));
        assert!(uses_opt(&lines("ours ./opt/bin/kubelet")));
        let now = format!("{read_only}\nours ./usr/bin/kubelet");
        assert!(!uses_opt(&lines(&now)));
    }
}
