//! Static pods that run already and of which something changes. They are no resource of
//! their own: their manifests are files, and so is what they read.

use super::comparison::Comparison;
use super::kind::{ResourceKind, Wanted};
use super::step::{Bundle, Step, Work};
use crate::host::change::{Action, Detail, Kind};
use crate::host::error::HostError;
use crate::host::wire::{quote, word};
use crate::layout::components::{API_SERVER, ETCD};
use crate::layout::paths;

pub(in crate::host) const KIND: ResourceKind = ResourceKind {
    shell: include_str!("static_pod.sh"),
    compare: compare_static_pods,
    prepare: remember_processes,
    converge: restart_static_pods,
    ..ResourceKind::NOTHING
};

#[derive(Debug)]
pub(in crate::host) struct RestartStaticPod {
    name: String,
    /// Whether its manifest changes: then the kubelet restarts it by itself, and we only
    /// wait.
    pub(in crate::host) manifest: bool,
    /// Whether it ends with etcd.
    follows: bool,
    /// Whether that is all, and nothing that it reads changes.
    only_follows: bool,
}

impl RestartStaticPod {
    /// The component's name.
    pub(in crate::host) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is restarted for etcd's sake alone.
    pub(in crate::host) fn only_follows(&self) -> bool {
        self.only_follows
    }
}

impl Step for RestartStaticPod {
    fn restarts(&self) -> Result<Option<&str>, HostError> {
        match self.manifest || self.only_follows {
            // A changed manifest is the kubelet's to act on, with or without us.
            true => Ok(None),
            false => Ok(Some(word("static pod", &self.name)?)),
        }
    }
}

/// Once the kubelet is as it should be. A manifest that is new starts its pod; nothing has
/// to go for it.
fn compare_static_pods(_: &Wanted<'_>, found: &mut Comparison<'_>) {
    let changes = |found: &Comparison<'_>, name: &str| {
        let path = paths::manifest(name);
        found.written.contains(&path) && !found.reworded.contains(&path)
    };
    let mut names = std::mem::take(&mut found.static_pods);
    // An API server is of no use while the kubelet replaces its etcd: see `end_api_server`.
    let etcd_is_replaced = names.contains(ETCD) && changes(found, ETCD);
    let only_follows = etcd_is_replaced && names.insert(API_SERVER.to_owned());
    for name in names {
        if found.observed.at(&paths::manifest(&name)).is_none() {
            continue;
        }
        let step = RestartStaticPod {
            name: name.clone(),
            manifest: changes(found, &name),
            follows: etcd_is_replaced && name == API_SERVER,
            only_follows: only_follows && name == API_SERVER,
        };
        found.push(Action::Restart, Kind::StaticPod, &name, Detail::None, step);
    }
}

/// Which processes they are, before anything changes.
fn remember_processes(work: &Work, bundle: &mut Bundle) -> Result<(), HostError> {
    for (number, RestartStaticPod { name, .. }) in work.all() {
        let name = quote(word("static pod", name)?);
        bundle.line(&format!("static_pod_runs {number} {name}"));
    }
    Ok(())
}

/// Waits until these are gone.
fn restart_static_pods(work: &Work, bundle: &mut Bundle) -> Result<(), HostError> {
    for (number, step) in work.all::<RestartStaticPod>() {
        let name = quote(word("static pod", &step.name)?);
        let function = match (step.follows, step.manifest) {
            (true, _) => "static_pod_follows",
            (false, true) => "static_pod_changed",
            (false, false) => "static_pod_restart",
        };
        bundle.line(&format!("{function} {number} {name}"));
    }
    Ok(())
}
