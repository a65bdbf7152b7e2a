//! From the file's types to the [`Cluster`]: checks what the fields mean, fills
//! in defaults, merges groups, expands ranges.
//!
//! Nothing stops at a fault. What is wrong is reported and replaced by its
//! default, so that all else can still be looked at; [`super::parse`] throws
//! the cluster away if there was an error.

mod component;
mod etcd;
mod files;
mod host;
mod layer;
mod load_balancer;
mod names;
mod network;
mod options;
mod removed;
mod ssh;
mod unique;

use super::cluster::{Cluster, Endpoint, Host, Version};
use super::context::{Context, Fault};
use super::listen::secure_port;
use super::spec::{EncryptionAlgorithm, Inventory};
use super::syntax;
use super::tree::Path;
use crate::layout::{paths, ports};

/// Minor versions of Kubernetes whose flags and images we know.
pub const SUPPORTED_MINORS: std::ops::RangeInclusive<u32> = 33..=37;

/// Resolves the whole file.
pub(super) fn cluster(inventory: Inventory, context: &mut Context<'_>) -> Cluster {
    let root = Path::root();
    let at = root.key("spec");
    let name = inventory.metadata.name;
    let name_at = root.key("metadata").key("name");
    context.valid(&name_at, syntax::dns_label(&name));
    let spec = inventory.spec;

    let version = version(
        &spec.kubernetes_version,
        &at.key("kubernetesVersion"),
        context,
    );
    let forbidden = |c: char| c.is_whitespace() || c.is_control() || c == '@';
    if let Some(cluster_name) = &spec.cluster_name
        && (cluster_name.is_empty() || cluster_name.contains(forbidden))
    {
        let message = "`spec.clusterName` may neither be empty nor contain spaces or `@`";
        context.report(Fault::error(&at.key("clusterName"), message));
    }
    let bind_port = bind_port(&spec, &at, context);
    let endpoint = endpoint(&spec, bind_port, &at, context);
    let certificates_dir = options::host_dir(
        spec.certificates_dir.as_deref(),
        paths::CERTIFICATES_DIR,
        &at.key("certificatesDir"),
        context,
    );
    if let Some(repository) = &spec.image_repository {
        let repository_at = at.key("imageRepository");
        context.valid(&repository_at, syntax::image_repository(repository));
    }
    let encryption_algorithm = spec.encryption_algorithm.unwrap_or_default();
    if encryption_algorithm == EncryptionAlgorithm::EcdsaP384
        && let Some(version) = version.filter(|version| version.minor < 34)
    {
        let message = format!("Kubernetes {version} doesn't know ECDSA-P384");
        context.report(
            Fault::error(&at.key("encryptionAlgorithm"), message)
                .also(&at.key("kubernetesVersion"), "v1.34 is the first that does")
                .help("use ECDSA-P256, or a newer Kubernetes"),
        );
    }
    let (certificate_validity, ca_certificate_validity) = options::validity(&spec, &at, context);
    options::feature_gates(&spec.feature_gates, version, &at, context);
    component::api_server(&spec.api_server, &at.key("apiServer"), context);
    let controller_manager_at = at.key("controllerManager");
    component::component(&spec.controller_manager, &controller_manager_at, context);
    component::component(&spec.scheduler, &at.key("scheduler"), context);
    let etcd = etcd::etcd(spec.etcd.clone(), &at.key("etcd"), context);
    options::image(
        spec.dns.image_repository.as_deref(),
        spec.dns.image_tag.as_deref(),
        &at.key("dns"),
        context,
    );
    options::kind_of_tree(
        &spec.kube_proxy.config,
        ("kubeproxy.config.k8s.io/v1alpha1", "KubeProxyConfiguration"),
        &at.key("kubeProxy").key("config"),
        context,
    );
    options::bootstrap_tokens(&spec.bootstrap_tokens, &at, context);
    options::certificate_key(spec.certificate_key.as_deref(), &at, context);
    let directory =
        |directory: &Option<super::spec::Directory>, field, context: &mut Context<'_>| {
            let at = at.key(field).key("directory");
            let text = &directory.as_ref()?.directory;
            Some(context.directory(&at, text))
        };
    let patches_dir = directory(&spec.patches, "patches", context);
    let templates_dir = directory(&spec.templates, "templates", context);
    let timeouts = options::timeouts(&spec.timeouts, &at.key("timeouts"), context);
    let rollout = options::rollout(&spec.rollout, &at.key("rollout"), context);
    let artifacts = options::artifacts(&spec.artifacts, &at.key("artifacts"), context);
    let containerd = options::containerd(&spec.runtime.containerd, &at, context);
    let networking = network::networking(&spec, &at, context);

    let owned = files::Owned {
        certificates_dir: &certificates_dir,
        etcd_data_dir: etcd::data_dir(&etcd),
        containerd: containerd.managed,
    };
    let (hosts, entries) = host::hosts(&spec, &owned, &at, context);
    network::check_hosts(&networking, &spec, &hosts, endpoint.as_ref(), context);
    host::check_control_planes(&spec, &hosts, entries, &etcd, &at, context);
    let load_balancer =
        load_balancer::load_balancer(&spec, endpoint.as_ref(), bind_port, &hosts, &at, context);
    let hosts: Vec<Host> = hosts.into_iter().map(|one| one.host).collect();

    let kubelet_config = spec.kubelet.config.clone();
    Cluster {
        cluster_name: spec.cluster_name.unwrap_or_else(|| name.clone()),
        name,
        version: version.unwrap_or(Version {
            major: 1,
            minor: *SUPPORTED_MINORS.end(),
            patch: 0,
        }),
        control_plane_endpoint: endpoint,
        load_balancer,
        bind_port,
        certificates_dir,
        image_repository: spec
            .image_repository
            .unwrap_or_else(|| "registry.k8s.io".to_owned()),
        encryption_algorithm,
        certificate_validity,
        ca_certificate_validity,
        feature_gates: spec.feature_gates,
        networking,
        api_server: spec.api_server,
        controller_manager: spec.controller_manager,
        scheduler: spec.scheduler,
        etcd,
        dns: spec.dns,
        pause_image_tag: None,
        proxy_disabled: spec.proxy.disabled,
        kube_proxy_config: spec.kube_proxy.config,
        kubelet_config,
        bootstrap_tokens: spec.bootstrap_tokens,
        certificate_key: spec.certificate_key,
        skip_phases: spec.skip_phases,
        patches_dir,
        templates_dir,
        timeouts,
        rollout,
        artifacts,
        containerd,
        hosts,
        removed_hosts: spec.removed_hosts,
        base_dir: context.base_dir().to_owned(),
    }
}

fn version(text: &str, at: &Path, context: &mut Context<'_>) -> Option<Version> {
    let range = format!(
        "Kubernetes v1.{} to v1.{} are supported",
        SUPPORTED_MINORS.start(),
        SUPPORTED_MINORS.end()
    );
    let fault = match text.parse::<Version>() {
        Ok(version) if version.major == 1 && SUPPORTED_MINORS.contains(&version.minor) => {
            return Some(version);
        }
        Ok(version) => Fault::error(at, format!("Kubernetes {version} is not supported")),
        Err(_) => {
            let message = format!("`{at}` is not of the form `v1.36.2`");
            let fault = Fault::error(at, message);
            match text.contains(['-', '+']) {
                true => fault.help("pre-releases and vendors' builds are not supported"),
                false => fault,
            }
        }
    };
    context.report(fault.help(range));
    None
}

fn bind_port(spec: &super::spec::ClusterSpec, at: &Path, context: &mut Context<'_>) -> u16 {
    let port_at = at.key("localAPIEndpoint").key("bindPort");
    let port = spec.local_api_endpoint.as_ref().and_then(|e| e.bind_port);
    let port = port.unwrap_or(ports::API_SERVER);
    const TAKEN: [(u16, &str); 8] = [
        (0, "nothing"),
        (ports::ETCD_CLIENT, "etcd"),
        (ports::ETCD_PEER, "etcd"),
        (ports::HAPROXY_HEALTH, "the local load balancer"),
        (ports::KUBELET_HEALTHZ, "the kubelet"),
        (ports::KUBELET, "the kubelet"),
        (ports::CONTROLLER_MANAGER, "the controller manager"),
        (ports::SCHEDULER, "the scheduler"),
    ];
    match TAKEN.iter().find(|(taken, _)| *taken == port) {
        Some((0, _)) => {
            let message = format!("`{port_at}` has to be a port from 1 to 65535");
            context.report(Fault::error(&port_at, message));
        }
        Some((_, owner)) => {
            let message = format!("`{port_at}` is the port of {owner}");
            context.report(Fault::error(&port_at, message).help("the usual one is 6443"));
        }
        None => {}
    }
    // As an argument it moves the API server all the same, and whoever looks for
    // it has to follow.
    secure_port(&spec.api_server.extra_args, port).unwrap_or(port)
}

fn endpoint(
    spec: &super::spec::ClusterSpec,
    bind_port: u16,
    at: &Path,
    context: &mut Context<'_>,
) -> Option<Endpoint> {
    let text = spec.control_plane_endpoint.as_deref()?;
    let at = at.key("controlPlaneEndpoint");
    context.valid(&at, syntax::endpoint(text, bind_port))
}
