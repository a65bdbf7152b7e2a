//! etcd on control planes: its members, its URLs, and where the files for an
//! external one go.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::context::{ControlPlane, EtcdMember, NodeContext};
use super::error::KubernetesError;
use super::{endpoint, images, versions};
use crate::inventory::listen::last_value;
use crate::inventory::{Cluster, Etcd};
use crate::layout::ports;

/// The members that `--initial-cluster` of an etcd manifest lists; `None` if it
/// is not such a list. Rendering the manifest with these members leaves it
/// unchanged.
pub fn parse_members(initial_cluster: &str) -> Option<Vec<EtcdMember>> {
    let members = initial_cluster.split(',').map(|member| {
        let (name, peer_url) = member.split_once('=')?;
        Some(EtcdMember {
            name: name.into(),
            peer_url: peer_url.into(),
        })
    });
    members.collect()
}

/// The URL under which a member's peers reach it.
pub fn peer_url(address: IpAddr) -> String {
    build_url("https", address, ports::ETCD_PEER)
}

/// The URL under which clients reach a member.
pub(crate) fn client_url(address: IpAddr) -> String {
    build_url("https", address, ports::ETCD_CLIENT)
}

fn build_url(scheme: &str, address: IpAddr, port: u16) -> String {
    format!("{scheme}://{}:{port}", endpoint::bracketed(address))
}

/// Where the operator's files for an external etcd are on a control plane:
/// inside certificatesDir, so that no further volume is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalPaths {
    /// The CA's certificate.
    pub ca_file: Option<String>,
    /// The API server's client certificate.
    pub cert_file: Option<String>,
    /// Its key.
    pub key_file: Option<String>,
}

/// The paths on control planes for an external etcd's files; `None` if etcd is
/// ours.
pub fn external_paths(cluster: &Cluster) -> Option<ExternalPaths> {
    let Etcd::External(etcd) = &cluster.etcd else {
        return None;
    };
    let dir = &cluster.certificates_dir;
    let client = etcd.cert_file.is_some() && etcd.key_file.is_some();
    Some(ExternalPaths {
        ca_file: etcd.ca_file.as_ref().map(|_| format!("{dir}/etcd/ca.crt")),
        cert_file: client.then(|| format!("{dir}/apiserver-etcd-client.crt")),
        key_file: client.then(|| format!("{dir}/apiserver-etcd-client.key")),
    })
}

/// What templates of static pods see of etcd.
pub(crate) fn template_values(
    ctx: &NodeContext<'_>,
    control_plane: &ControlPlane<'_>,
) -> Result<Value, KubernetesError> {
    let cluster = ctx.cluster;
    let address = ctx.advertise_address()?;
    let etcd = match &cluster.etcd {
        Etcd::Local(etcd) => etcd,
        Etcd::External(etcd) => {
            let paths = external_paths(cluster);
            return Ok(json!({
                "servers": etcd.endpoints.join(","),
                "caFile": paths.as_ref().and_then(|paths| paths.ca_file.clone()),
                "certFile": paths.as_ref().and_then(|paths| paths.cert_file.clone()),
                "keyFile": paths.as_ref().and_then(|paths| paths.key_file.clone()),
            }));
        }
    };
    let dir = &cluster.certificates_dir;
    let loopback: IpAddr = match address {
        IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    let own = EtcdMember {
        name: ctx.host.node_name.clone(),
        peer_url: peer_url(address),
    };
    let members = match control_plane.etcd_members {
        [] => std::slice::from_ref(&own),
        members => members,
    };
    let members: Vec<String> = members
        .iter()
        .map(|member| format!("{}={}", member.name, member.peer_url))
        .collect();
    Ok(json!({
        "servers": last_value(&etcd.extra_args, "advertise-client-urls")
            .map_or_else(|| client_url(loopback), str::to_owned),
        "caFile": format!("{dir}/etcd/ca.crt"),
        "certFile": format!("{dir}/apiserver-etcd-client.crt"),
        "keyFile": format!("{dir}/apiserver-etcd-client.key"),
        "clientURL": client_url(address),
        "peerURL": peer_url(address),
        "loopbackURL": client_url(loopback),
        "metricsURL": build_url("http", loopback, ports::ETCD_METRICS),
        "dataDir": etcd.data_dir,
        "initialCluster": members.join(","),
        "initialClusterState": control_plane.etcd_joins.then_some("existing"),
        "isAtLeast36": versions::etcd_is_3_6(images::etcd_tag(cluster), cluster.version),
    }))
}
