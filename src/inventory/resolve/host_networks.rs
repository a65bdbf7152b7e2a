//! Whether the hosts' addresses fit the cluster's networks.

use std::net::IpAddr;

use ipnet::IpNet;

use super::expanded_host::ExpandedHost;
use super::fault::Fault;
use super::resolver::Resolver;
use super::unique::advertise_at;
use crate::inventory::cluster::{Endpoint, Networking};
use crate::inventory::spec::ClusterSpec;
use crate::inventory::yaml::{FieldPath, shorten};

/// Hosts must lie outside the cluster's own networks, and the API servers'
/// addresses be of the family that services start with.
pub(super) fn check_host_addresses(
    networking: &Networking,
    spec: &ClusterSpec,
    hosts: &[ExpandedHost],
    endpoint: Option<&Endpoint>,
    resolver: &mut Resolver<'_>,
) {
    let spec_at = FieldPath::root().key("spec");
    let hosts_at = spec_at.key("hosts");
    let networking_at = spec_at.key("networking");
    let pods = networking.pod_subnets.iter();
    let pods = pods.map(|subnet| (*subnet, "pod", networking_at.key("podSubnet")));
    let services = networking.service_subnets.iter();
    let services = services.map(|subnet| (*subnet, "service", networking_at.key("serviceSubnet")));
    let subnets: Vec<(IpNet, &str, FieldPath)> = pods.chain(services).collect();

    let mut check = |address: IpAddr, what: &str, at: &FieldPath| {
        let Some((subnet, name, subnet_at)) = subnets
            .iter()
            .find(|(subnet, ..)| subnet.contains(&address))
        else {
            return false;
        };
        let message = format!("{what}, {address}, is inside the {name} network");
        let label = match resolver.is_given(subnet_at) {
            true => format!("the {name} network is {subnet}"),
            false => format!("the {name} network is {subnet} (default)"),
        };
        let fault = Fault::error(at, message).also(subnet_at, label);
        resolver.report(fault.help("choose a network that is not in use"));
        true
    };
    let mut reported = None;
    for ExpandedHost { host, entry } in hosts {
        // Once per entry of the file: a range may have thousands of hosts.
        if reported == Some(*entry) {
            continue;
        }
        let at = hosts_at.index(*entry);
        let address = host.address.parse::<IpAddr>().ok();
        let what = format!("the address of host `{}`", shorten(&host.name));
        let advertised_at = at.key("localAPIEndpoint").key("advertiseAddress");
        let found = address.is_some_and(|address| check(address, &what, &at.key("address")))
            || host
                .advertise_address
                .is_some_and(|address| check(address, &what, &advertised_at));
        reported = found.then_some(*entry);
    }
    if let Some(address) = endpoint.and_then(Endpoint::ip) {
        check(
            address,
            "the endpoint",
            &spec_at.key("controlPlaneEndpoint"),
        );
    }
    check_advertised_family(networking, spec, hosts, &hosts_at, resolver);
}

fn check_advertised_family(
    networking: &Networking,
    spec: &ClusterSpec,
    hosts: &[ExpandedHost],
    hosts_at: &FieldPath,
    resolver: &mut Resolver<'_>,
) {
    let first = networking.service_subnets[0];
    let wrong = hosts.iter().find_map(|one| {
        let address = one.host.advertise_address?;
        let fits = address.is_ipv4() == first.network().is_ipv4();
        (one.host.is_control_plane() && !fits).then_some((one.entry, address))
    });
    let Some((entry, address)) = wrong else {
        return;
    };
    let cluster_at = FieldPath::root().key("spec").key("localAPIEndpoint");
    let cluster_at = cluster_at.key("advertiseAddress");
    let own = spec.hosts[entry].local_api_endpoint.is_some();
    let at = match !own && resolver.is_given(&cluster_at) {
        true => cluster_at,
        false => advertise_at(entry, hosts_at, resolver),
    };
    let message = format!("the API server can't advertise {address}");
    let family = |v4| if v4 { "IPv4" } else { "IPv6" };
    let services_at = FieldPath::root()
        .key("spec")
        .key("networking")
        .key("serviceSubnet");
    resolver.report(
        Fault::error(&at, message)
            .label(format!("this is {}", family(address.is_ipv4())))
            .also(
                &services_at,
                format!(
                    "the first service network is {}",
                    family(first.network().is_ipv4())
                ),
            )
            .help(
                "set `localAPIEndpoint.advertiseAddress`, or put the other service network first",
            ),
    );
}
