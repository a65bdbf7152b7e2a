//! Everything that makes a host a node, as resources.

use zeroize::Zeroizing;

use super::context::{ControlPlane, NodeContext};
use super::kubeconfig::{self, Credentials, Kubeconfig};
use super::static_pods::{self, Component, MANIFESTS_DIR};
use super::{KubernetesError, Phase, cni, containerd, kubelet, load_balancer, yaml};
use crate::host::{Absent, Content, Directory, FileResource, Resource, SeedLink, Unit};
use crate::inventory::{CniType, Etcd};

/// Where kubeadm keeps its kubeconfigs.
const KUBERNETES_DIR: &str = "/etc/kubernetes";

/// What a node needs, in the order of the phases. PKI files, packages,
/// binaries, modules and sysctls come from elsewhere; the one exception is a
/// worker's copy of the CA certificate, which kubeadm's kubelet-start writes.
pub fn node_resources(ctx: &NodeContext<'_>) -> Result<Vec<(Phase, Resource)>, KubernetesError> {
    let mut resources: Vec<(Phase, Resource)> = Vec::new();
    let mut add = |phase, list: Vec<Resource>| {
        for resource in list {
            if !has_directory(&resources, phase, &resource) {
                resources.push((phase, resource));
            }
        }
    };
    if ctx.cluster.containerd.managed {
        let file = FileResource::text(containerd::CONFIG, containerd::config(ctx)?);
        add(
            Phase::ContainerRuntime,
            vec![Resource::File(file.notify(containerd::UNIT))],
        );
    }
    add(Phase::KubeletUnit, kubelet_unit(ctx)?);
    if let Some(control_plane) = &ctx.control_plane {
        add(Phase::Kubeconfig, kubeconfigs(ctx, control_plane)?);
        for component in Component::all(ctx.cluster) {
            let phase = match component {
                Component::Etcd => Phase::Etcd,
                _ => Phase::ControlPlane,
            };
            add(phase, static_pod(*component, ctx, control_plane)?);
        }
    }
    if ctx.control_plane.is_some() {
        add(Phase::ControlPlane, load_balancer::on_control_plane(ctx)?);
    } else {
        add(Phase::LoadBalancer, load_balancer::on_worker(ctx)?);
    }
    add(Phase::KubeletStart, kubelet_start(ctx)?);
    if ctx.cluster.networking.cni == CniType::Bridge {
        add(Phase::PodNetwork, pod_network(ctx)?);
    }
    Ok(resources)
}

fn kubeconfigs(
    ctx: &NodeContext<'_>,
    control_plane: &ControlPlane<'_>,
) -> Result<Vec<Resource>, KubernetesError> {
    let own = ctx.local_api_endpoint()?;
    let admin = ctx.endpoints.admin(ctx.cluster, &own).url();
    let local = own.url();
    let node = format!("system:node:{}", ctx.host.node_name);
    let pki = kubelet::certificate_directory(&ctx.host.kubelet_extra_args);
    let current = format!("{pki}/kubelet-client-current.pem");

    let config = |user: &str, server: &str, credentials| {
        Kubeconfig {
            cluster: &ctx.cluster.cluster_name,
            server,
            ca: ctx.ca,
            user,
            credentials,
        }
        .render()
    };
    let certified = |name: &str, user: &str, server: &str, pair| {
        let text = config(user, server, Credentials::Certificate(pair));
        let file = secret_file(format!("{KUBERNETES_DIR}/{name}"), &text);
        // Who reads one of these reads it once.
        Resource::File(match name {
            "controller-manager.conf" => file.restarts(&["kube-controller-manager"]),
            "scheduler.conf" => file.restarts(&["kube-scheduler"]),
            _ => file,
        })
    };

    let mut resources: Vec<Resource> = vec![
        directory(KUBERNETES_DIR, 0o755),
        certified(
            "admin.conf",
            "kubernetes-admin",
            &admin,
            control_plane.admin,
        ),
    ];
    if let Some(pair) = control_plane.super_admin {
        resources.push(certified(
            "super-admin.conf",
            "kubernetes-super-admin",
            &admin,
            pair,
        ));
    }
    resources.push(certified(
        "controller-manager.conf",
        "system:kube-controller-manager",
        &local,
        control_plane.controller_manager,
    ));
    resources.push(certified(
        "scheduler.conf",
        "system:kube-scheduler",
        &local,
        control_plane.scheduler,
    ));

    // As kubeadm's kubelet-finalize leaves it: the kubelet's identity is in the
    // file that the kubelet replaces by itself. The first one is ours, under a
    // name of the kubelet's own making.
    let text = config(&node, &local, Credentials::File(&current));
    let kubelet_conf = FileResource::text(format!("{KUBERNETES_DIR}/kubelet.conf"), text.as_str());
    let kubelet_conf = kubelet_conf.mode(0o600).notify(kubelet::UNIT);
    resources.push(Resource::File(kubelet_conf));
    let first = format!("{pki}/kubelet-client-bootstrap.pem");
    let pair = &control_plane.kubelet;
    let pem = Zeroizing::new([pair.cert.trim_end(), "\n", pair.key.trim_end(), "\n"].concat());
    resources.push(directory(kubelet::DIRECTORY, 0o700));
    resources.push(directory(pki, 0o755));
    resources.push(Resource::File(secret_file(first.clone(), &pem).seed()));
    resources.push(Resource::SeedLink(SeedLink {
        path: current,
        target: first,
    }));
    Ok(resources)
}

fn static_pod(
    component: Component,
    ctx: &NodeContext<'_>,
    control_plane: &ControlPlane<'_>,
) -> Result<Vec<Resource>, KubernetesError> {
    let pod = static_pods::pod(component, ctx, control_plane)?;
    let path = format!("{MANIFESTS_DIR}/{}.yaml", component.name());
    let manifest = FileResource::text(path, yaml::to_string(&pod)?).mode(0o600);
    let mut resources = Vec::new();
    if let (Component::Etcd, Etcd::Local(etcd)) = (component, &ctx.cluster.etcd) {
        resources.push(directory(&etcd.data_dir, 0o700));
    }
    resources.push(directory(MANIFESTS_DIR, 0o700));
    resources.push(Resource::File(manifest));
    Ok(resources)
}

fn kubelet_unit(ctx: &NodeContext<'_>) -> Result<Vec<Resource>, KubernetesError> {
    let (unit, drop_in) = kubelet::units(ctx)?;
    Ok(vec![
        directory("/usr/lib/systemd/system/kubelet.service.d", 0o755),
        kubelet_file("/usr/lib/systemd/system/kubelet.service", unit),
        kubelet_file(
            "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf",
            drop_in,
        ),
        // Before it has a configuration, it only fails.
        Resource::Unit(Unit {
            name: kubelet::UNIT.into(),
            enabled: true,
            active: ctx.facts.joined,
        }),
    ])
}

fn kubelet_file(path: &str, text: String) -> Resource {
    Resource::File(FileResource::text(path, text).notify(kubelet::UNIT))
}

fn kubelet_start(ctx: &NodeContext<'_>) -> Result<Vec<Resource>, KubernetesError> {
    let mut resources = vec![
        directory(KUBERNETES_DIR, 0o755),
        directory(kubelet::DIRECTORY, 0o700),
        // The kubelet complains every 20 s about a staticPodPath that isn't.
        directory(MANIFESTS_DIR, 0o700),
        kubelet_file(kubelet::CONFIG, yaml::to_string(&kubelet::config(ctx)?)?),
        kubelet_file(kubelet::FLAGS, kubelet::flags_file(ctx)?),
    ];
    if let Some(config) = kubelet::instance_config(ctx) {
        resources.push(kubelet_file(kubelet::INSTANCE_CONFIG, config));
    }
    if ctx.control_plane.is_none() {
        let pki = ctx.cluster.certificates_dir.as_str();
        resources.push(directory(pki, 0o755));
        // The kubelet reads it anew by itself.
        let ca = FileResource::text(format!("{pki}/ca.crt"), ctx.ca);
        resources.push(Resource::File(ca));
        resources.push(bootstrap_kubeconfig(ctx));
        resources.extend(moved_kubeconfig(ctx));
    }
    // A worker's kubelet that has neither token nor certificate only fails.
    let able = ctx.control_plane.is_some() || ctx.bootstrap_token.is_some() || ctx.facts.joined;
    resources.push(Resource::Unit(Unit {
        name: kubelet::UNIT.into(),
        enabled: true,
        active: able,
    }));
    Ok(resources)
}

/// What the kubelet asks for its certificate with; gone once it has it.
fn bootstrap_kubeconfig(ctx: &NodeContext<'_>) -> Resource {
    let path = format!("{KUBERNETES_DIR}/bootstrap-kubelet.conf");
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
    Resource::File(secret_file(path, &text).notify(kubelet::UNIT))
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
    let text = kubeconfig::of_kubelet(
        &wanted,
        ctx.ca,
        &format!("{pki}/kubelet-client-current.pem"),
    );
    let file = FileResource::text(format!("{KUBERNETES_DIR}/kubelet.conf"), text);
    Some(Resource::File(file.mode(0o600).notify(kubelet::UNIT)))
}

fn pod_network(ctx: &NodeContext<'_>) -> Result<Vec<Resource>, KubernetesError> {
    let unit = FileResource::text(cni::UNIT_FILE, cni::unit(ctx)?).notify(cni::UNIT);
    let mut resources = vec![
        Resource::File(unit),
        Resource::Unit(Unit {
            name: cni::UNIT.into(),
            enabled: true,
            active: true,
        }),
    ];
    if let Some(conflist) = cni::conflist(ctx)? {
        resources.push(directory("/etc/cni/net.d", 0o755));
        resources.push(Resource::File(FileResource::text(cni::CONFLIST, conflist)));
    }
    Ok(resources)
}

/// Whether this is a directory that the phase has already. (Another phase has
/// its own, since it may run alone.)
fn has_directory(resources: &[(Phase, Resource)], phase: Phase, new: &Resource) -> bool {
    let Resource::Directory(Directory { path: wanted, .. }) = new else {
        return false;
    };
    resources.iter().any(|(other, resource)| {
        *other == phase
            && matches!(resource, Resource::Directory(Directory { path, .. }) if path == wanted)
    })
}

pub(super) fn directory(path: &str, mode: u32) -> Resource {
    Resource::Directory(Directory {
        path: path.to_owned(),
        mode,
        owner: "root:root".to_owned(),
    })
}

/// A file of root's alone whose content never passes through an unwiped buffer.
fn secret_file(path: String, text: &str) -> FileResource {
    let mut file = FileResource::text(path, "").secret();
    file.content = Content::Bytes(Zeroizing::new(text.as_bytes().to_vec()));
    file
}
