//! Static pods that run already and of which something changes. They are no resource of
//! their own: their manifests are files, and so is what they read.

use super::comparison::Comparison;
use super::kind::{ResourceKind, Wanted};
use super::step::{Bundle, Step, Work};
use crate::host::change::{Action, Detail, Kind};
use crate::host::error::HostError;
use crate::host::wire::{quote, word};
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
}

impl RestartStaticPod {
    /// The component's name.
    pub(in crate::host) fn name(&self) -> &str {
        &self.name
    }
}

impl Step for RestartStaticPod {
    fn restarts(&self) -> Result<Option<&str>, HostError> {
        match self.manifest {
            // A changed manifest is the kubelet's to act on, with or without us.
            true => Ok(None),
            false => Ok(Some(word("static pod", &self.name)?)),
        }
    }
}

/// Once the kubelet is as it should be. A manifest that is new starts its pod; nothing has
/// to go for it.
fn compare_static_pods(_: &Wanted<'_>, found: &mut Comparison<'_>) {
    for name in std::mem::take(&mut found.static_pods) {
        let path = paths::manifest(&name);
        if found.observed.at(&path).is_none() {
            continue;
        }
        let step = RestartStaticPod {
            name: name.clone(),
            manifest: found.written.contains(&path) && !found.reworded.contains(&path),
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
    for (number, RestartStaticPod { name, manifest }) in work.all() {
        let name = quote(word("static pod", name)?);
        let function = match manifest {
            true => "static_pod_changed",
            false => "static_pod_restart",
        };
        bundle.line(&format!("{function} {number} {name}"));
    }
    Ok(())
}
