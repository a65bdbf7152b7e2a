//! The cluster's smaller settings: lifetimes, gates, tokens, waits, sources.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::super::cluster::{Artifacts, Containerd, Timeouts, Version};
use super::super::context::{Context, Fault};
use super::super::rollout::{MaxUnavailable, Rollout, RolloutSpec};
use super::super::spec::{self, ArtifactSource, BootstrapToken, ClusterSpec, Tree};
use super::super::suggest::closest;
use super::super::syntax;
use super::super::tree::Path;
use super::super::yaml::shorten;

const HOUR: u64 = 3600;

/// kubeadm's feature gates with the minors that know them. A gate goes one
/// release after it was locked, and kubeadm refuses a configuration with a gate
/// that it doesn't know: in doubt a gate is left out.
const FEATURE_GATES: [(&str, std::ops::RangeInclusive<u32>); 5] = [
    ("ControlPlaneKubeletLocalMode", 33..=35),
    ("NodeLocalCRISocket", 33..=36),
    ("PublicKeysECDSA", 33..=36),
    ("RootlessControlPlane", 33..=37),
    ("WaitForAllControlPlaneComponents", 33..=34),
];

/// A directory on hosts: absolute, without a trailing slash.
pub(super) fn host_dir(
    given: Option<&str>,
    default: &str,
    at: &Path,
    context: &mut Context<'_>,
) -> String {
    let Some(text) = given else {
        return default.to_owned();
    };
    let valid = match text.trim_end_matches('/').is_empty() {
        true => Err("may not be the root directory".to_owned()),
        false => syntax::absolute_path(text),
    };
    context.valid(at, valid);
    text.trim_end_matches('/').to_owned()
}

/// A wait or a lifetime that makes sense only if it is longer than nothing.
pub(super) fn positive(
    given: Option<&str>,
    default: Duration,
    at: &Path,
    context: &mut Context<'_>,
) -> Duration {
    let Some(text) = given else {
        return default;
    };
    let parsed = syntax::duration(text).and_then(|duration| match duration.is_zero() {
        true => Err("has to be longer than nothing".to_owned()),
        false => Ok(duration),
    });
    context.valid(at, parsed).unwrap_or(default)
}

/// Lifetimes of leaf and CA certificates.
pub(super) fn validity(
    spec: &ClusterSpec,
    at: &Path,
    context: &mut Context<'_>,
) -> (Duration, Duration) {
    let leaf_at = at.key("certificateValidityPeriod");
    let ca_at = at.key("caCertificateValidityPeriod");
    let leaf = spec.certificate_validity_period.as_deref();
    let leaf = positive(leaf, Duration::from_secs(8760 * HOUR), &leaf_at, context);
    let ca = spec.ca_certificate_validity_period.as_deref();
    let ca = positive(ca, Duration::from_secs(87600 * HOUR), &ca_at, context);
    if leaf > ca {
        let message = "certificates would outlive the CA that signs them";
        let at = match context.is_given(&leaf_at) {
            true => &leaf_at,
            false => &ca_at,
        };
        context.report(
            Fault::warning(at, message)
                .help("make `caCertificateValidityPeriod` the longer one; its default is 87600h"),
        );
    }
    (leaf, ca)
}

/// Only gates that kubeadm of this version knows, for it refuses others.
pub(super) fn feature_gates(
    gates: &BTreeMap<String, bool>,
    version: Option<Version>,
    at: &Path,
    context: &mut Context<'_>,
) {
    let Some(version) = version else {
        return;
    };
    let known: Vec<&str> = FEATURE_GATES
        .iter()
        .filter(|(_, minors)| minors.contains(&version.minor))
        .map(|(name, _)| *name)
        .collect();
    for gate in gates.keys().filter(|gate| !known.contains(&gate.as_str())) {
        let name = shorten(gate);
        let message = format!("kubeadm {version} has no feature gate `{name}`");
        let mut fault = Fault::error(&at.key("featureGates").key(gate), message).at_key();
        fault = match closest(gate, known.iter().copied()) {
            Some(name) => fault.help(format!("did you mean `{name}`?")),
            None => fault.help(format!("it has {}", known.join(", "))),
        };
        context.report(fault.help(
            "gates of Kubernetes' components go into their extraArgs, `feature-gates`, and into \
             `kubelet.config.featureGates`",
        ));
    }
}

/// Repository and tag of one image.
pub(super) fn image(
    repository: Option<&str>,
    tag: Option<&str>,
    at: &Path,
    context: &mut Context<'_>,
) {
    if let Some(repository) = repository {
        let valid = syntax::image_repository(repository);
        context.valid(&at.key("imageRepository"), valid);
    }
    if let Some(tag) = tag {
        context.valid(&at.key("imageTag"), syntax::image_tag(tag));
    }
}

/// A free-form configuration may name its version and kind, but no other.
pub(super) fn kind_of_tree(
    tree: &Tree,
    (api_version, kind): (&str, &str),
    at: &Path,
    context: &mut Context<'_>,
) {
    for (field, right) in [("apiVersion", api_version), ("kind", kind)] {
        if let Some(given) = tree.get(field)
            && given.as_str() != Some(right)
        {
            let message = format!("`{at}` is a {kind} of {api_version}, and nothing else");
            context
                .report(Fault::error(&at.key(field), message).help(format!("leave `{field}` out")));
        }
    }
}

/// Form, usages, groups and uniqueness of the operator's own tokens.
pub(super) fn bootstrap_tokens(tokens: &[BootstrapToken], at: &Path, context: &mut Context<'_>) {
    let list_at = at.key("bootstrapTokens");
    let mut ids: HashMap<&str, usize> = HashMap::new();
    for (index, token) in tokens.iter().enumerate() {
        let at = list_at.index(index);
        let token_at = at.key("token");
        let form = syntax::bootstrap_token(&token.token);
        if context.valid(&token_at, form).is_some()
            && let Some((id, _)) = token.token.split_once('.')
            && let Some(first) = ids.insert(id, index)
        {
            context.report(
                Fault::error(&token_at, "two tokens have the same first half")
                    .label("again here")
                    .also(&list_at.index(first).key("token"), "first here")
                    .help("the first six characters are the token's name"),
            );
        }
        if let Some(ttl) = &token.ttl {
            context.valid(&at.key("ttl"), syntax::duration(ttl));
        }
        for (index, usage) in token.usages.iter().flatten().enumerate() {
            let known = ["signing", "authentication"];
            if !known.contains(&usage.as_str()) {
                let at = at.key("usages").index(index);
                let message = format!("a token has no usage `{}`", shorten(usage));
                context.report(
                    Fault::error(&at, message).help("it can be `signing` and `authentication`"),
                );
            }
        }
        for (index, group) in token.groups.iter().flatten().enumerate() {
            let at = at.key("groups").index(index);
            context.valid(&at, bootstrap_group(group));
        }
    }
}

/// Kubernetes' rule for the groups of a bootstrap token.
fn bootstrap_group(group: &str) -> Result<(), String> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b':' | b'-');
    let name = group.strip_prefix("system:bootstrappers:");
    match name {
        Some(name)
            if name.len() <= 256
                && name.bytes().all(allowed)
                && !name.ends_with([':', '-'])
                && !name.is_empty() =>
        {
            Ok(())
        }
        _ => Err("is not of the form `system:bootstrappers:name`".to_owned()),
    }
}

/// An AES-256 key in hex.
pub(super) fn certificate_key(key: Option<&str>, at: &Path, context: &mut Context<'_>) {
    const DIGITS: usize = 64;
    let valid = match key {
        Some(key) if key.len() != DIGITS || !key.bytes().all(|b| b.is_ascii_hexdigit()) => {
            Err(format!("is not {DIGITS} hexadecimal digits"))
        }
        _ => Ok(()),
    };
    context.valid(&at.key("certificateKey"), valid);
}

/// kubeadm's timeouts and our own.
pub(super) fn timeouts(given: &spec::Timeouts, at: &Path, context: &mut Context<'_>) -> Timeouts {
    let mut wait = |given: &Option<String>, field, minutes: u64| {
        let default = Duration::from_secs(60 * minutes);
        positive(given.as_deref(), default, &at.key(field), context)
    };
    Timeouts {
        control_plane_component_health_check: wait(
            &given.control_plane_component_health_check,
            "controlPlaneComponentHealthCheck",
            4,
        ),
        kubelet_health_check: wait(&given.kubelet_health_check, "kubeletHealthCheck", 4),
        kubernetes_api_call: wait(&given.kubernetes_api_call, "kubernetesAPICall", 1),
        etcd_api_call: wait(&given.etcd_api_call, "etcdAPICall", 2),
        tls_bootstrap: wait(&given.tls_bootstrap, "tlsBootstrap", 5),
        node_ready: wait(&given.node_ready, "nodeReady", 5),
    }
}

/// How a change rolls over the nodes.
pub(super) fn rollout(given: &RolloutSpec, at: &Path, context: &mut Context<'_>) -> Rollout {
    let max_unavailable = given.max_unavailable.as_ref().and_then(|given| {
        let parsed = MaxUnavailable::try_from(given);
        context.valid(&at.key("maxUnavailable"), parsed)
    });
    Rollout {
        max_unavailable: max_unavailable.unwrap_or_default(),
    }
}

/// Where Kubernetes comes from. What the directory holds is not looked at.
pub(super) fn artifacts(
    given: &spec::Artifacts,
    at: &Path,
    context: &mut Context<'_>,
) -> Artifacts {
    let path_at = at.key("path");
    match (given.source, &given.path) {
        (ArtifactSource::Directory, None) => context.report(
            Fault::error(at, "`source: directory` needs a `path`")
                .help("write the directory that holds `linux-amd64/` and `SHA256SUMS`"),
        ),
        (ArtifactSource::Online, Some(_)) => context.report(
            Fault::error(&path_at, "`path` has no effect with `source: online`")
                .help("write `source: directory`, or delete `path`"),
        ),
        _ => {}
    }
    let path = given.path.as_ref().map(|path| context.local_path(path));
    if let Some(path) = path.as_ref().filter(|path| !path.is_dir())
        && given.source == ArtifactSource::Directory
    {
        // A warning only: the directory may be filled after this check.
        context.report(
            Fault::warning(&path_at, "there is no such directory yet")
                .label(path.display().to_string()),
        );
    }
    let mirrors = &given.mirrors;
    for (field, url) in [
        ("kubernetes", &mirrors.kubernetes),
        ("cniPlugins", &mirrors.cni_plugins),
        ("criTools", &mirrors.cri_tools),
    ] {
        if let Some(url) = url {
            let at = at.key("mirrors").key(field);
            context.valid(&at, syntax::url(url, &["https", "http"]));
        }
    }
    Artifacts {
        source: given.source,
        path,
        mirrors: given.mirrors.clone(),
    }
}

/// containerd's settings; a free-form config has to be of version 3.
pub(super) fn containerd(
    given: &spec::Containerd,
    at: &Path,
    context: &mut Context<'_>,
) -> Containerd {
    let at = at.key("runtime").key("containerd");
    let managed = given.managed.unwrap_or(true);
    let config_at = at.key("config");
    if let Some(version) = given.config.get("version")
        && version.as_u64() != Some(3)
    {
        context.report(
            Fault::error(
                &config_at.key("version"),
                "containerd's config is of version 3",
            )
            .help("`containerd config migrate` turns an older one into version 3"),
        );
    }
    if !managed && !given.config.is_empty() {
        context.report(
            Fault::warning(&config_at, "`config` has no effect with `managed: false`").at_key(),
        );
    }
    Containerd {
        managed,
        config: given.config.clone(),
    }
}
