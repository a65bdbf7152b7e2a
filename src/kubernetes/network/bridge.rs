//! The built-in pod network: a bridge per node, and routes between nodes of one
//! L2 network.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value, json};

use super::super::context::NodeContext;
use super::super::error::KubernetesError;
use super::super::resources::directory;
use super::super::{endpoint, tree};
use super::pod_network::PodNetwork;
use crate::host::{FileResource, Resource, SelfCheck, Unit, WithdrawnUnit};
use crate::layout::names::POD_NETWORK_UNIT as UNIT;
use crate::layout::paths::{CNI_CONFIG_DIR, CNI_CONFLIST};
use crate::layout::programs::Programs;

/// Where its file is.
const UNIT_FILE: &str = "/etc/systemd/system/clusterctl-pod-network.service";
/// The script that it runs, in the directory of scripts. Ours.
const SCRIPT: &str = "pod-network.sh";
/// The network's name in that configuration, and so in what CNI plugins keep.
pub(super) const CNI_NAME: &str = "clusterctl";

const CONFLIST_TEMPLATE: &str = "cni/bridge.conflist.j2";
const UNIT_TEMPLATE: &str = "cni/clusterctl-pod-network.service.j2";
const SCRIPT_TEMPLATE: &str = "cni/pod-network.sh.j2";

/// The built-in network.
pub(super) struct Bridge;

impl PodNetwork for Bridge {
    fn resources(&self, ctx: &NodeContext<'_>) -> Result<Vec<Resource>, KubernetesError> {
        let view = unit_view(ctx)?;
        let (unit, script) = (
            ctx.templates.render(UNIT_TEMPLATE, &view)?,
            ctx.templates.render(SCRIPT_TEMPLATE, &view)?,
        );
        let scripts = Programs::of(ctx.facts.uses_opt).scripts;
        let path = script_path(ctx.facts.uses_opt);
        let mut resources = vec![
            directory(scripts, 0o755),
            Resource::File(FileResource::text(path.as_str(), script).notify(UNIT)),
            Resource::File(FileResource::text(UNIT_FILE, unit).notify(UNIT)),
            Resource::SelfCheck(SelfCheck {
                script: path,
                unit: UNIT.into(),
            }),
            Resource::Unit(Unit {
                name: UNIT.into(),
                enabled: true,
                active: true,
            }),
        ];
        if let Some(text) = conflist(ctx)? {
            resources.push(directory(CNI_CONFIG_DIR, 0o755));
            resources.push(Resource::File(FileResource::text(conflist_path(), text)));
        }
        Ok(resources)
    }

    fn needs_pod_cidr(&self) -> bool {
        true
    }
}

/// The text of the bridge's CNI configuration; `None` as long as the node has
/// no pod CIDR.
fn conflist(ctx: &NodeContext<'_>) -> Result<Option<String>, KubernetesError> {
    if ctx.pod_cidrs.is_empty() {
        return Ok(None);
    }
    let mut view = ctx.view()?;
    tree::set_field(&mut view, "cniName", CNI_NAME);
    tree::set_field(&mut view, "podCIDRs", json!(ctx.pod_cidrs));
    let routes: Vec<&str> = ctx
        .pod_cidrs
        .iter()
        .map(|cidr| {
            if cidr.addr().is_ipv4() {
                "0.0.0.0/0"
            } else {
                "::/0"
            }
        })
        .collect();
    tree::set_field(&mut view, "defaultRoutes", json!(routes));
    let mtu = ctx.facts.mtu_of(ctx.advertise_address()?);
    tree::set_field(&mut view, "mtu", mtu);
    let text = ctx.templates.render(CONFLIST_TEMPLATE, &view)?;
    serde_json::from_str::<Value>(&text).map_err(|error| {
        ctx.templates
            .unexpected(CONFLIST_TEMPLATE, "valid JSON", error.to_string())
    })?;
    Ok(Some(text))
}

/// Its files on a node.
pub(super) fn files() -> Vec<String> {
    let scripts = [false, true].map(script_path);
    [conflist_path(), UNIT_FILE.to_owned()]
        .into_iter()
        .chain(scripts)
        .collect()
}

/// Its unit, for hosts where it has to stop. That takes routes and rules away, too.
pub(super) fn withdrawn_unit() -> Resource {
    Resource::WithdrawnUnit(WithdrawnUnit {
        name: UNIT.into(),
        file: UNIT_FILE.into(),
    })
}

fn script_path(uses_opt: bool) -> String {
    format!("{}/{SCRIPT}", Programs::of(uses_opt).scripts)
}

fn conflist_path() -> String {
    format!("{CNI_CONFIG_DIR}/{CNI_CONFLIST}")
}

/// What the unit and its script are rendered from.
fn unit_view(ctx: &NodeContext<'_>) -> Result<Value, KubernetesError> {
    let subnet = ctx
        .cluster
        .networking
        .pod_subnets
        .iter()
        .find(|subnet| matches!(subnet, IpNet::V4(_)))
        .ok_or(KubernetesError::BridgeNeedsIpv4)?;
    let address = ctx.advertise_address()?;
    let IpAddr::V4(_) = address else {
        return Err(KubernetesError::BridgeNeedsIpv4);
    };
    let mut view = ctx.view()?;
    tree::set_field(&mut view, "podSubnet", subnet.trunc().to_string());
    tree::set_field(&mut view, "address", address.to_string());
    let interface = endpoint::interface_of(ctx.host, ctx.facts, address)?;
    tree::set_field(&mut view, "interface", interface);
    tree::set_field(&mut view, "script", script_path(ctx.facts.uses_opt));
    tree::set_field(&mut view, "conflist", conflist_path());
    Ok(view)
}
