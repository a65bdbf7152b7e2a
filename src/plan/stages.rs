//! In which order a plan is carried out. The order of the changes on one host
//! is that of its plan.

use crate::plan::document::Stage;
use crate::plan::model::{Plan, Work};
use crate::run::Run;
use crate::run::phase::PHASES;
use crate::run::phase::Phase;
use text::count;

/// The stages of a run that have something to do. It describes what
/// [`super::execute`] does: how hosts follow each other there is to be said
/// here.
pub(crate) fn stages(run: &Run, plan: &Plan) -> Vec<Stage> {
    PHASES
        .iter()
        .filter_map(|info| stage(run, plan, info.phase))
        .collect()
}

fn stage(run: &Run, plan: &Plan, phase: Phase) -> Option<Stage> {
    let hosts = |wanted: &dyn Fn(&Work) -> bool| -> Vec<String> {
        let work = plan.work.iter().filter(|work| wanted(work));
        work.map(|work| work.name().to_owned()).collect()
    };
    let on = |hosts: Vec<String>, how: &str| {
        let stage = Stage {
            phase: phase.name().to_owned(),
            how: how.to_owned(),
            hosts,
        };
        (!stage.hosts.is_empty()).then_some(stage)
    };
    let here = |happens: bool, how: String| {
        happens.then(|| Stage {
            phase: phase.name().to_owned(),
            hosts: Vec::new(),
            how,
        })
    };
    let through_api = || {
        let objects = objects(plan, phase);
        here(
            objects > 0,
            format!("{}, through the API", count(objects, "object")),
        )
    };
    match phase {
        Phase::Certs => here(plan.changes_certs(), "on this machine".into()),
        Phase::Hosts => on(
            hosts(&|work| !work.prepare.is_empty()),
            "in parallel, changes in the order shown",
        ),
        Phase::ControlPlane => on(
            hosts(&|work| {
                let changes = !work.prepare.is_empty() || work.etcd.is_some() || !plan.live;
                run.has(phase) && work.is_control_plane() && changes
            }),
            match plan.live {
                true => "one at a time, each until it is healthy; new ones last",
                false => "in parallel, each until its components are healthy",
            },
        )
        // The admin's own rights belong to it.
        .or_else(through_api),
        Phase::Join => on(
            hosts(&|work| work.join.is_some()),
            "in parallel, once the API server is up",
        ),
        Phase::Nodes => on(
            hosts(&|work| work.waits_for_node || work.registers_again || work.changes_node()),
            "in parallel, each once its node has registered, until it is Ready",
        ),
        Phase::Kubeconfig => here(plan.kubeconfig, "on this machine".into()),
        Phase::UploadCerts => here(plan.certificate_key.is_some(), "through the API".into()),
        _ => through_api(),
    }
}

/// How many objects a phase applies, as far as that is known.
fn objects(plan: &Plan, phase: Phase) -> usize {
    match &plan.object_changes {
        Some(changes) => changes.iter().filter(|(owner, _)| *owner == phase).count(),
        None => plan
            .objects
            .iter()
            .filter(|(owner, _)| *owner == phase)
            .count(),
    }
}
