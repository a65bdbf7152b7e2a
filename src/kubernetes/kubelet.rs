//! The kubelet's files: configuration, flags, unit.

use serde_json::{Value, json};

use super::context::{ClusterContext, NodeContext};
use super::error::KubernetesError;
use super::templates::Templates;
use super::versions::Features;
use super::{args, tree};
use crate::host::{Facts, PackageManager};
use crate::inventory::listen::last_value;
use crate::inventory::{Arg, Host, Taint, Tree};
use crate::layout::paths;

const CONFIG_TEMPLATE: &str = "kubelet/config.yaml.j2";

/// The configuration that all kubelets share: what goes into the ConfigMap.
pub(crate) fn shared_config(ctx: &ClusterContext<'_>) -> Result<Value, KubernetesError> {
    base_config(ctx.templates, &ctx.view(), &ctx.cluster.kubelet_config)
}

/// The configuration of one node's kubelet: the shared one, the operator's
/// fields for this host, what the host needs, patches, the runtime's socket.
pub(crate) fn node_config(ctx: &NodeContext<'_>) -> Result<Value, KubernetesError> {
    let mut config = base_config(ctx.templates, &ctx.view()?, &ctx.host.kubelet_config)?;
    if ctx.facts.systemd_resolved && config.get("resolvConf").is_none() {
        tree::set_field(&mut config, "resolvConf", paths::RESOLVED_CONF);
    }
    // Its default is below /usr, and it makes the directory.
    if ctx.facts.uses_opt && config.get("volumePluginDir").is_none() {
        tree::set_field(&mut config, "volumePluginDir", paths::FLEX_VOLUME_DIR_OPT);
    }
    ctx.patches.apply("kubeletconfiguration", &mut config)?;
    if Features::for_cluster(ctx.cluster).instance_config {
        tree::set_field(
            &mut config,
            "containerRuntimeEndpoint",
            ctx.host.cri_socket.as_str(),
        );
    }
    Ok(tree::sort_keys(config))
}

fn base_config(
    templates: &Templates,
    view: &Value,
    theirs: &Tree,
) -> Result<Value, KubernetesError> {
    let mut config = templates.render_yaml(CONFIG_TEMPLATE, view)?;
    tree::merge_over(&mut config, theirs);
    // kubeadm forces this: without it the kubelet's certificate runs out.
    tree::set_field(&mut config, "rotateCertificates", true);
    Ok(tree::sort_keys(config))
}

/// The text of instance-config.yaml; `None` before 1.34, where the socket is a
/// flag.
pub(crate) fn instance_config(ctx: &NodeContext<'_>) -> Option<String> {
    Features::for_cluster(ctx.cluster)
        .instance_config
        .then(|| format!("containerRuntimeEndpoint: {}\n", json!(ctx.host.cri_socket)))
}

/// The kubelet's flags.
pub(crate) fn kubelet_flags(ctx: &NodeContext<'_>) -> Result<Vec<Arg>, KubernetesError> {
    let mut flags = Vec::new();
    let mut flag = |name: &str, value: String| {
        flags.push(Arg {
            name: name.into(),
            value,
        })
    };
    if !Features::for_cluster(ctx.cluster).instance_config {
        flag("container-runtime-endpoint", ctx.host.cri_socket.clone());
    }
    if ctx.host.node_name != ctx.facts.hostname {
        flag("hostname-override", ctx.host.node_name.clone());
    }
    // kubeadm leaves the choice to the kubelet, which takes the default route's
    // address. On hosts with several networks that may be one that no other
    // node reaches, and without a default route there is no choice; the operator
    // told us the right one. Of two families it chooses one, unless it is told both.
    let address = ctx.advertise_address()?;
    let both = ctx.cluster.networking.has_both_families();
    let addresses = ctx.facts.node_addresses(ctx.host, both);
    if ctx.facts.default_ip != Some(address) || addresses.len() > 1 {
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        flag("node-ip", addresses.join(","));
    }
    // Control planes are tainted through the API, where taints can change.
    if !ctx.host.is_control_plane() && !ctx.host.taints.is_empty() {
        let taints: Vec<String> = ctx.host.taints.iter().map(format_taint).collect();
        flag("register-with-taints", taints.join(","));
    }
    Ok(args::merge_args(flags, &ctx.host.kubelet_extra_args))
}

/// `key=value:Effect`, or `key:Effect`.
fn format_taint(taint: &Taint) -> String {
    match taint.value.as_deref() {
        None | Some("") => format!("{}:{:?}", taint.key, taint.effect),
        Some(value) => format!("{}={value}:{:?}", taint.key, taint.effect),
    }
}

/// The text of kubeadm-flags.env.
pub(crate) fn flags_file(ctx: &NodeContext<'_>) -> Result<String, KubernetesError> {
    let words: Vec<String> = kubelet_flags(ctx)?.iter().map(args::render_arg).collect();
    let escaped = words
        .join(" ")
        .replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('\n', r"\n");
    Ok(format!("KUBELET_KUBEADM_ARGS=\"{escaped}\"\n"))
}

/// The directory of the kubelet's certificates, unless the operator moved it.
pub(crate) fn certificate_directory(extra: &[Arg]) -> &str {
    last_value(extra, "cert-dir").unwrap_or(paths::KUBELET_PKI)
}

/// The link to its client certificate in the directory of its certificates.
pub(crate) fn client_certificate(directory: &str) -> String {
    format!("{directory}/{}", paths::KUBELET_CLIENT_CURRENT)
}

/// Where a host's kubelet keeps the client certificate that it uses, and its key, in one file.
pub fn kubelet_identity(host: &Host) -> String {
    client_certificate(certificate_directory(&host.kubelet_extra_args))
}

/// The file that `KUBELET_EXTRA_ARGS` comes from, by the distribution's habit.
pub(crate) fn environment_file(facts: &Facts) -> &'static str {
    PackageManager::by_name(&facts.package_manager).kubelet_environment
}

/// The texts of kubelet.service and its drop-in.
pub(crate) fn render_units(ctx: &NodeContext<'_>) -> Result<(String, String), KubernetesError> {
    let mut view = ctx.view()?;
    tree::set_field(&mut view, "environmentFile", environment_file(ctx.facts));
    Ok((
        ctx.templates.render("kubelet/kubelet.service.j2", &view)?,
        ctx.templates.render("kubelet/10-kubeadm.conf.j2", &view)?,
    ))
}
