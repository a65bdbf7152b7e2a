//! The way to the API servers, as static pods: haproxy on workers, or kube-vip
//! on control planes.

use serde_json::json;
use sha2::{Digest, Sha256};

use super::context::NodeContext;
use super::node::directory;
use super::static_pods::MANIFESTS_DIR;
use super::{KubernetesError, endpoint, tree, yaml};
use crate::host::{FileResource, Resource, Withdrawn};
use crate::inventory::{Cluster, Host, LoadBalancer};

/// Where haproxy's configuration is.
pub const HAPROXY_DIR: &str = "/etc/kubernetes/haproxy";

const HAPROXY_CONFIG: &str = "/etc/kubernetes/haproxy/haproxy.cfg";
const HAPROXY_POD: &str = "/etc/kubernetes/manifests/haproxy.yaml";
const KUBE_VIP_POD: &str = "/etc/kubernetes/manifests/kube-vip.yaml";

/// What a host that is no control plane gets.
pub(crate) fn on_worker(ctx: &NodeContext<'_>) -> Result<Vec<Resource>, KubernetesError> {
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
        "healthPort": LoadBalancer::HEALTH_PORT,
        "configDir": HAPROXY_DIR,
        "upstreams": upstreams,
    });
    tree::set(&mut view, "loadBalancer", balancer);
    let config = ctx.templates.render("haproxy/haproxy.cfg.j2", &view)?;
    // The kubelet restarts a static pod whose manifest changes, and no other:
    // so the manifest has to change with the configuration.
    let digest = Sha256::digest(config.as_bytes());
    let hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    tree::set(&mut view["loadBalancer"], "configHash", hash);
    let mut pod = ctx
        .templates
        .render_yaml("manifests/haproxy.yaml.j2", &view)?;
    ctx.patches.apply("haproxy", &mut pod)?;
    let manifest = FileResource::text(HAPROXY_POD, yaml::to_string(&pod)?).mode(0o600);
    Ok(vec![
        directory(HAPROXY_DIR, 0o755),
        directory(MANIFESTS_DIR, 0o700),
        // haproxy reads it without being root.
        Resource::File(FileResource::text(HAPROXY_CONFIG, config)),
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
pub(crate) fn on_control_plane(ctx: &NodeContext<'_>) -> Result<Vec<Resource>, KubernetesError> {
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
    tree::set(&mut view, "loadBalancer", balancer);
    let mut pod = ctx
        .templates
        .render_yaml("manifests/kube-vip.yaml.j2", &view)?;
    ctx.patches.apply("kube-vip", &mut pod)?;
    let manifest = FileResource::text(KUBE_VIP_POD, yaml::to_string(&pod)?).mode(0o600);
    Ok(vec![
        directory(MANIFESTS_DIR, 0o700),
        Resource::File(manifest),
    ])
}

/// What a host may have of ours that this cluster no longer asks for.
pub fn withdrawn(cluster: &Cluster, host: &Host) -> Vec<Resource> {
    let control_plane = host.is_control_plane();
    let haproxy = cluster.load_balancer.is_local() && !control_plane;
    let kube_vip = matches!(cluster.load_balancer, LoadBalancer::KubeVip { .. }) && control_plane;
    let unwanted = [
        (haproxy, HAPROXY_POD),
        (haproxy, HAPROXY_CONFIG),
        (kube_vip, KUBE_VIP_POD),
    ];
    unwanted
        .into_iter()
        .filter(|(wanted, _)| !wanted)
        .map(|(_, path)| Resource::Withdrawn(Withdrawn { path: path.into() }))
        .collect()
}
