//! Settings that the cluster, a group and a host may each give. A host's are
//! the cluster's, overlaid by those of its groups in turn and its own.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::super::cluster::{ImagePullPolicy, Taint, UserFile};
use super::super::context::{Context, Fault};
use super::super::spec::{ClusterSpec, FileSpec, Group, HostSpec, NodeRegistration};
use super::super::spec::{Preflight, Scalar, Ssh, Tree};
use super::super::syntax;
use super::super::tree::Path;
use super::super::yaml::shorten;
use super::files::{self, Owned};
use super::ssh::SshLayer;
use super::{component, options};

/// containerd's socket, where every package puts it.
const CRI_SOCKET: &str = "unix:///var/run/containerd/containerd.sock";

/// What one level says.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) ssh: SshLayer,
    pub(super) taints: Option<Vec<Taint>>,
    cri_socket: Option<String>,
    image_pull_policy: Option<ImagePullPolicy>,
    kubelet_extra_args: Option<Vec<super::super::cluster::Arg>>,
    pub(super) kubelet_config: Tree,
    pub(super) preflight_ignore: Vec<String>,
    pub(super) sysctls: BTreeMap<String, String>,
    pub(super) files: Vec<UserFile>,
}

/// The fields that the cluster, groups and hosts have in common.
struct Common<'a> {
    labels: Option<&'a BTreeMap<String, String>>,
    ssh: &'a Ssh,
    registration: &'a NodeRegistration,
    kubelet: &'a Tree,
    preflight: &'a Preflight,
    sysctls: &'a BTreeMap<String, Scalar>,
    files: &'a [FileSpec],
}

impl Layer {
    /// The cluster's settings.
    pub(super) fn of_cluster(
        spec: &ClusterSpec,
        owned: &Owned<'_>,
        at: &Path,
        context: &mut Context<'_>,
    ) -> Self {
        let common = Common {
            labels: None,
            ssh: &spec.ssh,
            registration: &spec.node_registration,
            kubelet: &spec.kubelet.config,
            preflight: &spec.preflight,
            sysctls: &spec.sysctls,
            files: &spec.files,
        };
        refuse_node_name(&spec.node_registration, at, context);
        Layer::new(&common, owned, at, context)
    }

    /// A group's settings.
    pub(super) fn of_group(
        group: &Group,
        owned: &Owned<'_>,
        at: &Path,
        context: &mut Context<'_>,
    ) -> Self {
        let common = Common {
            labels: Some(&group.labels),
            ssh: &group.ssh,
            registration: &group.node_registration,
            kubelet: &group.kubelet.config,
            preflight: &group.preflight,
            sysctls: &group.sysctls,
            files: &group.files,
        };
        refuse_node_name(&group.node_registration, at, context);
        Layer::new(&common, owned, at, context)
    }

    /// A host's own settings.
    pub(super) fn of_host(
        host: &HostSpec,
        owned: &Owned<'_>,
        at: &Path,
        context: &mut Context<'_>,
    ) -> Self {
        let common = Common {
            labels: Some(&host.labels),
            ssh: &host.ssh,
            registration: &host.node_registration,
            kubelet: &host.kubelet.config,
            preflight: &host.preflight,
            sysctls: &host.sysctls,
            files: &host.files,
        };
        let mut layer = Layer::new(&common, owned, at, context);
        let taints_at = at.key("taints");
        check_taints(host.taints.as_deref(), &taints_at, context);
        if host.taints.is_some() && layer.taints.is_some() {
            let other = at.key("nodeRegistration").key("taints");
            context.report(
                Fault::error(&taints_at, "taints are given twice")
                    .at_key()
                    .also(&other, "`taints` is short for this")
                    .help("delete one of the two"),
            );
        }
        layer.taints = host.taints.clone().or(layer.taints);
        layer
    }

    fn new(common: &Common<'_>, owned: &Owned<'_>, at: &Path, context: &mut Context<'_>) -> Self {
        let registration = common.registration;
        let registration_at = at.key("nodeRegistration");
        if let Some(socket) = &registration.cri_socket {
            context.valid(&registration_at.key("criSocket"), cri_socket(socket));
        }
        let taints_at = registration_at.key("taints");
        check_taints(registration.taints.as_deref(), &taints_at, context);
        if let Some(args) = &registration.kubelet_extra_args {
            let at = registration_at.key("kubeletExtraArgs");
            component::extra_args(args, &at, context);
        }
        options::kind_of_tree(
            common.kubelet,
            ("kubelet.config.k8s.io/v1beta1", "KubeletConfiguration"),
            &at.key("kubelet").key("config"),
            context,
        );
        let ignore_at = registration_at.key("ignorePreflightErrors");
        let mut preflight_ignore = checks(
            &common.preflight.ignore,
            &at.key("preflight").key("ignore"),
            context,
        );
        let more = registration.ignore_preflight_errors.iter().flatten();
        let more: Vec<String> = more.cloned().collect();
        preflight_ignore.extend(checks(&more, &ignore_at, context));
        if let Some(labels) = common.labels {
            check_labels(labels, &at.key("labels"), context);
        }
        Layer {
            labels: common.labels.cloned().unwrap_or_default(),
            ssh: SshLayer::new(common.ssh, &at.key("ssh"), context),
            taints: registration.taints.clone(),
            cri_socket: registration.cri_socket.clone(),
            image_pull_policy: registration.image_pull_policy,
            kubelet_extra_args: registration.kubelet_extra_args.clone(),
            kubelet_config: common.kubelet.clone(),
            preflight_ignore,
            sysctls: sysctls(common.sysctls, &at.key("sysctls"), context),
            files: files::files(common.files, owned, &at.key("files"), context),
        }
    }

    /// This level laid over a more general one.
    pub(super) fn over(self, base: &Layer) -> Layer {
        let mut merged = base.clone();
        merged.labels.extend(self.labels);
        merged.ssh = self.ssh.over(&base.ssh);
        merged.taints = self.taints.or(merged.taints);
        merged.cri_socket = self.cri_socket.or(merged.cri_socket);
        merged.image_pull_policy = self.image_pull_policy.or(merged.image_pull_policy);
        merged.kubelet_extra_args = self.kubelet_extra_args.or(merged.kubelet_extra_args);
        merge(&mut merged.kubelet_config, self.kubelet_config);
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
        socket.unwrap_or(CRI_SOCKET).to_owned()
    }

    /// Pull policy of control-plane images.
    pub(super) fn image_pull_policy(&self) -> ImagePullPolicy {
        self.image_pull_policy.unwrap_or_default()
    }

    /// More kubelet arguments.
    pub(super) fn kubelet_extra_args(&self) -> Vec<super::super::cluster::Arg> {
        self.kubelet_extra_args.clone().unwrap_or_default()
    }
}

/// Lays one free-form tree over another: mappings merge, all else is replaced.
pub(super) fn merge(base: &mut Tree, over: Tree) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Object(base)), Value::Object(over)) => merge(base, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

fn refuse_node_name(given: &NodeRegistration, at: &Path, context: &mut Context<'_>) {
    if given.name.is_some() {
        let at = at.key("nodeRegistration").key("name");
        let message = "a node's name belongs to its host: no two may share it";
        context.report(
            Fault::error(&at, message).help("move it to `nodeRegistration.name` of that host"),
        );
    }
}

fn cri_socket(socket: &str) -> Result<(), String> {
    match socket.strip_prefix("unix://") {
        Some(path) => syntax::absolute_path(path),
        None if socket.starts_with('/') => {
            Err(format!("lacks its scheme: write `unix://{socket}`"))
        }
        None => Err(format!("is not of the form `{CRI_SOCKET}`")),
    }
}

fn check_taints(taints: Option<&[Taint]>, at: &Path, context: &mut Context<'_>) {
    let mut seen: HashMap<(&str, String), usize> = HashMap::new();
    for (index, taint) in taints.into_iter().flatten().enumerate() {
        let here = at.index(index);
        context.valid(&here.key("key"), syntax::qualified_name(&taint.key));
        if let Some(value) = &taint.value {
            context.valid(&here.key("value"), syntax::label_value(value));
        }
        let identity = (taint.key.as_str(), format!("{:?}", taint.effect));
        if let Some(first) = seen.insert(identity, index) {
            context.report(
                Fault::error(&here.key("key"), "two taints have one key and one effect")
                    .label("again here")
                    .also(&at.index(first).key("key"), "first here"),
            );
        }
    }
}

fn check_labels(labels: &BTreeMap<String, String>, at: &Path, context: &mut Context<'_>) {
    for (key, value) in labels {
        let at = at.key(key);
        context.valid_key(&at, key, syntax::qualified_name(key));
        if let Err(wrong) = syntax::label_value(value) {
            let message = format!("the value of label `{}` {wrong}", shorten(key));
            context.report(Fault::error(&at, message));
        }
    }
}

fn checks(names: &[String], at: &Path, context: &mut Context<'_>) -> Vec<String> {
    for (index, name) in names.iter().enumerate() {
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == ',') {
            let at = at.index(index);
            let message = format!("`{at}` is not a check's name, such as `Swap`");
            let fault = Fault::error(&at, message);
            context.report(match name.contains(',') {
                true => fault.help("write each name as an item of its own"),
                false => fault,
            });
        }
    }
    names.iter().map(|name| name.to_lowercase()).collect()
}

fn sysctls(
    given: &BTreeMap<String, Scalar>,
    at: &Path,
    context: &mut Context<'_>,
) -> BTreeMap<String, String> {
    let settings = given.iter().map(|(key, value)| {
        let at = at.key(key);
        context.valid_key(&at, key, syntax::sysctl(key));
        let value = match value {
            // What `true` means to the kernel.
            Scalar::Bool(on) => u8::from(*on).to_string(),
            other => other.to_string(),
        };
        if value.is_empty() || value.contains(char::is_control) {
            let message = format!(
                "the value of sysctl `{}` is empty or has line breaks",
                shorten(key)
            );
            context.report(Fault::error(&at, message));
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
        merge(
            &mut base,
            tree(json!({"a": {"c": [3]}, "d": {"e": 2}, "f": null})),
        );
        let expected = json!({"a": {"b": 1, "c": [3]}, "d": {"e": 2}, "f": null});
        assert_eq!(base, tree(expected));
    }
}
