//! Files of the operator's own.

use std::collections::HashMap;

use super::fault::Fault;
use super::resolver::Resolver;
use super::syntax;
use crate::inventory::cluster::UserFile;
use crate::inventory::spec::{FileSpec, defaults};
use crate::inventory::yaml::{FieldPath, shorten};
use crate::layout::{paths, places};

/// The paths on a host that clusterctl-rs manages, and `files` can't use.
pub(super) struct ManagedPaths<'a> {
    pub(super) certificates_dir: &'a str,
    pub(super) etcd_data_dir: Option<&'a str>,
    pub(super) containerd: bool,
}

impl ManagedPaths<'_> {
    /// Why a destination is taken, if it is.
    fn conflict_help(&self, destination: &str) -> Option<String> {
        let within = |directory: &str| {
            destination
                .strip_prefix(directory)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        const FILES: [(&str, &str); 10] = [
            (paths::ADMIN_CONF, ""),
            (paths::SUPER_ADMIN_CONF, ""),
            (paths::KUBELET_CONF, ""),
            (paths::BOOTSTRAP_KUBELET_CONF, ""),
            (paths::CONTROLLER_MANAGER_CONF, ""),
            (paths::SCHEDULER_CONF, ""),
            (paths::KUBELET_CONFIG, "set `kubelet.config` instead"),
            (paths::KUBELET_INSTANCE_CONFIG, ""),
            (
                paths::KUBELET_FLAGS,
                "set `nodeRegistration.kubeletExtraArgs` instead",
            ),
            (
                paths::CONTAINERD_CONFIG,
                "set `runtime.containerd.config` instead",
            ),
        ];
        if let Some((path, help)) = FILES.iter().find(|(path, _)| *path == destination) {
            let ours = self.containerd || *path != paths::CONTAINERD_CONFIG;
            return ours.then(|| (*help).to_owned());
        }
        let change = |what: &str| format!("use {what} to change it");
        if within(paths::MANIFESTS_DIR) {
            return Some(change("`patches` or `extraArgs`"));
        }
        if within(paths::HAPROXY_DIR) {
            return Some("override the template `haproxy/haproxy.cfg.j2` instead".to_owned());
        }
        if within(self.certificates_dir) {
            return Some(
                "to use your own CA, put it into the cluster's state directory instead".to_owned(),
            );
        }
        let ours = within(paths::STATE_DIR) || self.etcd_data_dir.is_some_and(within);
        ours.then(String::new)
    }
}

/// Resolves the files of one level (the cluster, a group or a host).
pub(super) fn resolve_files(
    specs: &[FileSpec],
    managed: &ManagedPaths<'_>,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) -> Vec<UserFile> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let mut files = Vec::new();
    for (index, spec) in specs.iter().enumerate() {
        let here = at.index(index);
        let source = resolver.require_file(&here.key("source"), &spec.source);
        check_destination(spec, managed, &here, resolver);
        let destination_at = here.key("destination");
        if let Some(first) = seen.insert(&spec.destination, index) {
            resolver.report(
                Fault::error(&destination_at, "two files have the same destination")
                    .label("used again here")
                    .also(&at.index(first).key("destination"), "first used here"),
            );
        }
        let owner = spec.owner.as_deref().unwrap_or(defaults::FILE_OWNER);
        let owner = resolver.check(&here.key("owner"), syntax::parse_owner(owner));
        let mode = spec.mode.as_deref().unwrap_or(match spec.secret {
            true => defaults::SECRET_FILE_MODE,
            false => defaults::FILE_MODE,
        });
        let mode = resolver.check(&here.key("mode"), syntax::parse_mode(mode));
        files.push(UserFile {
            source,
            destination: spec.destination.clone(),
            owner: owner.unwrap_or_default(),
            mode: mode.unwrap_or_default(),
            has_mode: spec.mode.is_some(),
            template: spec.template,
            secret: spec.secret,
        });
    }
    files
}

fn check_destination(
    spec: &FileSpec,
    managed: &ManagedPaths<'_>,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) {
    let at = at.key("destination");
    let valid = syntax::check_absolute_path(&spec.destination);
    if resolver.check(&at, valid).is_none() {
        return;
    }
    if spec.destination.ends_with('/') {
        let message = format!("`{at}` is a directory");
        let name = spec.source.rsplit('/').next().unwrap_or_default();
        let path = shorten(&format!("{}{name}", spec.destination));
        resolver.report(Fault::error(&at, message).help(format!("add the file name: `{path}`")));
    } else if let Some(help) = managed.conflict_help(&spec.destination) {
        let message = format!(
            "`{}` is managed by clusterctl-rs",
            shorten(&spec.destination)
        );
        let fault = Fault::error(&at, message);
        resolver.report(match help.is_empty() {
            true => fault,
            false => fault.help(help),
        });
    } else if let Some(never) = places::why_never(&spec.destination) {
        let path = shorten(&spec.destination);
        let fault = Fault::error(&at, format!("`{path}` cannot be replaced: {}", never.why));
        resolver.report(match never.instead {
            Some(instead) => fault.help(instead),
            None => fault,
        });
    }
}
