//! One L2 network for all hosts, where the built-in pod network needs it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::report::{FleetCheck, Report};
use super::subject::Subject;
use crate::host::facts::Route;
use crate::inventory::{Cluster, CniType};

const NAME: &str = "OneNetwork";

pub(super) const CHECK: FleetCheck = FleetCheck {
    names: &[NAME],
    run: check_one_network,
};

/// Routes between pods lead to what is on the link. Nodes that already work together are not
/// asked again.
fn check_one_network(cluster: &Cluster, subjects: &[Subject<'_>], reports: &mut [Report<'_>]) {
    if cluster.networking.cni != CniType::Bridge {
        return;
    }
    // One host of each subnet speaks for the others, so that thousands cost little.
    let mut seen: BTreeMap<IpNet, usize> = BTreeMap::new();
    for (index, subject) in subjects.iter().enumerate() {
        let earlier: Vec<&Subject<'_>> = seen.values().map(|at| &subjects[*at]).collect();
        let new = earlier
            .iter()
            .filter(|other| !(subject.owned && other.owned));
        let report = &mut reports[index];
        let apart = new.filter_map(|other| {
            let way = apart(subject, other).or_else(|| apart(other, subject))?;
            Some((other.host.name.as_str(), way))
        });
        match apart.min_by_key(|(other, _)| *other) {
            None => report.pass(NAME),
            Some((other, way)) => report.error(
                NAME,
                format!(
                    "the host is not on one L2 network with {other}: {way}; pods of the built-in \
                     network (networking.cni.type: bridge) would not reach each other"
                ),
                "put all hosts into one subnet, or choose a network that goes over routers \
                 (networking.cni.type: manifest, with flannel, Calico or Cilium)",
            ),
        }
        if let Some(net) = subnet(subject) {
            seen.entry(net).or_insert(index);
        }
    }
}

/// The network of its address, as its interface has it.
fn subnet(subject: &Subject<'_>) -> Option<IpNet> {
    let address = subject.advertised()?;
    let mut own = subject.gathered.facts.addresses.iter();
    let own = own.find(|own| own.address == address)?;
    let net = IpNet::new(address, own.prefix).ok()?;
    Some(net.trunc())
}

/// How `from` reaches `to`, if not directly.
fn apart(from: &Subject<'_>, to: &Subject<'_>) -> Option<String> {
    let address = to.advertised()?;
    let routes = &from.gathered.routes;
    if routes.is_empty() {
        return None;
    }
    let name = &from.host.name;
    match best(routes, address) {
        None => Some(format!("{name} has no route to {address}")),
        Some(Route {
            via: Some(via),
            device,
            ..
        }) => Some(format!("{name} reaches {address} via {via} dev {device}")),
        Some(_) => None,
    }
}

/// The route with the longest prefix. Of several the first, as the kernel lists them.
fn best(routes: &[Route], address: IpAddr) -> Option<&Route> {
    let fitting = routes.iter().filter(|route| route.to.contains(&address));
    fitting.reduce(
        |best, one| match one.to.prefix_len() > best.to.prefix_len() {
            true => one,
            false => best,
        },
    )
}
