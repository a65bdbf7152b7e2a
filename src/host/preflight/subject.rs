//! What is checked.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::host::facts::Gathered;
use crate::host::owner::Owner;
use crate::inventory::Host;

/// One host, as preflight sees it.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The host as it should be.
    pub host: &'a Host,
    /// What it told.
    pub gathered: &'a Gathered,
    /// Whether it is part of this very cluster already (see [`belongs_to_cluster`]): then
    /// its own files and ports are no obstacle.
    pub owned: bool,
}

impl Subject<'_> {
    /// The address that its node has, as far as it is known.
    pub fn advertised(&self) -> Option<IpAddr> {
        self.gathered.facts.advertised(self.host)
    }

    /// The interface that carries it, else that of the default route.
    pub(super) fn interface(&self) -> Option<&str> {
        let facts = &self.gathered.facts;
        let address = self.advertised();
        let mut addresses = facts.addresses.iter();
        let carrier = addresses.find(|own| Some(own.address) == address);
        let carrier = carrier.map(|own| own.interface.as_str());
        let default = Some(facts.default_interface.as_str());
        carrier.or(default.filter(|name| !name.is_empty()))
    }
}

/// Whether a host is part of this very cluster: its receipt says so, or its
/// kubelet trusts our CA. `ca` is the CA certificate as PEM.
pub fn belongs_to_cluster(owner: &Owner, gathered: &Gathered, ca: Option<&[u8]>) -> bool {
    let ours = ca.map(|pem| STANDARD.encode(pem));
    match &gathered.receipt_owner {
        Some(theirs) => theirs.agrees_with(owner),
        None => ours.is_some() && gathered.kubelet_ca == ours,
    }
}
