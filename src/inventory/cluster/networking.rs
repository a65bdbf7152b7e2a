//! Pod and service networks.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::inventory::spec::CniType;

/// Networks and CNI.
#[derive(Debug, Clone)]
pub struct Networking {
    /// One CIDR, or one per family.
    pub pod_subnets: Vec<IpNet>,
    /// One CIDR, or one per family.
    pub service_subnets: Vec<IpNet>,
    /// Default `cluster.local`.
    pub dns_domain: String,
    /// What gives pods their network.
    pub cni: CniType,
    /// With [`CniType::Manifest`]: the file.
    pub cni_manifest: Option<PathBuf>,
}

impl Networking {
    /// As kubeadm writes it: CIDRs joined by commas.
    pub fn pod_subnet(&self) -> String {
        join(&self.pod_subnets)
    }

    /// As kubeadm writes it: CIDRs joined by commas.
    pub fn service_subnet(&self) -> String {
        join(&self.service_subnets)
    }

    /// Whether pods or services have addresses of both families.
    pub fn has_both_families(&self) -> bool {
        let all = || self.pod_subnets.iter().chain(&self.service_subnets);
        all().any(|net| net.addr().is_ipv4()) && all().any(|net| net.addr().is_ipv6())
    }

    /// Address `index` of the first service network: 1 is the `kubernetes`
    /// Service, 10 is cluster DNS.
    pub fn service_ip(&self, index: u32) -> IpAddr {
        match self.service_subnets[0].network() {
            IpAddr::V4(net) => IpAddr::V4((u32::from(net) + index).into()),
            IpAddr::V6(net) => IpAddr::V6((u128::from(net) + u128::from(index)).into()),
        }
    }
}

fn join(subnets: &[IpNet]) -> String {
    subnets
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",")
}
