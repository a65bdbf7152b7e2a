//! The way to the API servers, as static pods: haproxy on workers, or kube-vip
//! on control planes.

use serde_json::json;
use sha2::{Digest, Sha256};

use super::context::NodeContext;
use super::error::KubernetesError;
use super::resources::directory;
use super::{endpoint, tree, yaml};
use crate::host::{FileResource, Resource, Withdrawn};
use crate::inventory::{Cluster, Host, LoadBalancer};
use crate::layout::{components, paths, ports};

/// What a worker gets.
pub(crate) fn worker_resources(ctx: &NodeContext<'_>) -> Result<Vec<Resource>, KubernetesError> {
    if !ctx.cluster.load_balancer.is_local() {
        return Ok(Vec::new());
    }
    let upstreams: Vec<_> = ctx
        .endpoints
        .control_planes
        .iter()
        .map(|(name, endpoint)| json!({"name": name, "endpoint": endpoint.to_string()}))
        .collect();
    let mut view = ctx.view()?;
    let balancer = json!({
        "bindAddress": endpoint::LOOPBACK,
        "healthPort": ports::HAPROXY_HEALTH,
        "configDir": paths::HAPROXY_DIR,
        "upstreams": upstreams,
    });
    tree::set_field(&mut view, "loadBalancer", balancer);
    let config = ctx.templates.render("haproxy/haproxy.cfg.j2", &view)?;
    // The kubelet restarts a static pod whose manifest changes, and no other:
    // so the manifest has to change with the configuration.
    let hash = text::hex::encode(Sha256::digest(config.as_bytes()));
    tree::set_field(&mut view["loadBalancer"], "configHash", hash);
    let mut pod = ctx
        .templates
        .render_yaml("manifests/haproxy.yaml.j2", &view)?;
    ctx.patches.apply(components::HAPROXY, &mut pod)?;
    let manifest = FileResource::text(paths::manifest(components::HAPROXY), yaml::to_string(&pod)?)
        .mode(0o600);
    Ok(vec![
        directory(paths::HAPROXY_DIR, 0o755),
        directory(paths::MANIFESTS_DIR, 0o700),
        // haproxy reads it without being root.
        Resource::File(FileResource::text(paths::HAPROXY_CONFIG, config)),
        Resource::File(manifest),
    ])
}

/// What a control plane gets.
///
/// kube-vip reads admin.conf, where others give the first control plane
/// super-admin.conf, because until `kubeadm:cluster-admins` is bound the admin
/// may not touch the lease. It needs none of that here: the binding is made
/// through SSH to an API server itself, never under kube-vip's address, and
/// kube-vip asks for the lease every second or two until it gets it. So the binding
/// doesn't wait for the address, and only the workers do, who try again.
pub(crate) fn control_plane_resources(
    ctx: &NodeContext<'_>,
) -> Result<Vec<Resource>, KubernetesError> {
    let LoadBalancer::KubeVip { interface, .. } = &ctx.cluster.load_balancer else {
        return Ok(Vec::new());
    };
    let interface = match interface {
        Some(interface) => interface.clone(),
        None => endpoint::interface_of(ctx.host, ctx.facts, ctx.advertise_address()?)?,
    };
    let address = &ctx.endpoints.outside.host;
    let mut view = ctx.view()?;
    let balancer = json!({
        "address": address,
        // A single address: whoever asks for its neighbours asks the others.
        "prefix": if address.contains(':') { "128" } else { "32" },
        "interface": interface,
    });
    tree::set_field(&mut view, "loadBalancer", balancer);
    let mut pod = ctx
        .templates
        .render_yaml("manifests/kube-vip.yaml.j2", &view)?;
    ctx.patches.apply(components::KUBE_VIP, &mut pod)?;
    let manifest = FileResource::text(
        paths::manifest(components::KUBE_VIP),
        yaml::to_string(&pod)?,
    )
    .mode(0o600);
    Ok(vec![
        directory(paths::MANIFESTS_DIR, 0o700),
        Resource::File(manifest),
    ])
}

/// What a host may have of ours that this cluster no longer asks for.
pub fn withdrawn_resources(cluster: &Cluster, host: &Host) -> Vec<Resource> {
    let control_plane = host.is_control_plane();
    let haproxy = cluster.load_balancer.is_local() && !control_plane;
    let kube_vip = matches!(cluster.load_balancer, LoadBalancer::KubeVip { .. }) && control_plane;
    let unwanted = [
        (haproxy, paths::manifest(components::HAPROXY)),
        (haproxy, paths::HAPROXY_CONFIG.to_owned()),
        (kube_vip, paths::manifest(components::KUBE_VIP)),
    ];
    unwanted
        .into_iter()
        .filter(|(wanted, _)| !wanted)
        .map(|(_, path)| Resource::Withdrawn(Withdrawn { path }))
        .collect()
}
