//! Pod and service networks, by kubeadm's rules.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use super::fault::Fault;
use super::pod_subnet::check_pod_subnet;
use super::resolver::Resolver;
use super::syntax::{self};
use crate::inventory::cluster::Networking;
use crate::inventory::spec::{ClusterSpec, Cni, CniType, defaults};
use crate::inventory::yaml::{FieldPath, shorten};

/// kubeadm's bounds: cluster DNS has the tenth address of the service network,
/// the API server's allocator has 2^20 addresses at most.
const MIN_SERVICE_BITS: u8 = 4;
const MAX_SERVICE_BITS: u8 = 20;

/// Resolves `spec.networking` and checks that its parts fit together.
pub(super) fn resolve_networking(
    spec: &ClusterSpec,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) -> Networking {
    let given = &spec.networking;
    let at = at.key("networking");
    let pods_at = at.key("podSubnet");
    let services_at = at.key("serviceSubnet");
    let pod_subnets = resolve_subnets(
        given.pod_subnet.as_deref(),
        defaults::POD_SUBNET,
        &pods_at,
        resolver,
    );
    let services = given.service_subnet.as_deref();
    let service_subnets =
        resolve_subnets(services, defaults::SERVICE_SUBNET, &services_at, resolver);
    check_families(&pod_subnets, &service_subnets, &at, resolver);
    check_overlap(&pod_subnets, &service_subnets, &at, resolver);
    for subnet in &service_subnets {
        let bits = subnet.max_prefix_len() - subnet.prefix_len();
        let longest = subnet.max_prefix_len() - MIN_SERVICE_BITS;
        let shortest = subnet.max_prefix_len() - MAX_SERVICE_BITS;
        if !(MIN_SERVICE_BITS..=MAX_SERVICE_BITS).contains(&bits) {
            let size = if bits < MIN_SERVICE_BITS {
                "small"
            } else {
                "large"
            };
            let message = format!("the service network {subnet} is too {size}");
            let help = format!("the prefix length must be between /{shortest} and /{longest}");
            resolver.report(Fault::error(&services_at, message).help(help));
        }
    }
    for subnet in &pod_subnets {
        check_pod_subnet(*subnet, spec, pod_subnets.len() > 1, resolver);
    }
    let dns_domain = given.dns_domain.as_deref().unwrap_or(defaults::DNS_DOMAIN);
    resolver.check(
        &at.key("dnsDomain"),
        syntax::check_dns_subdomain(dns_domain),
    );
    let cni_manifest = resolve_cni(&given.cni, &pod_subnets, &at, resolver);
    Networking {
        pod_subnets,
        service_subnets,
        dns_domain: dns_domain.to_owned(),
        cni: given.cni.kind,
        cni_manifest,
    }
}

/// One or two CIDRs; the default, if none of those given is valid.
fn resolve_subnets(
    given: Option<&str>,
    default: &str,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) -> Vec<IpNet> {
    let mut subnets: Vec<IpNet> = Vec::new();
    let text = given.unwrap_or(default);
    for part in text.split(',') {
        let Some(subnet) = resolver.check(at, parse_cidr(part.trim())) else {
            continue;
        };
        let family = subnet.network().is_ipv4();
        match subnets
            .iter()
            .find(|other| other.network().is_ipv4() == family)
        {
            Some(other) => {
                let message = format!("{other} and {subnet} are of the same family");
                let help = "dual-stack needs one IPv4 and one IPv6 network, separated by a comma";
                resolver.report(Fault::error(at, message).help(help));
            }
            None => subnets.push(subnet),
        }
    }
    if subnets.is_empty() {
        subnets.extend(default.parse::<IpNet>());
    }
    subnets
}

fn parse_cidr(text: &str) -> Result<IpNet, String> {
    let Some((address, prefix)) = text.split_once('/') else {
        return match text.parse::<IpAddr>() {
            Ok(_) => Err(format!(
                "has no prefix length: write for example `{text}/16`"
            )),
            Err(_) => Err(format!(
                "is not a network, such as `{}`",
                defaults::POD_SUBNET
            )),
        };
    };
    if address.parse::<IpAddr>().is_err() {
        let address = shorten(address);
        return Err(format!("has an invalid IP address `{address}`"));
    }
    let subnet: IpNet = text
        .parse()
        .map_err(|_| format!("has an invalid prefix length `/{}`", shorten(prefix)))?;
    match subnet.addr() == subnet.network() {
        true => Ok(subnet),
        false => Err(format!("has host bits set: write `{}`", subnet.trunc())),
    }
}

fn check_families(pods: &[IpNet], services: &[IpNet], at: &FieldPath, resolver: &mut Resolver<'_>) {
    let families = |subnets: &[IpNet]| {
        let has = |v4| subnets.iter().any(|s| s.network().is_ipv4() == v4);
        match (has(true), has(false)) {
            (true, true) => "dual-stack",
            (true, false) => "IPv4",
            _ => "IPv6",
        }
    };
    let (pods, services) = (families(pods), families(services));
    if pods != services {
        let message = "pods and services must use the same IP families";
        resolver.report(
            Fault::error(&at.key("podSubnet"), message)
                .label(format!("pods use {pods}"))
                .also(&at.key("serviceSubnet"), format!("services use {services}")),
        );
    }
}

fn check_overlap(pods: &[IpNet], services: &[IpNet], at: &FieldPath, resolver: &mut Resolver<'_>) {
    let (pods_at, services_at) = (at.key("podSubnet"), at.key("serviceSubnet"));
    for (pod, service) in pods
        .iter()
        .flat_map(|pod| services.iter().map(move |service| (pod, service)))
        .filter(|(pod, service)| share_an_address(pod, service))
    {
        let default = |at: &FieldPath, resolver: &Resolver<'_>| match resolver.is_given(at) {
            true => "",
            false => " (default)",
        };
        let pod_label = format!("pods use {pod}{}", default(&pods_at, resolver));
        let service_label = format!("services use {service}{}", default(&services_at, resolver));
        resolver.report(
            Fault::error(&pods_at, "the pod network and the service network overlap")
                .label(pod_label)
                .also(&services_at, service_label),
        );
    }
}

/// Whether two networks share an address.
fn share_an_address(a: &IpNet, b: &IpNet) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

fn resolve_cni(
    given: &Cni,
    pods: &[IpNet],
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) -> Option<PathBuf> {
    let cni_at = at.key("cni");
    let path_at = cni_at.key("path");
    if !given.kind.supports_ipv6() && pods.iter().any(|pod| pod.network().is_ipv6()) {
        let fault = Fault::error(&at.key("podSubnet"), "the bridge CNI supports IPv4 only");
        let help = "use `cni: {type: none}` and install a network yourself, or \
                    `cni: {type: manifest, path: …}`";
        resolver.report(fault.help(help));
    }
    match (given.kind, &given.path) {
        (CniType::Manifest, Some(path)) => Some(resolver.require_file(&path_at, path)),
        (CniType::Manifest, None) => {
            let fault = Fault::error(&cni_at, "`type: manifest` needs a `path`");
            resolver.report(fault.help("set it to the YAML file that installs the network"));
            None
        }
        (_, Some(_)) => {
            let fault = Fault::error(&path_at, "`path` has no effect without `type: manifest`");
            resolver.report(fault.help("set `type: manifest`, or remove `path`"));
            None
        }
        (_, None) => None,
    }
}
