//! Renders everything that `apply` would put on hosts and into the API, without connecting
//! to either.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use pki::Store;
use serde_json::Value;

use super::certificates;
use super::context::Context;
use super::target::Target;
use crate::artifacts;
use crate::artifacts::Set;
use crate::host::{Address, Facts, Resource};
use crate::inventory::{ArtifactSource, Cluster, Host};
use crate::kubernetes::{Endpoints, Patches, Templates, Token, endpoint};
use crate::run::error::Error;
use crate::run::phase::Phase;
use crate::run::state::State;

/// The result of rendering.
pub struct Rendered {
    /// Resources by host, in the inventory's order.
    pub hosts: Vec<(String, Vec<(Phase, Resource)>)>,
    /// API objects, in the order in which they are applied.
    pub objects: Vec<(Phase, Value)>,
}

/// Renders everything. Facts missing from `facts` are assumed: a Debian machine with the
/// inventory's address. Certificates missing from the state directory are generated in
/// memory for this output only.
///
/// # Errors
/// Whatever would stop `apply` before it reaches a host.
pub async fn render(cluster: &Cluster, facts: &BTreeMap<String, Facts>) -> Result<Rendered, Error> {
    let facts: BTreeMap<&str, Facts> = cluster
        .hosts
        .iter()
        .map(|host| {
            let known = facts.get(&host.name).cloned();
            (host.name.as_str(), known.unwrap_or_else(|| assumed(host)))
        })
        .collect();
    let set = artifacts(cluster, facts.values()).await?;
    let control_planes: Vec<(&Host, &Facts)> = cluster
        .control_planes()
        .map(|host| (host, &facts[host.name.as_str()]))
        .collect();
    let Some((first, first_facts)) = control_planes.first().copied() else {
        return Err(Error::Usage {
            message: "a cluster needs at least one control plane".into(),
            hint: None,
        });
    };
    let state = State::peek(cluster.state_dir())?;
    let pki = Store::new(state.dir()).plan(&certificates::request(cluster, &control_planes)?)?;
    let fitted = set.as_ref().map_or_else(
        || cluster.clone(),
        |set| crate::desired::artifacts::fit(cluster, set),
    );
    let context = Context {
        endpoints: Endpoints::from_facts(cluster, |host| facts.get(host.name.as_str()))?,
        first_address: endpoint::advertise_address(first, first_facts)?,
        first_facts: first_facts.clone(),
        pki: Arc::new(pki),
        artifacts: set.map(Arc::new),
        templates: Arc::new(Templates::load(cluster.templates_dir.as_deref())?),
        patches: Arc::new(Patches::load(cluster.patches_dir.as_deref())?),
        token: Token::generate()?,
        exists: false,
        owner: crate::host::Owner::named(&cluster.name),
        etcd: crate::desired::etcd_members::Membership::forming(cluster, &control_planes)?,
        cluster: Arc::new(fitted),
    };
    let mut hosts = Vec::with_capacity(cluster.hosts.len());
    for (index, host) in cluster.hosts.iter().enumerate() {
        let pod_cidrs = pod_cidrs(cluster, index);
        let resources = context.resources(&Target {
            host,
            facts: &facts[host.name.as_str()],
            joined: false,
            pod_cidrs: &pod_cidrs,
        })?;
        hosts.push((host.name.clone(), resources));
    }
    Ok(Rendered {
        hosts,
        objects: context.objects()?,
    })
}

/// Opens the artifacts directory, which determines binaries and images. Rendering downloads
/// nothing, so an online source is ignored.
async fn artifacts(
    cluster: &Cluster,
    facts: impl Iterator<Item = &Facts>,
) -> Result<Option<Set>, Error> {
    let (ArtifactSource::Directory, Some(path)) =
        (cluster.artifacts.source, &cluster.artifacts.path)
    else {
        return Ok(None);
    };
    let architectures = facts.map(|facts| facts.arch.clone()).collect();
    let hashes = crate::desired::artifacts::hashes()?;
    Ok(Some(
        artifacts::open_directory(path, &architectures, &hashes).await?,
    ))
}

/// A Debian machine with the inventory's address.
fn assumed(host: &Host) -> Facts {
    let address = host.advertise_address.or_else(|| host.address.parse().ok());
    Facts {
        hostname: host.node_name.clone(),
        arch: "amd64".into(),
        os_id: "debian".into(),
        os_name: "Debian GNU/Linux".into(),
        cgroup_version: 2,
        default_ip: address,
        default_interface: "eth0".into(),
        addresses: address
            .map(|address| Address {
                interface: "eth0".into(),
                address,
                prefix: 24,
            })
            .into_iter()
            .collect(),
        ca_directories: [
            "/etc/ca-certificates",
            "/usr/local/share/ca-certificates",
            "/usr/share/ca-certificates",
        ]
        .map(str::to_owned)
        .into(),
        containerd_version: Some("2.1.0".into()),
        package_manager: "apt".into(),
        ..Facts::default()
    }
}

/// The pod CIDRs that the controller manager would give to a node if nodes
/// registered in the inventory's order.
fn pod_cidrs(cluster: &Cluster, index: usize) -> Vec<IpNet> {
    let block = |subnet: &IpNet| {
        let length = match subnet.addr() {
            IpAddr::V4(_) => 24,
            IpAddr::V6(_) => 64,
        };
        subnet.subnets(length).ok()?.nth(index)
    };
    cluster
        .networking
        .pod_subnets
        .iter()
        .filter_map(block)
        .collect()
}
