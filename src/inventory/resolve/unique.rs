//! What no two hosts may share.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use super::super::context::{Context, Fault};
use super::super::tree::Path;
use super::super::yaml::shorten;
use super::host::Expanded;

/// No two hosts may share a name, a node's name, a way to them or an address.
pub(super) fn check_unique(hosts: &[Expanded], at: &Path, context: &mut Context<'_>) {
    let mut names = Unique::default();
    let mut node_names = Unique::default();
    let mut addresses = Unique::default();
    let mut advertised = Unique::default();
    for Expanded { host, entry } in hosts {
        let name_at = |entry: usize| at.index(entry).key("name");
        if let Some(first) = names.clash(host.name.clone(), *entry) {
            let message = format!("two hosts have the name `{}`", shorten(&host.name));
            context.report(
                Fault::error(&name_at(*entry), message)
                    .label("again here")
                    .also(&name_at(first), "first here"),
            );
            continue;
        }
        if let Some(first) = node_names.clash(host.node_name.clone(), *entry) {
            let message = format!("two nodes have the name `{}`", shorten(&host.node_name));
            context.report(
                Fault::error(&node_name_at(*entry, at, context), message)
                    .label("again here")
                    .also(&node_name_at(first, at, context), "first here"),
            );
        }
        let address = canonical(&host.address);
        let address_at = |entry: usize| at.index(entry).key("address");
        let way = (address.clone(), host.ssh.port.unwrap_or(22));
        if let Some(first) = addresses.clash(way, *entry) {
            let message = format!("the address {} is used by two hosts", shorten(&address));
            context.report(
                Fault::error(&address_at(*entry), message)
                    .label("again here")
                    .also(&address_at(first), "first here"),
            );
        } else if let Some(advertise) = host.advertise_address
            && let Some(first) = advertised.clash(advertise, *entry)
        {
            let message = format!("two hosts would advertise the address {advertise}");
            context.report(
                Fault::error(&advertise_at(*entry, at, context), message)
                    .label("again here")
                    .also(&advertise_at(first, at, context), "first here")
                    .help("give each host a `localAPIEndpoint.advertiseAddress` of its own"),
            );
        }
    }
}

/// Remembers which entry came first with a value; each pair of entries clashes
/// once, however long their ranges are.
struct Unique<T> {
    first: HashMap<T, usize>,
    reported: HashSet<(usize, usize)>,
}

impl<T> Default for Unique<T> {
    fn default() -> Self {
        Unique {
            first: HashMap::new(),
            reported: HashSet::new(),
        }
    }
}

impl<T: std::hash::Hash + Eq> Unique<T> {
    fn clash(&mut self, value: T, entry: usize) -> Option<usize> {
        let first = *self.first.entry(value).or_insert(entry);
        (first != entry && self.reported.insert((first, entry))).then_some(first)
    }
}

/// One spelling for each address.
fn canonical(address: &str) -> String {
    match address.parse::<IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => address.to_ascii_lowercase(),
    }
}

fn node_name_at(entry: usize, at: &Path, context: &Context<'_>) -> Path {
    let at = at.index(entry);
    let given = at.key("nodeRegistration").key("name");
    match context.is_given(&given) {
        true => given,
        false => at.key("name"),
    }
}

/// Where the address that a host advertises stands in the file.
pub(super) fn advertise_at(entry: usize, hosts_at: &Path, context: &Context<'_>) -> Path {
    let host = hosts_at.index(entry);
    let own = host.key("localAPIEndpoint").key("advertiseAddress");
    match context.is_given(&own) {
        true => own,
        false => host.key("address"),
    }
}
