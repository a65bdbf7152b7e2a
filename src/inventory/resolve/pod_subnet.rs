//! Whether the pod network is large enough for every node, and not too large.

use ipnet::IpNet;

use super::fault::Fault;
use super::range::RangePattern;
use super::resolver::Resolver;
use crate::inventory::spec::{Arg, ClusterSpec};
use crate::inventory::yaml::FieldPath;

/// kubeadm's bound: fourteen addresses make a pod network.
const MIN_POD_BITS: u8 = 4;

/// The controller manager's bound on node networks within the pod network, as
/// a difference of prefix lengths.
const MAX_NODE_BITS: u8 = 16;

/// The controller manager cuts the pod network into one network per node.
pub(super) fn check_pod_subnet(
    subnet: IpNet,
    spec: &ClusterSpec,
    dual: bool,
    resolver: &mut Resolver<'_>,
) {
    let root = FieldPath::root().key("spec");
    let at = root.key("networking").key("podSubnet");
    let args = &spec.controller_manager.extra_args;
    if find_last(args, "allocate-node-cidrs").is_some_and(|index| args[index].value == "false") {
        return;
    }
    let flag = match (dual, subnet.network().is_ipv4()) {
        (false, _) => "node-cidr-mask-size",
        (true, true) => "node-cidr-mask-size-ipv4",
        (true, false) => "node-cidr-mask-size-ipv6",
    };
    let Some(mask) = resolve_node_mask(subnet, args, flag, &root, resolver) else {
        return;
    };
    let prefix = subnet.prefix_len();
    let fault = |message: String| Fault::error(&at, message);
    let change = format!(
        "choose another prefix length, or set `{flag}` in `controllerManager.extraArgs` (now {mask})"
    );
    if subnet.max_prefix_len() - prefix < MIN_POD_BITS || prefix > mask {
        let message = format!("the pod network {subnet} is too small");
        let label = format!("each node gets a /{mask}");
        resolver.report(fault(message).label(label).help(change));
    } else if mask - prefix > MAX_NODE_BITS {
        let message = format!("the pod network {subnet} is too large");
        let label =
            format!("each node gets a /{mask}, and at most 2^{MAX_NODE_BITS} of them are possible");
        resolver.report(fault(message).label(label).help(change));
    } else if let blocks = 1_usize << (mask - prefix)
        && blocks < host_count(spec)
    {
        let hosts = host_count(spec);
        let message = format!(
            "the pod network {subnet} is too small: it has room for only {}",
            text::count(blocks, "node")
        );
        let label = format!("each node gets a /{mask}");
        resolver.report(
            fault(message)
                .label(label)
                .also(&root.key("hosts"), text::count(hosts, "host"))
                .help(change),
        );
    }
}

/// The prefix length of a node's network, by the controller manager's flag or default.
fn resolve_node_mask(
    subnet: IpNet,
    args: &[Arg],
    flag: &str,
    spec_at: &FieldPath,
    resolver: &mut Resolver<'_>,
) -> Option<u8> {
    let Some(index) = find_last(args, flag) else {
        return Some(if subnet.network().is_ipv4() { 24 } else { 64 });
    };
    let at = spec_at.key("controllerManager").key("extraArgs");
    let at = at.index(index).key("value");
    let max = subnet.max_prefix_len();
    let parsed = args[index].value.parse().ok().filter(|mask| *mask <= max);
    let parsed = parsed.ok_or_else(|| format!("is not a valid prefix length (1–{max})"));
    resolver.check(&at, parsed)
}

/// Of a flag that is given twice, components take the last one.
fn find_last(args: &[Arg], name: &str) -> Option<usize> {
    args.iter().rposition(|arg| arg.name == name)
}

/// How many hosts there are once ranges are expanded; wrong ranges count once.
fn host_count(spec: &ClusterSpec) -> usize {
    let count = |name: &str| RangePattern::parse(name).ok()?.count;
    let counts = spec.hosts.iter().map(|host| count(&host.name).unwrap_or(1));
    counts.fold(0, usize::saturating_add)
}
