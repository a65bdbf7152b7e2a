//! Settings that the cluster, a group and a host may each give. A host has the
//! cluster's, overlaid by those of its groups in turn, overlaid by its own.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::fault::Fault;
use super::files::{self, ManagedPaths};
use super::resolver::Resolver;
use super::ssh::SshLayer;
use super::{components, syntax, values};
use crate::inventory::cluster::UserFile;
use crate::inventory::spec::{
    Arg, ClusterSpec, FileSpec, Group, HostSpec, ImagePullPolicy, NodeRegistration, PreflightSpec,
    Scalar, SshSpec, Taint, Tree, defaults,
};
use crate::inventory::yaml::{FieldPath, shorten};

/// What one level says.
#[derive(Debug, Clone, Default)]
pub(super) struct SettingsLayer {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) ssh: SshLayer,
    pub(super) taints: Option<Vec<Taint>>,
    cri_socket: Option<String>,
    image_pull_policy: Option<ImagePullPolicy>,
    kubelet_extra_args: Option<Vec<Arg>>,
    pub(super) kubelet_config: Tree,
    pub(super) preflight_ignore: Vec<String>,
    pub(super) sysctls: BTreeMap<String, String>,
    pub(super) files: Vec<UserFile>,
}

/// The fields that the cluster, groups and hosts have in common.
struct CommonFields<'a> {
    labels: Option<&'a BTreeMap<String, String>>,
    ssh: &'a SshSpec,
    registration: &'a NodeRegistration,
    kubelet: &'a Tree,
    preflight: &'a PreflightSpec,
    sysctls: &'a BTreeMap<String, Scalar>,
    files: &'a [FileSpec],
}

impl SettingsLayer {
    /// The cluster's settings.
    pub(super) fn from_cluster(
        spec: &ClusterSpec,
        managed: &ManagedPaths<'_>,
        at: &FieldPath,
        resolver: &mut Resolver<'_>,
    ) -> Self {
        let common = CommonFields {
            labels: None,
            ssh: &spec.ssh,
            registration: &spec.node_registration,
            kubelet: &spec.kubelet.config,
            preflight: &spec.preflight,
            sysctls: &spec.sysctls,
            files: &spec.files,
        };
        refuse_node_name(&spec.node_registration, at, resolver);
        SettingsLayer::new(&common, managed, at, resolver)
    }

    /// A group's settings.
    pub(super) fn from_group(
        group: &Group,
        managed: &ManagedPaths<'_>,
        at: &FieldPath,
        resolver: &mut Resolver<'_>,
    ) -> Self {
        let common = CommonFields {
            labels: Some(&group.labels),
            ssh: &group.ssh,
            registration: &group.node_registration,
            kubelet: &group.kubelet.config,
            preflight: &group.preflight,
            sysctls: &group.sysctls,
            files: &group.files,
        };
        refuse_node_name(&group.node_registration, at, resolver);
        SettingsLayer::new(&common, managed, at, resolver)
    }

    /// A host's own settings.
    pub(super) fn from_host(
        host: &HostSpec,
        managed: &ManagedPaths<'_>,
        at: &FieldPath,
        resolver: &mut Resolver<'_>,
    ) -> Self {
        let common = CommonFields {
            labels: Some(&host.labels),
            ssh: &host.ssh,
            registration: &host.node_registration,
            kubelet: &host.kubelet.config,
            preflight: &host.preflight,
            sysctls: &host.sysctls,
            files: &host.files,
        };
        let mut layer = SettingsLayer::new(&common, managed, at, resolver);
        let taints_at = at.key("taints");
        check_taints(host.taints.as_deref(), &taints_at, resolver);
        if host.taints.is_some() && layer.taints.is_some() {
            let other = at.key("nodeRegistration").key("taints");
            resolver.report(
                Fault::error(&taints_at, "taints are set twice")
                    .at_key()
                    .also(&other, "`taints` is shorthand for this")
                    .help("remove one of the two"),
            );
        }
        layer.taints = host.taints.clone().or(layer.taints);
        layer
    }

    fn new(
        common: &CommonFields<'_>,
        managed: &ManagedPaths<'_>,
        at: &FieldPath,
        resolver: &mut Resolver<'_>,
    ) -> Self {
        let registration = common.registration;
        let registration_at = at.key("nodeRegistration");
        if let Some(socket) = &registration.cri_socket {
            resolver.check(&registration_at.key("criSocket"), check_cri_socket(socket));
        }
        let taints_at = registration_at.key("taints");
        check_taints(registration.taints.as_deref(), &taints_at, resolver);
        if let Some(args) = &registration.kubelet_extra_args {
            let at = registration_at.key("kubeletExtraArgs");
            components::check_extra_args(args, &at, resolver);
        }
        values::check_tree_kind(
            common.kubelet,
            ("kubelet.config.k8s.io/v1beta1", "KubeletConfiguration"),
            &at.key("kubelet").key("config"),
            resolver,
        );
        let ignore_at = registration_at.key("ignorePreflightErrors");
        let mut preflight_ignore = resolve_check_names(
            &common.preflight.ignore,
            &at.key("preflight").key("ignore"),
            resolver,
        );
        let more = registration.ignore_preflight_errors.iter().flatten();
        let more: Vec<String> = more.cloned().collect();
        preflight_ignore.extend(resolve_check_names(&more, &ignore_at, resolver));
        if let Some(labels) = common.labels {
            check_labels(labels, &at.key("labels"), resolver);
        }
        SettingsLayer {
            labels: common.labels.cloned().unwrap_or_default(),
            ssh: SshLayer::new(common.ssh, &at.key("ssh"), resolver),
            taints: registration.taints.clone(),
            cri_socket: registration.cri_socket.clone(),
            image_pull_policy: registration.image_pull_policy,
            kubelet_extra_args: registration.kubelet_extra_args.clone(),
            kubelet_config: common.kubelet.clone(),
            preflight_ignore,
            sysctls: resolve_sysctls(common.sysctls, &at.key("sysctls"), resolver),
            files: files::resolve_files(common.files, managed, &at.key("files"), resolver),
        }
    }

    /// This level laid over a more general one.
    pub(super) fn overlay_on(self, base: &SettingsLayer) -> SettingsLayer {
        // Maps merge key by key. Lists of arguments and taints are replaced as a whole, so
        // that a level can also take something away.
        let mut merged = base.clone();
        merged.labels.extend(self.labels);
        merged.ssh = self.ssh.overlay_on(&base.ssh);
        merged.taints = self.taints.or(merged.taints);
        merged.cri_socket = self.cri_socket.or(merged.cri_socket);
        merged.image_pull_policy = self.image_pull_policy.or(merged.image_pull_policy);
        merged.kubelet_extra_args = self.kubelet_extra_args.or(merged.kubelet_extra_args);
        merge_trees(&mut merged.kubelet_config, self.kubelet_config);
        merged.preflight_ignore.extend(self.preflight_ignore);
        merged.preflight_ignore.sort();
        merged.preflight_ignore.dedup();
        merged.sysctls.extend(self.sysctls);
        for file in self.files {
            merged
                .files
                .retain(|other| other.destination != file.destination);
            merged.files.push(file);
        }
        merged
    }

    /// The container runtime's socket.
    pub(super) fn cri_socket(&self) -> String {
        let socket = self.cri_socket.as_deref();
        socket.unwrap_or(defaults::CRI_SOCKET).to_owned()
    }

    /// Pull policy of control-plane images.
    pub(super) fn image_pull_policy(&self) -> ImagePullPolicy {
        self.image_pull_policy.unwrap_or_default()
    }

    /// More kubelet arguments.
    pub(super) fn kubelet_extra_args(&self) -> Vec<Arg> {
        self.kubelet_extra_args.clone().unwrap_or_default()
    }
}

/// Lays one free-form tree over another: mappings merge, all else is replaced.
pub(super) fn merge_trees(base: &mut Tree, over: Tree) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Object(base)), Value::Object(over)) => merge_trees(base, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

fn refuse_node_name(given: &NodeRegistration, at: &FieldPath, resolver: &mut Resolver<'_>) {
    if given.name.is_some() {
        let at = at.key("nodeRegistration").key("name");
        let message = "a node name can only be set for a single host";
        resolver.report(
            Fault::error(&at, message).help("set `nodeRegistration.name` of that host instead"),
        );
    }
}

fn check_cri_socket(socket: &str) -> Result<(), String> {
    match socket.strip_prefix("unix://") {
        Some(path) => syntax::check_absolute_path(path),
        None if socket.starts_with('/') => Err(format!("has no scheme: write `unix://{socket}`")),
        None => Err(format!(
            "must be a `unix://` URL, such as `{}`",
            defaults::CRI_SOCKET
        )),
    }
}

fn check_taints(taints: Option<&[Taint]>, at: &FieldPath, resolver: &mut Resolver<'_>) {
    let mut seen: HashMap<(&str, String), usize> = HashMap::new();
    for (index, taint) in taints.into_iter().flatten().enumerate() {
        let here = at.index(index);
        resolver.check(&here.key("key"), syntax::check_qualified_name(&taint.key));
        if let Some(value) = &taint.value {
            resolver.check(&here.key("value"), syntax::check_label_value(value));
        }
        let identity = (taint.key.as_str(), format!("{:?}", taint.effect));
        if let Some(first) = seen.insert(identity, index) {
            resolver.report(
                Fault::error(&here.key("key"), "duplicate taint: same key and effect")
                    .label("used again here")
                    .also(&at.index(first).key("key"), "first used here"),
            );
        }
    }
}

fn check_labels(labels: &BTreeMap<String, String>, at: &FieldPath, resolver: &mut Resolver<'_>) {
    for (key, value) in labels {
        let at = at.key(key);
        resolver.check_key(&at, key, syntax::check_qualified_name(key));
        if let Err(problem) = syntax::check_label_value(value) {
            let message = format!("the value of label `{}` {problem}", shorten(key));
            resolver.report(Fault::error(&at, message));
        }
    }
}

fn resolve_check_names(
    names: &[String],
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) -> Vec<String> {
    for (index, name) in names.iter().enumerate() {
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == ',') {
            let at = at.index(index);
            let message = format!("`{at}` is not a valid check name, such as `Swap`");
            let fault = Fault::error(&at, message);
            resolver.report(match name.contains(',') {
                true => fault.help("make each name a separate list item"),
                false => fault,
            });
        }
    }
    names.iter().map(|name| name.to_lowercase()).collect()
}

fn resolve_sysctls(
    given: &BTreeMap<String, Scalar>,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) -> BTreeMap<String, String> {
    let settings = given.iter().map(|(key, value)| {
        let at = at.key(key);
        resolver.check_key(&at, key, syntax::check_sysctl_name(key));
        let value = match value {
            // What `true` means to the kernel.
            Scalar::Bool(on) => u8::from(*on).to_string(),
            other => other.to_string(),
        };
        if value.is_empty() || value.contains(char::is_control) {
            let message = format!(
                "the value of sysctl `{}` is empty or contains line breaks",
                shorten(key)
            );
            resolver.report(Fault::error(&at, message));
        }
        (key.clone(), value)
    });
    settings.collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn trees_merge_deeply() {
        let tree = |value: Value| value.as_object().unwrap().clone();
        let mut base = tree(json!({"a": {"b": 1, "c": [1, 2]}, "d": 1}));
        merge_trees(
            &mut base,
            tree(json!({"a": {"c": [3]}, "d": {"e": 2}, "f": null})),
        );
        let expected = json!({"a": {"b": 1, "c": [3]}, "d": {"e": 2}, "f": null});
        assert_eq!(base, tree(expected));
    }
}
