//! Pod and service networks, by kubeadm's rules.

use std::net::IpAddr;

use ipnet::IpNet;

use super::super::cluster::{CniType, Endpoint, Networking};
use super::super::context::{Context, Fault};
use super::super::spec::{self, ClusterSpec};
use super::super::syntax;
use super::super::tree::Path;
use super::super::yaml::shorten;
use super::host::Expanded;
use super::unique::advertise_at;

const POD_SUBNET: &str = "10.244.0.0/16";
const SERVICE_SUBNET: &str = "10.96.0.0/12";

/// kubeadm's bounds: cluster DNS has the tenth address of the service network,
/// the API server's allocator has 2^20 addresses at most.
const MIN_SERVICE_BITS: u8 = 4;
const MAX_SERVICE_BITS: u8 = 20;

/// kubeadm's bound: fourteen addresses make a pod network.
const MIN_POD_BITS: u8 = 4;

/// The controller manager's bound on node networks within the pod network, as
/// a difference of prefix lengths.
const MAX_NODE_BITS: u8 = 16;

/// Resolves `spec.networking` and checks that its parts fit together.
pub(super) fn networking(spec: &ClusterSpec, at: &Path, context: &mut Context<'_>) -> Networking {
    let given = &spec.networking;
    let at = at.key("networking");
    let pods_at = at.key("podSubnet");
    let services_at = at.key("serviceSubnet");
    let pod_subnets = subnets(given.pod_subnet.as_deref(), POD_SUBNET, &pods_at, context);
    let services = given.service_subnet.as_deref();
    let service_subnets = subnets(services, SERVICE_SUBNET, &services_at, context);
    check_families(&pod_subnets, &service_subnets, &at, context);
    check_overlap(&pod_subnets, &service_subnets, &at, context);
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
            let help = format!("its prefix has to be from /{shortest} to /{longest}");
            context.report(Fault::error(&services_at, message).help(help));
        }
    }
    for subnet in &pod_subnets {
        check_pod_subnet(*subnet, spec, pod_subnets.len() > 1, context);
    }
    let dns_domain = given.dns_domain.as_deref().unwrap_or("cluster.local");
    context.valid(&at.key("dnsDomain"), syntax::dns_subdomain(dns_domain));
    let cni_manifest = cni(&given.cni, &pod_subnets, &at, context);
    Networking {
        pod_subnets,
        service_subnets,
        dns_domain: dns_domain.to_owned(),
        cni: given.cni.kind,
        cni_manifest,
    }
}

/// One or two CIDRs; never none, for then the default stands in.
fn subnets(given: Option<&str>, default: &str, at: &Path, context: &mut Context<'_>) -> Vec<IpNet> {
    let mut subnets: Vec<IpNet> = Vec::new();
    let text = given.unwrap_or(default);
    for part in text.split(',') {
        let Some(subnet) = context.valid(at, cidr(part.trim())) else {
            continue;
        };
        let family = subnet.network().is_ipv4();
        match subnets
            .iter()
            .find(|other| other.network().is_ipv4() == family)
        {
            Some(other) => {
                let message = format!("{other} and {subnet} are of one family");
                let help = "dual-stack is one IPv4 and one IPv6 network, joined by a comma";
                context.report(Fault::error(at, message).help(help));
            }
            None => subnets.push(subnet),
        }
    }
    if subnets.is_empty() {
        subnets.extend(default.parse::<IpNet>());
    }
    subnets
}

fn cidr(text: &str) -> Result<IpNet, String> {
    let Some((address, prefix)) = text.split_once('/') else {
        return match text.parse::<IpAddr>() {
            Ok(_) => Err(format!("lacks the length of its prefix, as in `{text}/16`")),
            Err(_) => Err(format!("is not a network such as `{POD_SUBNET}`")),
        };
    };
    if address.parse::<IpAddr>().is_err() {
        let address = shorten(address);
        return Err(format!("has `{address}`, which is no IP address"));
    }
    let subnet: IpNet = text
        .parse()
        .map_err(|_| format!("has `/{}`, which is no length of a prefix", shorten(prefix)))?;
    match subnet.addr() == subnet.network() {
        true => Ok(subnet),
        false => Err(format!(
            "has host bits set: the network is `{}`",
            subnet.trunc()
        )),
    }
}

fn check_families(pods: &[IpNet], services: &[IpNet], at: &Path, context: &mut Context<'_>) {
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
        let message = "pods and services need networks of the same families";
        context.report(
            Fault::error(&at.key("podSubnet"), message)
                .label(format!("pods are {pods}"))
                .also(&at.key("serviceSubnet"), format!("services are {services}")),
        );
    }
}

fn check_overlap(pods: &[IpNet], services: &[IpNet], at: &Path, context: &mut Context<'_>) {
    let (pods_at, services_at) = (at.key("podSubnet"), at.key("serviceSubnet"));
    for (pod, service) in pods
        .iter()
        .flat_map(|pod| services.iter().map(move |service| (pod, service)))
        .filter(|(pod, service)| overlap(pod, service))
    {
        let default = |at: &Path, context: &Context<'_>| match context.is_given(at) {
            true => "",
            false => ", the default",
        };
        let pod_label = format!("pods have {pod}{}", default(&pods_at, context));
        let service_label = format!("services have {service}{}", default(&services_at, context));
        context.report(
            Fault::error(&pods_at, "the pod network and the service network overlap")
                .label(pod_label)
                .also(&services_at, service_label),
        );
    }
}

/// Whether two networks share an address.
fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

/// The controller manager cuts the pod network into one network per node.
fn check_pod_subnet(subnet: IpNet, spec: &ClusterSpec, dual: bool, context: &mut Context<'_>) {
    let root = Path::root().key("spec");
    let at = root.key("networking").key("podSubnet");
    let args = &spec.controller_manager.extra_args;
    let arg = |name: &str| args.iter().rposition(|arg| arg.name == name);
    if arg("allocate-node-cidrs").is_some_and(|index| args[index].value == "false") {
        return;
    }
    let v4 = subnet.network().is_ipv4();
    let flag = match (dual, v4) {
        (false, _) => "node-cidr-mask-size",
        (true, true) => "node-cidr-mask-size-ipv4",
        (true, false) => "node-cidr-mask-size-ipv6",
    };
    let default = if v4 { 24 } else { 64 };
    let mask = match arg(flag) {
        None => default,
        Some(index) => {
            let at = root.key("controllerManager").key("extraArgs");
            let at = at.index(index).key("value");
            let max = subnet.max_prefix_len();
            let parsed = args[index].value.parse().ok().filter(|mask| *mask <= max);
            let parsed = parsed.ok_or_else(|| format!("is not a prefix length, 1 to {max}"));
            match context.valid(&at, parsed) {
                Some(mask) => mask,
                None => return,
            }
        }
    };
    let prefix = subnet.prefix_len();
    let fault = |message: String| Fault::error(&at, message);
    let change = format!(
        "choose another prefix, or set `{flag}` in `controllerManager.extraArgs` (it is {mask})"
    );
    if subnet.max_prefix_len() - prefix < MIN_POD_BITS || prefix > mask {
        let message = format!("the pod network {subnet} is too small");
        let label = format!("a node's network is a /{mask}");
        context.report(fault(message).label(label).help(change));
    } else if mask - prefix > MAX_NODE_BITS {
        let message = format!("the pod network {subnet} is too large");
        let label = format!("a node's network is a /{mask}, 2^{MAX_NODE_BITS} of them at most");
        context.report(fault(message).label(label).help(change));
    } else if let blocks = 1_usize << (mask - prefix)
        && blocks < host_count(spec)
    {
        let hosts = host_count(spec);
        let message = format!("the pod network {subnet} has room for {blocks} nodes only");
        let label = format!("a node's network is a /{mask}");
        context.report(
            fault(message)
                .label(label)
                .also(&root.key("hosts"), format!("{hosts} hosts"))
                .help(change),
        );
    }
}

/// How many hosts there are once ranges are expanded; wrong ranges count once.
fn host_count(spec: &ClusterSpec) -> usize {
    let count = |name: &str| super::super::range::Pattern::parse(name).ok()?.count;
    let counts = spec.hosts.iter().map(|host| count(&host.name).unwrap_or(1));
    counts.fold(0, usize::saturating_add)
}

fn cni(
    given: &spec::Cni,
    pods: &[IpNet],
    at: &Path,
    context: &mut Context<'_>,
) -> Option<std::path::PathBuf> {
    let cni_at = at.key("cni");
    let path_at = cni_at.key("path");
    if !given.kind.supports_ipv6() && pods.iter().any(|pod| pod.network().is_ipv6()) {
        let fault = Fault::error(&at.key("podSubnet"), "the bridge CNI knows IPv4 only");
        let help = "write `cni: {type: none}` and install a network yourself, or \
                    `cni: {type: manifest, path: …}`";
        context.report(fault.help(help));
    }
    match (given.kind, &given.path) {
        (CniType::Manifest, Some(path)) => Some(context.file(&path_at, path)),
        (CniType::Manifest, None) => {
            let fault = Fault::error(&cni_at, "`type: manifest` needs a `path`");
            context.report(fault.help("write the YAML file that installs the network"));
            None
        }
        (_, Some(_)) => {
            let fault = Fault::error(&path_at, "`path` has no effect without `type: manifest`");
            context.report(fault.help("write `type: manifest`, or delete `path`"));
            None
        }
        (_, None) => None,
    }
}

/// Hosts must lie outside the cluster's own networks, and the API servers'
/// addresses be of the family that services start with.
pub(super) fn check_hosts(
    networking: &Networking,
    spec: &ClusterSpec,
    hosts: &[Expanded],
    endpoint: Option<&Endpoint>,
    context: &mut Context<'_>,
) {
    let spec_at = Path::root().key("spec");
    let hosts_at = spec_at.key("hosts");
    let networking_at = spec_at.key("networking");
    let pods = networking.pod_subnets.iter();
    let pods = pods.map(|subnet| (*subnet, "pod", networking_at.key("podSubnet")));
    let services = networking.service_subnets.iter();
    let services = services.map(|subnet| (*subnet, "service", networking_at.key("serviceSubnet")));
    let subnets: Vec<(IpNet, &str, Path)> = pods.chain(services).collect();

    let mut check = |address: IpAddr, what: &str, at: &Path| {
        let Some((subnet, name, subnet_at)) = subnets
            .iter()
            .find(|(subnet, ..)| subnet.contains(&address))
        else {
            return false;
        };
        let message = format!("{what} {address} lies within the {name} network");
        let label = match context.is_given(subnet_at) {
            true => format!("the {name} network is {subnet}"),
            false => format!("the {name} network is {subnet}, the default"),
        };
        let fault = Fault::error(at, message).also(subnet_at, label);
        context.report(fault.help("choose a network that nothing else uses"));
        true
    };
    let mut reported = None;
    for Expanded { host, entry } in hosts {
        if reported == Some(*entry) {
            continue;
        }
        let at = hosts_at.index(*entry);
        let address = host.address.parse::<IpAddr>().ok();
        let what = format!("host `{}` with its address", shorten(&host.name));
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
    check_advertised_family(networking, spec, hosts, &hosts_at, context);
}

fn check_advertised_family(
    networking: &Networking,
    spec: &ClusterSpec,
    hosts: &[Expanded],
    hosts_at: &Path,
    context: &mut Context<'_>,
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
    let cluster_at = Path::root().key("spec").key("localAPIEndpoint");
    let cluster_at = cluster_at.key("advertiseAddress");
    let own = spec.hosts[entry].local_api_endpoint.is_some();
    let at = match !own && context.is_given(&cluster_at) {
        true => cluster_at,
        false => advertise_at(entry, hosts_at, context),
    };
    let message = format!("the API server can't advertise {address}");
    let family = |v4| if v4 { "IPv4" } else { "IPv6" };
    let services_at = Path::root()
        .key("spec")
        .key("networking")
        .key("serviceSubnet");
    context.report(
        Fault::error(&at, message)
            .label(format!("this is {}", family(address.is_ipv4())))
            .also(
                &services_at,
                format!("services start with {}", family(first.network().is_ipv4())),
            )
            .help("set `localAPIEndpoint.advertiseAddress`, or the other network first"),
    );
}
