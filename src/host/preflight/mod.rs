//! Preflight: what would keep a host from becoming a node.
//!
//! kubeadm's checks under kubeadm's names (v1.36), as far as they apply to
//! hosts that are prepared from outside, and some that kubeadm lacks. What
//! `apply` brings or sets by itself is no fault of a host: such a check says
//! what will be done, as [`Severity::Info`].

mod addresses;
mod beside;
mod clocks;
mod commands;
mod disk_space;
mod duplicates;
mod external_etcd;
mod finding;
mod forwarding;
mod kernel_settings;
mod list;
mod machine;
mod mtu;
mod names;
mod networks;
mod one_network;
mod package_state;
mod places;
mod ports;
mod proxies;
mod proxy;
mod proxy_credentials;
mod reach;
mod remains;
mod report;
mod runtime;
mod subject;
mod swap;
mod system_verification;
#[cfg(test)]
mod tests;
mod virtual_address;
mod way_out;

pub use clocks::{MAX_CLOCK_OFFSET, describe_clock};
pub use external_etcd::check_external_etcd;
pub use finding::{Finding, Severity, group_findings};
pub use forwarding::check_forwarding;
pub use list::check_hosts;
pub use reach::{
    Connection, Probe, check_reachability, parse_reachability, reachability, required_connections,
};
pub use subject::{Subject, belongs_to_cluster};
pub use virtual_address::{check_virtual_address, virtual_address};
pub use way_out::{
    Registry, Way, ask_registries, check_registries, mirrors_of, parse_registries, registries,
};
