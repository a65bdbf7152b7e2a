//! What the certificates have to say, in plain terms.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use crate::keys::Algorithm;
use crate::table::{Ca, CommonName, LEAVES, LeafSpec, Organization, SanRule};

/// How long certificates are valid, from the start of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Of leaves.
    pub leaf: Duration,
    /// Of certificate authorities.
    pub ca: Duration,
    /// How long before its end a leaf is replaced.
    pub renew_before: Duration,
}

impl Default for Validity {
    /// kubeadm's: a year for leaves, ten for authorities. Leaves are replaced 30 days before
    /// their end.
    fn default() -> Self {
        Validity {
            leaf: Duration::from_secs(8_760 * 3_600),
            ca: Duration::from_secs(87_600 * 3_600),
            renew_before: Duration::from_secs(720 * 3_600),
        }
    }
}

/// The PKI of a whole cluster.
#[derive(Debug, Clone)]
pub struct Request {
    /// Algorithm of every key that is made. Keys that are there are kept.
    pub algorithm: Algorithm,
    /// How long certificates are valid.
    pub validity: Validity,
    /// Whether keys of authorities are kept elsewhere on purpose. Otherwise one that is missing
    /// is lost.
    pub external_ca: bool,
    /// DNS domain of the cluster.
    pub dns_domain: String,
    /// Address of the `kubernetes` Service: the first of the first network.
    pub service_ip: IpAddr,
    /// Host part of the control plane endpoint, a name or an address.
    pub control_plane_endpoint: Option<String>,
    /// More names and addresses of the API server.
    pub api_server_sans: Vec<String>,
    /// More names and addresses of etcd; `None` with an external etcd.
    pub etcd: Option<EtcdSans>,
    /// Whether the API server's kubelet client belongs to
    /// `kubeadm:cluster-admins`: so in patch releases before May 2026.
    pub legacy_kubelet_client: bool,
    /// The control planes.
    pub nodes: Vec<NodeRequest>,
}

/// More names and addresses of etcd.
#[derive(Debug, Clone, Default)]
pub struct EtcdSans {
    /// For the serving certificate.
    pub server: Vec<String>,
    /// For the peer certificate.
    pub peer: Vec<String>,
}

/// A control plane.
#[derive(Debug, Clone)]
pub struct NodeRequest {
    /// Names its directory in the store. One path component.
    pub name: String,
    /// The Node's name.
    pub node_name: String,
    /// Address that its API server and etcd advertise.
    pub advertise_address: IpAddr,
    /// Whether the cluster starts with it, so that it gets `super-admin`.
    pub init: bool,
    /// Whether its kubelet has a certificate that it renews itself: then its first one, which
    /// is ours, may grow old.
    pub kubelet_renews: bool,
}

/// Subject alternative names: DNS names sorted, addresses in order, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sans {
    /// DNS names.
    pub(crate) dns: Vec<String>,
    /// Addresses.
    pub(crate) ips: Vec<IpAddr>,
}

impl Sans {
    /// Sorts and deduplicates.
    pub(crate) fn new(
        dns: impl IntoIterator<Item = String>,
        ips: impl IntoIterator<Item = IpAddr>,
    ) -> Self {
        let mut seen = BTreeSet::new();
        Sans {
            dns: dns
                .into_iter()
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
            ips: ips.into_iter().filter(|ip| seen.insert(*ip)).collect(),
        }
    }

    /// What `self` has and `other` lacks, safe to print.
    pub(crate) fn list_beyond(&self, other: &Sans) -> Vec<String> {
        let dns = self.dns.iter().filter(|name| !other.dns.contains(name));
        let ips = self.ips.iter().filter(|ip| !other.ips.contains(ip));
        dns.map(|name| format!("DNS:{}", name.escape_debug()))
            .chain(ips.map(|ip| format!("IP:{ip}")))
            .collect()
    }
}

/// What one leaf has to be.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) leaf: &'static LeafSpec,
    pub(crate) common_name: String,
    pub(crate) organization: Option<&'static str>,
    pub(crate) sans: Sans,
}

impl Request {
    /// The leaves that `node` has.
    pub fn leaves_of(&self, node: &NodeRequest) -> impl Iterator<Item = &'static LeafSpec> {
        let (init, etcd) = (node.init, self.etcd.is_some());
        LEAVES
            .iter()
            .filter(move |leaf| (init || !leaf.init_only) && (etcd || leaf.signer != Ca::Etcd))
    }

    /// What `leaf` of `node` has to be, and which SANs were skipped.
    pub(crate) fn expect_leaf(
        &self,
        leaf: &'static LeafSpec,
        node: &NodeRequest,
    ) -> (Expected, Vec<String>) {
        let mut names = Names::default();
        match leaf.sans {
            SanRule::None => {}
            SanRule::ApiServer => {
                names.dns.extend([
                    node.node_name.clone(),
                    "kubernetes".into(),
                    "kubernetes.default".into(),
                    "kubernetes.default.svc".into(),
                    format!("kubernetes.default.svc.{}", self.dns_domain),
                ]);
                names.ips.extend([self.service_ip, node.advertise_address]);
                names.add_all(self.control_plane_endpoint.iter());
                names.add_all(&self.api_server_sans);
            }
            SanRule::EtcdServer | SanRule::EtcdPeer => {
                names
                    .dns
                    .extend([node.node_name.clone(), "localhost".into()]);
                names.ips.extend([
                    node.advertise_address,
                    IpAddr::from([127, 0, 0, 1]),
                    IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
                ]);
                names.add_all(self.etcd.iter().flat_map(|etcd| match leaf.sans {
                    SanRule::EtcdPeer => &etcd.peer,
                    _ => &etcd.server,
                }));
            }
        }
        let expected = Expected {
            leaf,
            common_name: match leaf.common_name {
                CommonName::Fixed(name) => name.into(),
                CommonName::Node => node.node_name.clone(),
                CommonName::KubeletUser => format!("system:node:{}", node.node_name),
            },
            organization: match leaf.organization {
                Organization::None => None,
                Organization::Fixed(name) => Some(name),
                Organization::LegacyClusterAdmins => self
                    .legacy_kubelet_client
                    .then_some("kubeadm:cluster-admins"),
            },
            sans: Sans::new(names.dns, names.ips),
        };
        (expected, names.skipped)
    }
}

/// Names on their way into [`Sans`].
#[derive(Default)]
struct Names {
    dns: Vec<String>,
    ips: Vec<IpAddr>,
    skipped: Vec<String>,
}

impl Names {
    /// Sorts the operator's own into names and addresses. Like kubeadm, skips
    /// what is neither.
    fn add_all<'a>(&mut self, sans: impl IntoIterator<Item = &'a String>) {
        for san in sans {
            let lower = san.to_ascii_lowercase();
            if let Ok(ip) = lower.parse() {
                self.ips.push(ip);
            } else if is_dns_name(lower.strip_prefix("*.").unwrap_or(&lower)) {
                self.dns.push(lower);
            } else {
                self.skipped.push(san.clone());
            }
        }
    }
}

/// A DNS-1123 subdomain, as Kubernetes has it.
fn is_dns_name(name: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    name.len() <= 253
        && name.split('.').all(|label| {
            let bytes = label.as_bytes();
            label.len() <= 63
                && edge(bytes.first())
                && edge(bytes.last())
                && bytes
                    .iter()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sans_are_sorted_or_in_order_and_unique(
            dns in proptest::collection::vec("[a-c]{1,2}", 0..12),
            ips in proptest::collection::vec(0u32..6, 0..12),
        ) {
            let ips: Vec<IpAddr> = ips.into_iter().map(|ip| IpAddr::V4(ip.into())).collect();
            let sans = Sans::new(dns.clone(), ips.clone());
            prop_assert!(sans.dns.is_sorted());
            prop_assert_eq!(BTreeSet::from_iter(&sans.dns).len(), sans.dns.len());
            prop_assert!(dns.iter().all(|name| sans.dns.contains(name)));
            // Each address is where it first was.
            let first = |ip: &IpAddr| ips.iter().position(|other| other == ip);
            prop_assert!(sans.ips.is_sorted_by_key(first));
            prop_assert_eq!(BTreeSet::from_iter(&sans.ips), BTreeSet::from_iter(&ips));
            prop_assert_eq!(BTreeSet::from_iter(&sans.ips).len(), sans.ips.len());
        }
    }

    #[test]
    fn the_operators_names_are_sorted_into_kinds() {
        let mut names = Names::default();
        let sans = [
            "API.example.com",
            "*.example.com",
            "2001:db8::1",
            "a_b",
            "*",
            "",
        ];
        names.add_all(&sans.map(String::from));
        assert_eq!(names.dns, ["api.example.com", "*.example.com"]);
        assert_eq!(names.ips, ["2001:db8::1".parse::<IpAddr>().unwrap()]);
        assert_eq!(names.skipped, ["a_b", "*", ""]);
    }
}
