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
                .also(&name_at, "this is not a range")
                .help("use a range of the same length in the name"),
        ),
        (Some(_), Some(None)) => resolver.report(
            Fault::error(&address_at, "one address for a range of names")
                .also(&name_at, "this is a range")
                .help("use a range of the same length in the address"),
        ),
        (Some(names), Some(Some(addresses))) if names != addresses => resolver.report(
            Fault::error(
                &address_at,
                "the ranges of name and address have different lengths",
            )
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
    // What a range expands to is checked, not the pattern: only `w[08:10]` as a whole
    // shows that a name gets too long or starts with a dash.
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
            "must not have brackets: write `{inner}`, and put the port in `ssh.port`"
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
        length => Err(format!("is too long: {length} characters (at most {MAX})")),
    }
}

fn check_ssh_address(address: &str) -> Result<(), String> {
    if let Some((_, host)) = address.rsplit_once('@') {
        return Err(format!(
            "must not have a user: write `{}`, and put the user in `ssh.user`",
            shorten(host)
        ));
    }
    if let Some((host, port)) = address.rsplit_once(':')
        && !host.contains(':')
        && port.parse::<u16>().is_ok()
    {
        return Err(format!(
            "must not have a port: write `{}`, and put the port in `ssh.port`",
            shorten(host)
        ));
    }
    if let Some((host, _)) = address.split_once('/') {
        return Err(format!(
            "must not have a prefix length: write `{}`",
            shorten(host)
        ));
    }
    syntax::check_host_name_or_ip(address)
}
