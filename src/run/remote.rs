//! What a run can ask of a host, and do to it: typed operations, without a script or a socket.
//!
//! This is the seam between deciding and reaching. Everything above it (planning, the order of
//! an apply, removal, `status`) speaks to [`RemoteHost`] alone; `cluster::ssh_host` implements it
//! over an SSH session, and tests with hosts that remember what was done to them.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::Timestamp;

use super::error::Error;
use super::events::Events;
use crate::host::preflight::{Connection, Probe, Registry, Way};
use crate::host::{
    Cleaned, Crashes, Fetched, FoundTurn, Gathered, HostPlan, Observed, Receipt, Reset, Resource,
    Turn, Vitals,
};
use crate::inventory::{Cluster, Host};
use crate::kubernetes::api::{ApiError, EtcdClient, Health, Identity, Stream};
use crate::kubernetes::health::HealthEndpoint;

/// What comes back from a host.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// A connected host. Cheap to clone; the connection closes with the last clone.
pub type Remote = Arc<dyn RemoteHost>;

/// Connects to hosts.
pub trait ConnectHosts: Debug + Send + Sync {
    /// Opens the one connection to `host`. Warnings about its SSH settings go to
    /// `events`.
    fn connect<'a>(&'a self, host: &'a Host, events: &'a Events) -> Answer<'a, Remote>;
}

/// Whose a host is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ownership {
    /// What we did to it; `None` if nothing.
    pub receipt: Option<Receipt>,
    /// Whether a kubelet has joined a cluster there, by whatever means.
    pub joined: bool,
    /// Which run changed it last.
    pub turn: Option<FoundTurn>,
}

/// How far a host is with its changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Converging {
    /// The change at this position of the plan began.
    Change(usize),
    /// So many bytes of the stream have been sent, of so many.
    Sent(u64, u64),
    /// Something is wrong, and stops nothing.
    Warned(String),
}

/// An open stream to a server, and the certificate (DER) that it showed.
pub type Server = (Box<dyn Stream>, Vec<u8>);

/// One connected host.
///
/// Every operation has its own time limit. Those that return clients don't connect yet.
pub trait RemoteHost: Debug + Send + Sync {
    /// Whether the connection is gone.
    fn is_closed(&self) -> bool;

    /// Gathers its facts. One command, changes nothing.
    fn gather<'a>(&'a self, cluster: &'a Cluster, host: &'a Host) -> Answer<'a, Gathered>;

    /// Those of `targets` to which the host's sshd lets no connection through. Opens channels
    /// of the session, and runs no command. That nothing listens somewhere is no refusal.
    fn find_forbidden<'a>(
        &'a self,
        targets: &'a [(String, u16)],
    ) -> BoxFuture<'a, Vec<(String, u16)>>;

    /// Tries to reach registries as containerd would, by their names. One command, changes
    /// nothing.
    fn try_registries<'a>(
        &'a self,
        registries: &'a [Registry],
    ) -> Answer<'a, BTreeMap<String, Way>>;

    /// Reads the state of `resources`. One command, changes nothing.
    fn observe<'a>(&'a self, resources: &'a [Resource]) -> Answer<'a, Observed>;

    /// Reads small files as root, keys among them. One command, changes nothing.
    fn fetch<'a>(&'a self, paths: &'a [String]) -> Answer<'a, Fetched>;

    /// Makes the changes of `plan`: one command, fed by one stream. A host that another run
    /// came to after `turn` refuses.
    fn converge<'a>(
        &'a self,
        plan: &'a HostPlan,
        turn: Option<&'a Turn>,
        on_progress: &'a mut (dyn FnMut(Converging) + Send),
    ) -> Answer<'a, ()>;

    /// Reads the receipt. One command, changes nothing.
    fn read_receipt(&self) -> Answer<'_, Ownership>;

    /// Takes Kubernetes off it: one command. `on_step` hears what it is doing.
    fn reset<'a>(
        &'a self,
        wanted: &'a Reset<'a>,
        on_step: &'a mut (dyn FnMut(String) + Send),
    ) -> Answer<'a, Cleaned>;

    /// Makes it refuse runs before `turn`, if any has ever changed it.
    fn take_turn<'a>(&'a self, turn: &'a Turn) -> Answer<'a, ()>;

    /// Restarts its kubelet, which registers its Node again.
    fn restart_kubelet(&self) -> Answer<'_, ()>;

    /// When its kubelet started, by the host's own clock.
    fn kubelet_started(&self) -> Answer<'_, Timestamp>;

    /// Whether its kubelet's unit is active, and stays so for two seconds: a kubelet that can't
    /// run is active for an instant each time that systemd restarts it.
    fn ask_kubelet_unit(&self) -> Answer<'_, Health>;

    /// Puts back what the last change replaced, and restarts what reads it: one command.
    /// `false` if nothing had been replaced.
    fn put_back<'a>(&'a self, turn: Option<&'a Turn>) -> Answer<'a, bool>;

    /// Forgets what the last change replaced, because that works: one command.
    fn forget_previous<'a>(&'a self, turn: Option<&'a Turn>) -> Answer<'a, ()>;

    /// How often its components have ended, and what the kubelet said since `since`, by the
    /// host's clock. One command, changes nothing.
    fn look_for_crashes(&self, since: Option<i64>) -> Answer<'_, Crashes>;

    /// What the logs of these components say: raw text.
    fn collect_evidence<'a>(&'a self, components: &'a [&'a str]) -> Answer<'a, String>;

    /// Tries to connect from it to other hosts. Empty if it has nothing to try it with.
    fn try_connections<'a>(
        &'a self,
        connections: &'a [Connection],
    ) -> Answer<'a, BTreeMap<(IpAddr, u16), Probe>>;

    /// Waits until it doesn't have `address` any more.
    fn wait_until_address_gone(&self, address: IpAddr) -> Answer<'_, ()>;

    /// How Kubernetes fares on it, for `status`. One command, changes nothing.
    fn read_vitals<'a>(&'a self, cluster: &'a Cluster, host: &'a Host) -> Answer<'a, Vitals>;

    /// Asks a health endpoint of a component on it. The error says why no connection came about.
    fn probe_health<'a>(&'a self, at: &'a HealthEndpoint) -> BoxFuture<'a, io::Result<Health>>;

    /// A client of the API server that it reaches at `address`, trusted by `ca`, as `identity`.
    ///
    /// # Errors
    /// Certificates that don't parse.
    fn api_client(
        &self,
        address: &str,
        port: u16,
        ca: &str,
        identity: &Identity,
    ) -> Result<kube::Client, ApiError>;

    /// A client of the etcd member that it reaches at `address`.
    ///
    /// # Errors
    /// Certificates that don't parse.
    fn etcd_client(
        &self,
        address: &str,
        port: u16,
        ca: &str,
        identity: &Identity,
    ) -> Result<EtcdClient, ApiError>;

    /// A client of an etcd of the operator's at `url`, as the host reaches it. Without a CA its
    /// certificate is not checked: enough to ask for its version.
    ///
    /// # Errors
    /// A URL or certificates that don't parse.
    fn external_etcd_client(
        &self,
        url: &str,
        ca: Option<&str>,
        identity: Option<&Identity>,
    ) -> Result<EtcdClient, ApiError>;

    /// Whether an API server of the cluster with this CA is ready at `address`, asked without
    /// any identity.
    fn api_answers<'a>(
        &'a self,
        address: &'a str,
        port: u16,
        ca: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError>>;

    /// Who serves at `address`.
    fn serving_certificate<'a>(
        &'a self,
        address: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Server>>;
}
