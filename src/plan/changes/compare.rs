//! Whether two values of a setting mean the same, or may follow each other.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::inventory::Version;
use crate::inventory::listen::ListenUrl;

/// How a setting's values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    /// Letter by letter.
    Text,
    /// A DNS domain.
    Domain,
    /// Addresses, joined by commas.
    Addresses,
    /// The same, of a node: the first has to stay. One of the other family may come and go, as
    /// it does for the kubelet.
    NodeAddresses,
    /// Networks, joined by commas, the first family first.
    Networks,
    /// The same; each may grow around what it is now.
    GrowingNetworks,
    /// A path on a host, or a socket.
    Path,
    /// URLs, in any order.
    Urls,
    /// URLs of servers that share their data: one of them has to stay.
    Servers,
    /// Issuers, the first of which signs: it has to stay among them.
    Issuers,
    /// May be set, but not taken away.
    Kept,
    /// May be taken away, but not set.
    NeverSet,
    /// An etcd version: its minor may rise by one.
    EtcdVersion,
    /// Where etcd is, or which network pods have: see [`crate::plan::changes::read`].
    PodNetwork,
}

impl Comparison {
    /// Whether a component that runs with the one value may be given the other. `None`: the
    /// setting is not set.
    pub(super) fn allows(self, running: Option<&str>, wanted: Option<&str>) -> bool {
        match (self, running, wanted) {
            (Comparison::Kept, Some(_), None) => false,
            (Comparison::Kept, _, _) => true,
            (Comparison::NeverSet, _, Some(wanted)) => running == Some(wanted) || wanted == "false",
            (Comparison::NeverSet, _, None) => true,
            (_, Some(running), Some(wanted)) => running == wanted || self.agree(running, wanted),
            (_, running, wanted) => running.unwrap_or_default() == wanted.unwrap_or_default(),
        }
    }

    /// Whether two values mean the same.
    pub(super) fn means(self, one: Option<&str>, other: Option<&str>) -> bool {
        let how = match self {
            Comparison::GrowingNetworks => Comparison::Networks,
            Comparison::NodeAddresses => Comparison::Addresses,
            Comparison::Servers => Comparison::Urls,
            Comparison::Text
            | Comparison::Domain
            | Comparison::Addresses
            | Comparison::Networks
            | Comparison::Path
            | Comparison::Urls => self,
            Comparison::Issuers
            | Comparison::Kept
            | Comparison::NeverSet
            | Comparison::EtcdVersion
            | Comparison::PodNetwork => Comparison::Text,
        };
        how.allows(one, other)
    }

    fn agree(self, running: &str, wanted: &str) -> bool {
        match self {
            Comparison::Text | Comparison::Kept | Comparison::NeverSet => false,
            Comparison::Domain => {
                let plain = |name: &str| name.trim_end_matches('.').to_lowercase();
                plain(running) == plain(wanted)
            }
            Comparison::Addresses => same(addresses(running), addresses(wanted)),
            Comparison::NodeAddresses => {
                let first = |text| addresses(text)?.first().copied();
                first(running).is_some() && first(running) == first(wanted)
            }
            Comparison::Networks => same(networks(running), networks(wanted)),
            Comparison::GrowingNetworks => grows(running, wanted),
            Comparison::Path => path(running) == path(wanted),
            Comparison::Urls => {
                let sorted = |text| {
                    let mut urls = urls(text);
                    urls.sort();
                    urls
                };
                sorted(running) == sorted(wanted)
            }
            Comparison::Servers => {
                let wanted = urls(wanted);
                urls(running).iter().any(|url| wanted.contains(url))
            }
            Comparison::Issuers => {
                let signs = running.split(',').next();
                wanted.split(',').any(|issuer| Some(issuer) == signs)
            }
            Comparison::EtcdVersion => {
                let minor = |text: &str| version(text).map(|one| (one.major, one.minor));
                match (minor(running), minor(wanted)) {
                    (Some((major, minor)), Some(wanted)) => {
                        (major, minor) == wanted || (major, minor + 1) == wanted
                    }
                    // A tag that says nothing can't be judged.
                    _ => true,
                }
            }
            // The built-in network may be taken away; another one can't take its place, nor
            // it that of another.
            Comparison::PodNetwork => match running {
                "bridge" => wanted == "none",
                _ => wanted != "bridge",
            },
        }
    }
}

/// What can't be read is not the same as anything.
fn same<T: PartialEq>(one: Option<T>, other: Option<T>) -> bool {
    one.is_some() && one == other
}

fn addresses(text: &str) -> Option<Vec<IpAddr>> {
    text.split(',')
        .map(|address| address.trim().parse().ok())
        .collect()
}

/// The networks of a list.
pub(super) fn networks(text: &str) -> Option<Vec<IpNet>> {
    text.split(',')
        .map(|network| Some(network.trim().parse::<IpNet>().ok()?.trunc()))
        .collect()
}

/// Whether every network contains the one that is in its place now. The controller manager
/// then keeps the ranges that nodes have, and cuts new ones from the rest.
fn grows(running: &str, wanted: &str) -> bool {
    let (Some(running), Some(wanted)) = (networks(running), networks(wanted)) else {
        return false;
    };
    let contains = |(running, wanted): (&IpNet, &IpNet)| wanted.contains(running);
    running.len() == wanted.len() && running.iter().zip(&wanted).all(contains)
}

/// A path without what makes no difference: `/var/run` is a link on every system with
/// systemd.
fn path(text: &str) -> String {
    let path = text.strip_prefix("unix://").unwrap_or(text);
    let path = path.trim_end_matches('/');
    match path.strip_prefix("/var/run/") {
        Some(rest) => format!("/run/{rest}"),
        None => path.to_owned(),
    }
}

/// The URLs of a list: scheme, host and port.
fn urls(text: &str) -> Vec<String> {
    text.split(',')
        .map(|url| match ListenUrl::parse(url) {
            Some(url) => {
                let host = url.host.to_lowercase();
                let host = host
                    .parse::<IpAddr>()
                    .map_or(host, |address| address.to_string());
                let port = url.port.map_or(String::new(), |port| port.to_string());
                format!("{} {host} {port}", url.scheme.to_lowercase())
            }
            None => url.trim().to_owned(),
        })
        .collect()
}

/// A version out of an image's tag, such as `v1.36.2` or `3.6.8-0`.
pub(super) fn version(tag: &str) -> Option<Version> {
    let plain = tag.split(['-', '+', '_']).next()?;
    plain.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_otherwise_means_the_same() {
        let same = |how: Comparison, running, wanted| {
            assert!(
                how.allows(Some(running), Some(wanted)) && how.allows(Some(wanted), Some(running)),
                "{running} and {wanted}"
            );
        };
        same(Comparison::Domain, "cluster.local", "Cluster.Local.");
        same(
            Comparison::Networks,
            "10.96.0.0/12,fd00:10:96::/112",
            "10.96.0.0/12, fd00:0010:0096:0000::/112",
        );
        same(Comparison::Addresses, "fd00::1", "fd00:0:0:0::1");
        let of_node =
            |running, wanted| Comparison::NodeAddresses.allows(Some(running), Some(wanted));
        assert!(of_node("192.0.2.7", "192.0.2.7,fd00::7"));
        assert!(of_node("192.0.2.7,fd00::7", "192.0.2.7"));
        assert!(!of_node("192.0.2.7", "fd00::7,192.0.2.7"));
        assert!(!of_node("192.0.2.7", "x"));
        same(
            Comparison::Path,
            "unix:///var/run/containerd/containerd.sock",
            "unix:///run/containerd/containerd.sock",
        );
        same(Comparison::Path, "/var/lib/etcd", "/var/lib/etcd/");
        same(
            Comparison::Urls,
            "https://[fd00::1]:2380",
            "https://[fd00:0::1]:2380/",
        );
    }

    #[test]
    fn a_network_may_grow_around_itself_and_nothing_else() {
        let grow = |running, wanted| {
            let how = Comparison::GrowingNetworks;
            how.allows(Some(running), Some(wanted))
        };
        assert!(grow("10.244.0.0/16", "10.240.0.0/12"));
        assert!(grow("10.244.0.0/16", "10.244.0.0/16"));
        assert!(grow(
            "10.244.0.0/16,fd00:10:244::/56",
            "10.244.0.0/15,fd00:10:244::/52"
        ));
        assert!(!grow("10.240.0.0/12", "10.244.0.0/16"), "smaller");
        assert!(!grow("10.244.0.0/16", "10.245.0.0/16"), "beside");
        assert!(
            !grow("10.244.0.0/16", "10.244.0.0/16,fd00:10:244::/56"),
            "a second family"
        );
        assert!(
            !grow(
                "10.244.0.0/16,fd00:10:244::/56",
                "fd00:10:244::/56,10.244.0.0/16"
            ),
            "the other family first"
        );
        let how = Comparison::Networks;
        assert!(!how.allows(Some("10.96.0.0/16"), Some("10.96.0.0/12")));
    }

    #[test]
    fn what_follows_what() {
        let allows = |how: Comparison, running, wanted| how.allows(running, wanted);
        let issuers = Comparison::Issuers;
        assert!(
            allows(issuers, Some("a"), Some("b,a")),
            "b signs, a is known"
        );
        assert!(!allows(issuers, Some("a"), Some("b")));
        assert!(allows(issuers, Some("b,a"), Some("b")), "a has run out");
        let servers = Comparison::Servers;
        let [one, two] = ["https://e1:2379", "https://e1:2379,https://e2:2379"];
        assert!(allows(servers, Some(one), Some(two)) && allows(servers, Some(two), Some(one)));
        assert!(!allows(servers, Some(one), Some("https://e3:2379")));
        assert!(allows(Comparison::Kept, None, Some("/etc/enc.yaml")));
        assert!(!allows(Comparison::Kept, Some("/etc/enc.yaml"), None));
        assert!(!allows(Comparison::NeverSet, None, Some("true")));
        assert!(allows(Comparison::NeverSet, Some("true"), None));
        let etcd = Comparison::EtcdVersion;
        assert!(allows(etcd, Some("3.5.24-0"), Some("3.6.8-0")));
        assert!(allows(etcd, Some("3.6.8-0"), Some("v3.6.5")));
        assert!(!allows(etcd, Some("3.6.8-0"), Some("3.5.24-0")), "older");
        assert!(!allows(etcd, Some("3.5.24-0"), Some("3.7.0-0")), "two on");
        assert!(!allows(Comparison::Text, None, Some("x")));
        assert!(allows(Comparison::Text, None, None));
    }
}
