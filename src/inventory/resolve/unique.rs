//! What no two hosts may share.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::net::IpAddr;

use super::expanded_host::ExpandedHost;
use super::fault::Fault;
use super::resolver::Resolver;
use crate::inventory::spec::defaults;
use crate::inventory::yaml::{FieldPath, shorten};

/// No two hosts may share a name, a node's name, a way to them or an address.
pub(super) fn check_unique(hosts: &[ExpandedHost], at: &FieldPath, resolver: &mut Resolver<'_>) {
    let mut names = FirstUse::default();
    let mut node_names = FirstUse::default();
    let mut addresses = FirstUse::default();
    let mut advertised = FirstUse::default();
    for ExpandedHost { host, entry } in hosts {
        let name_at = |entry: usize| at.index(entry).key("name");
        if let Some(first) = names.find_clash(host.name.clone(), *entry) {
            let message = format!("duplicate host name `{}`", shorten(&host.name));
            resolver.report(
                Fault::error(&name_at(*entry), message)
                    .label("used again here")
                    .also(&name_at(first), "first used here"),
            );
            // A duplicate host clashes in everything that follows as well.
            continue;
        }
        if let Some(first) = node_names.find_clash(host.node_name.clone(), *entry) {
            let message = format!("duplicate node name `{}`", shorten(&host.node_name));
            resolver.report(
                Fault::error(&node_name_at(*entry, at, resolver), message)
                    .label("used again here")
                    .also(&node_name_at(first, at, resolver), "first used here"),
            );
        }
        let address = canonical_address(&host.address);
        let address_at = |entry: usize| at.index(entry).key("address");
        let way = (address.clone(), host.ssh.port.unwrap_or(defaults::SSH_PORT));
        if let Some(first) = addresses.find_clash(way, *entry) {
            let message = format!("address {} is used by two hosts", shorten(&address));
            resolver.report(
                Fault::error(&address_at(*entry), message)
                    .label("used again here")
                    .also(&address_at(first), "first used here"),
            );
        } else if let Some(advertise) = host.advertise_address
            && let Some(first) = advertised.find_clash(advertise, *entry)
        {
            let message = format!("two hosts would advertise address {advertise}");
            resolver.report(
                Fault::error(&advertise_at(*entry, at, resolver), message)
                    .label("used again here")
                    .also(&advertise_at(first, at, resolver), "first used here")
                    .help("give each host its own `localAPIEndpoint.advertiseAddress`"),
            );
        }
    }
}

/// Remembers which entry came first with a value; each pair of entries clashes
/// once, however long their ranges are.
struct FirstUse<T> {
    first: HashMap<T, usize>,
    reported: HashSet<(usize, usize)>,
}

impl<T> Default for FirstUse<T> {
    fn default() -> Self {
        FirstUse {
            first: HashMap::new(),
            reported: HashSet::new(),
        }
    }
}

impl<T: Hash + Eq> FirstUse<T> {
    fn find_clash(&mut self, value: T, entry: usize) -> Option<usize> {
        let first = *self.first.entry(value).or_insert(entry);
        (first != entry && self.reported.insert((first, entry))).then_some(first)
    }
}

/// One spelling for each address.
fn canonical_address(address: &str) -> String {
    match address.parse::<IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => address.to_ascii_lowercase(),
    }
}

fn node_name_at(entry: usize, at: &FieldPath, resolver: &Resolver<'_>) -> FieldPath {
    let at = at.index(entry);
    let given = at.key("nodeRegistration").key("name");
    match resolver.is_given(&given) {
        true => given,
        false => at.key("name"),
    }
}

/// Where in the file the address that a host advertises is given.
pub(super) fn advertise_at(
    entry: usize,
    hosts_at: &FieldPath,
    resolver: &Resolver<'_>,
) -> FieldPath {
    let host = hosts_at.index(entry);
    let own = host.key("localAPIEndpoint").key("advertiseAddress");
    match resolver.is_given(&own) {
        true => own,
        false => host.key("address"),
    }
}
