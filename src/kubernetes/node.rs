//! Everything that makes a host a node, as resources.

use zeroize::Zeroizing;

use super::component::Component;
use super::context::{ControlPlane, NodeContext};
use super::error::KubernetesError;
use super::group::ResourceGroup;
use super::kubeconfig::{self, Credentials, Kubeconfig};
use super::network::pod_network;
use super::resources::{directory, secret_file};
use super::{containerd, kubelet, load_balancer, runtime_proxy, static_pods, yaml};
use crate::host::{Absent, Directory, FileResource, Resource, SeedLink, Unit};
use crate::inventory::Etcd;
use crate::layout::programs::Programs;
use crate::layout::{components, names, paths};

/// What a node needs, in the order of its groups. PKI files, packages,
/// binaries, modules and sysctls come from elsewhere; the one exception is a
/// worker's copy of the CA certificate, which kubeadm's kubelet-start writes.
pub fn node_resources(
    ctx: &NodeContext<'_>,
) -> Result<Vec<(ResourceGroup, Resource)>, KubernetesError> {
    let mut resources: Vec<(ResourceGroup, Resource)> = Vec::new();
    let mut add = |group, list: Vec<Resource>| {
        for resource in list {
            if !has_directory(&resources, group, &resource) {
                resources.push((group, resource));
            }
        }
    };
    add(
        ResourceGroup::ContainerRuntime,
        containerd::runtime_resources(ctx)?,
    );
    add(
        ResourceGroup::ContainerRuntime,
        runtime_proxy::runtime_proxy(ctx),
    );
    add(ResourceGroup::KubeletUnit, kubelet_unit(ctx)?);
    if let Some(control_plane) = &ctx.control_plane {
        add(
            ResourceGroup::Kubeconfig,
            kubeconfig_resources(ctx, control_plane)?,
        );
        for component in Component::all(ctx.cluster) {
            let group = match component {
                Component::Etcd => ResourceGroup::Etcd,
                Component::ApiServer | Component::ControllerManager | Component::Scheduler => {
                    ResourceGroup::ControlPlane
                }
            };
            add(group, static_pod(*component, ctx, control_plane)?);
        }
    }
    match ctx.control_plane {
        Some(_) => add(
            ResourceGroup::ControlPlane,
            load_balancer::control_plane_resources(ctx)?,
        ),
        None => add(
            ResourceGroup::LoadBalancer,
            load_balancer::worker_resources(ctx)?,
        ),
    }
    add(ResourceGroup::KubeletStart, kubelet_start(ctx)?);
    let network = pod_network(ctx.cluster);
    add(ResourceGroup::PodNetwork, network.resources(ctx)?);
    Ok(resources)
}

/// The files that components are started with, as far as they render: whatever does not is
/// reported by [`node_resources`].
pub(crate) fn component_files(ctx: &NodeContext<'_>) -> Vec<FileResource> {
    let mut resources = containerd::runtime_resources(ctx).unwrap_or_default();
    if let Some(control_plane) = &ctx.control_plane {
        resources.extend(kubeconfig_resources(ctx, control_plane).unwrap_or_default());
        for component in Component::all(ctx.cluster) {
            resources.extend(static_pod(*component, ctx, control_plane).unwrap_or_default());
        }
    }
    resources.extend(kubelet_start(ctx).unwrap_or_default());
    let files = resources.into_iter().filter_map(|resource| match resource {
        Resource::File(file) => Some(file),
        _ => None,
    });
    files.collect()
}

fn kubeconfig_resources(
    ctx: &NodeContext<'_>,
    control_plane: &ControlPlane<'_>,
) -> Result<Vec<Resource>, KubernetesError> {
    let own = ctx.local_api_endpoint()?;
    let admin = ctx.endpoints.admin_endpoint(ctx.cluster, &own).url();
    let local = own.url();
    let certified = |path: &str, user: &str, server: &str, pair| {
        let text = render_kubeconfig(ctx, user, server, Credentials::Certificate(pair));
        let file = secret_file(path, &text);
        // These two read theirs once, when they start.
        Resource::File(match path {
            paths::CONTROLLER_MANAGER_CONF => file.restarts(&[components::CONTROLLER_MANAGER]),
            paths::SCHEDULER_CONF => file.restarts(&[components::SCHEDULER]),
            _ => file,
        })
    };

    let mut resources: Vec<Resource> = vec![
        directory(paths::KUBERNETES_DIR, 0o755),
        certified(
            paths::ADMIN_CONF,
            "kubernetes-admin",
            &admin,
            control_plane.admin,
        ),
    ];
    if let Some(pair) = control_plane.super_admin {
        resources.push(certified(
            paths::SUPER_ADMIN_CONF,
            "kubernetes-super-admin",
            &admin,
            pair,
        ));
    }
    resources.push(certified(
        paths::CONTROLLER_MANAGER_CONF,
        "system:kube-controller-manager",
        &local,
        control_plane.controller_manager,
    ));
    resources.push(certified(
        paths::SCHEDULER_CONF,
        "system:kube-scheduler",
        &local,
        control_plane.scheduler,
    ));
    resources.extend(kubelet_identity(ctx, &local, control_plane));
    Ok(resources)
}

/// The identity of a control plane's kubelet, as kubeadm's kubelet-finalize leaves
/// it: kubelet.conf points at the file that the kubelet replaces by itself. The
/// first such file is ours, under a name of the kubelet's own making. It is written and
/// linked again if the kubelet has let its certificate end.
fn kubelet_identity(
    ctx: &NodeContext<'_>,
    server: &str,
    control_plane: &ControlPlane<'_>,
) -> Vec<Resource> {
    let (pair, ended) = (&control_plane.kubelet, control_plane.kubelet_ended);
    let pki = kubelet::certificate_directory(&ctx.host.kubelet_extra_args);
    let current = kubelet::client_certificate(pki);
    let first = format!("{pki}/kubelet-client-bootstrap.pem");
    let user = format!("system:node:{}", ctx.host.node_name);
    let text = render_kubeconfig(ctx, &user, server, Credentials::File(&current));
    let kubelet_conf = FileResource::text(paths::KUBELET_CONF, text.as_str());
    let kubelet_conf = kubelet_conf.mode(0o600).notify(names::KUBELET_UNIT);
    let pem = Zeroizing::new([pair.cert.trim_end(), "\n", pair.key.trim_end(), "\n"].concat());
    let first_file = secret_file(first.clone(), &pem);
    let first_file = match ended {
        true => first_file.notify(names::KUBELET_UNIT),
        false => first_file.seed(),
    };
    vec![
        Resource::File(kubelet_conf),
        directory(paths::KUBELET_DIR, 0o700),
        directory(pki, 0o755),
        Resource::File(first_file),
        Resource::SeedLink(SeedLink {
            path: current,
            target: first,
            replace: ended,
        }),
    ]
}

fn render_kubeconfig(
    ctx: &NodeContext<'_>,
    user: &str,
    server: &str,
    credentials: Credentials<'_>,
) -> Zeroizing<String> {
    Kubeconfig {
        cluster: &ctx.cluster.cluster_name,
        server,
        ca: ctx.ca,
        user,
        credentials,
    }
    .render()
}

fn static_pod(
    component: Component,
    ctx: &NodeContext<'_>,
    control_plane: &ControlPlane<'_>,
) -> Result<Vec<Resource>, KubernetesError> {
    let pod = static_pods::render_pod(component, ctx, control_plane)?;
    let path = paths::manifest(component.name());
    let manifest = FileResource::text(path, yaml::to_string(&pod)?).mode(0o600);
    let mut resources = Vec::new();
    if let (Component::Etcd, Etcd::Local(etcd)) = (component, &ctx.cluster.etcd) {
        resources.push(directory(&etcd.data_dir, 0o700));
    }
    resources.push(directory(paths::MANIFESTS_DIR, 0o700));
    resources.push(Resource::File(manifest));
    Ok(resources)
}

fn kubelet_unit(ctx: &NodeContext<'_>) -> Result<Vec<Resource>, KubernetesError> {
    let (unit, drop_in) = kubelet::render_units(ctx)?;
    let places = Programs::of(ctx.facts.uses_opt);
    Ok(vec![
        directory(places.kubelet_drop_ins, 0o755),
        kubelet_file(places.kubelet_unit, unit),
        kubelet_file(places.kubelet_drop_in, drop_in),
        // Before it has a configuration, it only fails; so it does once its certificate has ended.
        Resource::Unit(Unit {
            name: names::KUBELET_UNIT.into(),
            enabled: true,
            active: ctx.facts.joined && ctx.bootstrap_token.is_none(),
        }),
    ])
}

fn kubelet_file(path: &str, text: String) -> Resource {
    Resource::File(FileResource::text(path, text).notify(names::KUBELET_UNIT))
}

fn kubelet_start(ctx: &NodeContext<'_>) -> Result<Vec<Resource>, KubernetesError> {
    let mut resources = vec![
        directory(paths::KUBERNETES_DIR, 0o755),
        directory(paths::KUBELET_DIR, 0o700),
        // The kubelet complains every 20 s about a staticPodPath that isn't.
        directory(paths::MANIFESTS_DIR, 0o700),
        kubelet_file(
            paths::KUBELET_CONFIG,
            yaml::to_string(&kubelet::node_config(ctx)?)?,
        ),
        kubelet_file(paths::KUBELET_FLAGS, kubelet::flags_file(ctx)?),
    ];
    if let Some(config) = kubelet::instance_config(ctx) {
        resources.push(kubelet_file(paths::KUBELET_INSTANCE_CONFIG, config));
    }
    if ctx.control_plane.is_none() {
        let pki = ctx.cluster.certificates_dir.as_str();
        resources.push(directory(pki, 0o755));
        // The kubelet reloads it by itself.
        let ca = FileResource::text(format!("{pki}/ca.crt"), ctx.ca);
        resources.push(Resource::File(ca));
        resources.push(bootstrap_kubeconfig(ctx));
        resources.extend(moved_kubeconfig(ctx));
    }
    // A worker's kubelet that has neither token nor certificate only fails.
    let able = ctx.control_plane.is_some() || ctx.bootstrap_token.is_some() || ctx.facts.joined;
    resources.push(Resource::Unit(Unit {
        name: names::KUBELET_UNIT.into(),
        enabled: true,
        active: able,
    }));
    Ok(resources)
}

/// What the kubelet asks for its certificate with; gone once it has it.
fn bootstrap_kubeconfig(ctx: &NodeContext<'_>) -> Resource {
    let path = paths::BOOTSTRAP_KUBELET_CONF.to_owned();
    let Some(token) = ctx.bootstrap_token else {
        return Resource::Absent(Absent {
            path,
            notify: Vec::new(),
        });
    };
    let text = Kubeconfig {
        cluster: &ctx.cluster.cluster_name,
        server: &ctx.endpoints.nodes.url(),
        ca: ctx.ca,
        user: "tls-bootstrap-token-user",
        credentials: Credentials::Token(token),
    }
    .render();
    Resource::File(secret_file(path, &text).notify(names::KUBELET_UNIT))
}

/// The kubeconfig of a worker that has joined and goes elsewhere than it
/// should: the kubelet writes it once, when it gets its certificate, and never
/// looks at the endpoint again. `None` if all is well.
fn moved_kubeconfig(ctx: &NodeContext<'_>) -> Option<Resource> {
    let wanted = ctx.endpoints.nodes.url();
    let found = ctx.facts.kubelet_server.as_deref()?;
    if !ctx.facts.joined || ctx.bootstrap_token.is_some() || found == wanted {
        return None;
    }
    let pki = kubelet::certificate_directory(&ctx.host.kubelet_extra_args);
    let text = kubeconfig::of_kubelet(&wanted, ctx.ca, &kubelet::client_certificate(pki));
    let file = FileResource::text(paths::KUBELET_CONF, text);
    Some(Resource::File(file.mode(0o600).notify(names::KUBELET_UNIT)))
}

/// Whether this is a directory that the group has already. (Another group has
/// its own, since it may be written alone.)
fn has_directory(
    resources: &[(ResourceGroup, Resource)],
    group: ResourceGroup,
    new: &Resource,
) -> bool {
    let Resource::Directory(Directory { path: wanted, .. }) = new else {
        return false;
    };
    resources.iter().any(|(other, resource)| {
        *other == group
            && matches!(resource, Resource::Directory(Directory { path, .. }) if path == wanted)
    })
}
