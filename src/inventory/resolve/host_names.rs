//! Names and addresses of hosts, ranges expanded.

use std::net::IpAddr;

use super::fault::Fault;
use super::range::RangePattern;
use super::resolver::Resolver;
use super::syntax::{self, Problem};
use crate::inventory::spec::HostSpec;
use crate::inventory::yaml::{FieldPath, shorten};

/// Names and addresses of one entry, its ranges expanded.
pub(super) fn expand_names(
    host: &HostSpec,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) -> Vec<(String, String)> {
    let name_at = at.key("name");
    let address_at = at.key("address");
    let address = match &host.address {
        None => None,
        Some(address) => match resolver.check(&address_at, parse_address_range(address)) {
            None => return Vec::new(),
            address => address,
        },
    };
    let Some(name) = resolver.check(&name_at, RangePattern::parse(&host.name)) else {
        return Vec::new();
    };
    match (name.count, address.as_ref().map(|address| address.count)) {
        (None, Some(Some(_))) => resolver.report(
            Fault::error(&address_at, "a range of addresses for one name")
                .also(&name_at, "this has no range")
                .help("write the name with a range of the same length"),
        ),
        (Some(_), Some(None)) => resolver.report(
            Fault::error(&address_at, "one address for a range of names")
                .also(&name_at, "this stands for several hosts")
                .help("write the address with a range of the same length"),
        ),
        (Some(names), Some(Some(addresses))) if names != addresses => resolver.report(
            Fault::error(&address_at, "as many addresses as names are needed")
                .label(format!("{addresses} addresses"))
                .also(&name_at, format!("{names} names")),
        ),
        _ => {}
    }
    let hosts: Vec<(String, String)> = (0..name.count.unwrap_or(1))
        .map(|index| {
            let name = name.expand_at(index);
            let address = address.as_ref().map(|address| address.expand_at(index));
            let address = address.unwrap_or_else(|| name.clone());
            (name, address)
        })
        .collect();
    let name_faults = hosts.iter().map(|(name, _)| check_host_name(name));
    resolver.check(&name_at, first_problem(name_faults));
    if host.address.is_some() {
        let address_faults = hosts.iter().map(|(_, address)| check_ssh_address(address));
        resolver.check(&address_at, first_problem(address_faults));
    }
    hosts
}

/// One complaint is enough for all hosts of a range.
fn first_problem(mut checked: impl Iterator<Item = Result<(), Problem>>) -> Result<(), Problem> {
    checked.find(Result::is_err).unwrap_or(Ok(()))
}

/// [`RangePattern::parse`], but IPv6 in brackets is told from a range.
fn parse_address_range(address: &str) -> Result<RangePattern, String> {
    if let Some(inner) = address.strip_prefix('[')
        && let Some((inner, _)) = inner.split_once(']')
        && inner.parse::<IpAddr>().is_ok()
    {
        return Err(format!(
            "has brackets: write `{inner}`, and the port in `ssh.port`"
        ));
    }
    RangePattern::parse(address)
}

/// A host's name becomes its node's, and the value of a label.
pub(super) fn check_host_name(name: &str) -> Result<(), String> {
    const MAX: usize = 63;
    syntax::check_dns_subdomain(name)?;
    match name.len() {
        0..=MAX => Ok(()),
        length => Err(format!(
            "has {length} characters, {MAX} at most are allowed"
        )),
    }
}

fn check_ssh_address(address: &str) -> Result<(), String> {
    if let Some((_, host)) = address.rsplit_once('@') {
        return Err(format!(
            "names a user: write `{}`, and the user in `ssh.user`",
            shorten(host)
        ));
    }
    if let Some((host, port)) = address.rsplit_once(':')
        && !host.contains(':')
        && port.parse::<u16>().is_ok()
    {
        return Err(format!(
            "has a port: write `{}`, and the port in `ssh.port`",
            shorten(host)
        ));
    }
    if let Some((host, _)) = address.split_once('/') {
        return Err(format!("has a prefix length: write `{}`", shorten(host)));
    }
    syntax::check_host_name_or_ip(address)
}
