//! The whole file, field by field.

use super::control_planes::check_control_planes;
use std::path::PathBuf;

use super::fault::Fault;
use super::listen_args::ListenContext;
use super::resolver::Resolver;
use super::syntax;
use super::{
    artifacts, bootstrap_tokens, certificates, components, containerd, endpoint, etcd,
    feature_gates, files, host_networks, hosts, known_flags, listen_args, load_balancer, network,
    rollout, timeouts, values, version,
};
use crate::inventory::cluster::{Cluster, Host, Version};
use crate::inventory::spec::{ClusterSpec, Directory, Inventory, defaults};
use crate::inventory::yaml::FieldPath;

/// Resolves the whole file.
// Long: one field after the other, and the struct that has them all.
pub(crate) fn resolve_cluster(inventory: Inventory, resolver: &mut Resolver<'_>) -> Cluster {
    let root = FieldPath::root();
    let at = root.key("spec");
    let name = inventory.metadata.name;
    let name_at = root.key("metadata").key("name");
    resolver.check(&name_at, syntax::check_dns_label(&name));
    let spec = inventory.spec;

    let version = version::resolve_version(
        &spec.kubernetes_version,
        &at.key("kubernetesVersion"),
        resolver,
    );
    check_verbatim_fields(&spec, version, &at, resolver);
    let bind_port = endpoint::resolve_bind_port(&spec, &at, resolver);
    let endpoint = endpoint::resolve_endpoint(&spec, bind_port, &at, resolver);
    let certificates_dir = values::resolve_host_dir(
        spec.certificates_dir.as_deref(),
        defaults::CERTIFICATES_DIR,
        &at.key("certificatesDir"),
        resolver,
    );
    let encryption_algorithm = certificates::resolve_algorithm(&spec, version, &at, resolver);
    let (certificate_validity, ca_certificate_validity) =
        certificates::resolve_validity(&spec, &at, resolver);
    let certificate_renew_before =
        certificates::resolve_renewal(&spec, certificate_validity, &at, resolver);
    let etcd = etcd::resolve_etcd(spec.etcd.clone(), &at.key("etcd"), resolver);
    let patches_dir = resolve_directory(&spec.patches, &at.key("patches"), resolver);
    let templates_dir = resolve_directory(&spec.templates, &at.key("templates"), resolver);
    let timeouts = timeouts::resolve_timeouts(&spec.timeouts, &at.key("timeouts"), resolver);
    let rollout = rollout::resolve_rollout(&spec.rollout, &at.key("rollout"), resolver);
    let artifacts = artifacts::resolve_artifacts(&spec.artifacts, &at.key("artifacts"), resolver);
    let containerd = containerd::resolve_containerd(&spec.runtime.containerd, &at, resolver);
    let networking = network::resolve_networking(&spec, &at, resolver);

    let managed = files::ManagedPaths {
        certificates_dir: &certificates_dir,
        etcd_data_dir: etcd::local_data_dir(&etcd),
        containerd: containerd.managed,
    };
    // Hosts come last: their files must not collide with directories resolved above, and
    // what they need from networks and etcd is known by now.
    let (hosts, entries) = hosts::resolve_hosts(&spec, &managed, &at, resolver);
    host_networks::check_host_addresses(&networking, &spec, &hosts, endpoint.as_ref(), resolver);
    check_control_planes(&spec, &hosts, entries, &etcd, &at, resolver);
    let load_balancer = load_balancer::resolve_load_balancer(
        &spec,
        endpoint.as_ref(),
        bind_port,
        &hosts,
        &at,
        resolver,
    );
    let cluster = ListenContext {
        spec: &spec,
        hosts: &hosts,
        etcd: &etcd,
        load_balancer: &load_balancer,
        bind_port,
    };
    listen_args::check_listen_args(&cluster, &at, resolver);
    let hosts: Vec<Host> = hosts.into_iter().map(|one| one.host).collect();

    let kubelet_config = spec.kubelet.config.clone();
    Cluster {
        cluster_name: spec.cluster_name.unwrap_or_else(|| name.clone()),
        name,
        version: version.unwrap_or(Version {
            major: 1,
            minor: *version::SUPPORTED_MINORS.end(),
            patch: 0,
        }),
        control_plane_endpoint: endpoint,
        load_balancer,
        bind_port,
        certificates_dir,
        image_repository: spec
            .image_repository
            .unwrap_or_else(|| defaults::IMAGE_REPOSITORY.to_owned()),
        encryption_algorithm,
        certificate_validity,
        certificate_renew_before,
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
        external_ca: spec.external_ca.unwrap_or(false),
        skip_phases: spec.skip_phases,
        patches_dir,
        templates_dir,
        timeouts,
        rollout,
        artifacts,
        containerd,
        hosts,
        removed_hosts: spec.removed_hosts,
        base_dir: resolver.base_dir().to_owned(),
    }
}

/// Checks the fields that the cluster has just as they are written.
fn check_verbatim_fields(
    spec: &ClusterSpec,
    version: Option<Version>,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) {
    let forbidden = |c: char| c.is_whitespace() || c.is_control() || c == '@';
    if let Some(cluster_name) = &spec.cluster_name
        && (cluster_name.is_empty() || cluster_name.contains(forbidden))
    {
        let message = "`spec.clusterName` must not be empty or contain spaces or `@`";
        resolver.report(Fault::error(&at.key("clusterName"), message));
    }
    if let Some(repository) = &spec.image_repository {
        let repository_at = at.key("imageRepository");
        resolver.check(&repository_at, syntax::check_image_repository(repository));
    }
    feature_gates::check_feature_gates(&spec.feature_gates, version, at, resolver);
    components::check_api_server(&spec.api_server, &at.key("apiServer"), resolver);
    let controller_manager_at = at.key("controllerManager");
    components::check_component(&spec.controller_manager, &controller_manager_at, resolver);
    components::check_component(&spec.scheduler, &at.key("scheduler"), resolver);
    known_flags::check_known_flags(spec, version, at, resolver);
    values::check_image(
        spec.dns.image_repository.as_deref(),
        spec.dns.image_tag.as_deref(),
        &at.key("dns"),
        resolver,
    );
    values::check_tree_kind(
        &spec.kube_proxy.config,
        ("kubeproxy.config.k8s.io/v1alpha1", "KubeProxyConfiguration"),
        &at.key("kubeProxy").key("config"),
        resolver,
    );
    bootstrap_tokens::check_bootstrap_tokens(&spec.bootstrap_tokens, at, resolver);
    certificates::check_certificate_key(spec.certificate_key.as_deref(), at, resolver);
}

fn resolve_directory(
    given: &Option<Directory>,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) -> Option<PathBuf> {
    let directory = &given.as_ref()?.directory;
    Some(resolver.require_directory(&at.key("directory"), directory))
}
