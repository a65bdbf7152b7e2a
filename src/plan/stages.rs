//! The order in which a plan is applied. Changes on one host are made in the order of its
//! plan.

use text::count;

use super::document::Stage;
use super::model::{Plan, Work};
use crate::run::phase::{PHASES, Phase};

/// The stages that have something to do, in the order of `apply`.
pub(crate) fn list_stages(plan: &Plan) -> Vec<Stage> {
    let applied = PHASES
        .iter()
        .filter_map(|info| describe_stage(plan, info.phase));
    let deleted = PHASES
        .iter()
        .filter_map(|info| describe_removals(plan, info.phase));
    applied.chain(deleted).collect()
}

/// Describes what is deleted of what `phase` applied once, if anything.
fn describe_removals(plan: &Plan, phase: Phase) -> Option<Stage> {
    let removals = plan.removals.iter().filter(|one| one.phase == phase);
    let objects = match removals.count() {
        0 => return None,
        n => count(n, "object"),
    };
    Some(Stage {
        phase: phase.name().to_owned(),
        hosts: Vec::new(),
        how: format!("delete {objects}, through the API, once all others are applied"),
    })
}

/// Describes `phase`; `None` if it has nothing to do.
fn describe_stage(plan: &Plan, phase: Phase) -> Option<Stage> {
    let hosts: Vec<String> = plan
        .affected_by(phase)
        .map(|work| work.name().to_owned())
        .collect();
    let how = match phase {
        _ if hosts.is_empty() => return describe_without_hosts(plan, phase),
        Phase::ControlPlane if plan.live => {
            "one at a time, each until it is healthy; new ones last"
        }
        Phase::ControlPlane => "in parallel, each until its components are healthy",
        Phase::Join => "in parallel, once the API server is up",
        Phase::Network => "in parallel, each once it has its pod CIDR",
        Phase::Nodes => "in parallel, each once its node has registered, until it is Ready",
        _ => "in parallel, changes in the order shown",
    };
    let turns = match phase {
        Phase::Hosts => describe_turns(plan),
        _ => String::new(),
    };
    Some(Stage {
        phase: phase.name().to_owned(),
        hosts,
        how: format!("{how}{turns}"),
    })
}

/// Says which hosts of a running cluster wait for each other.
fn describe_turns(plan: &Plan) -> String {
    let mut turns = String::new();
    let mut affected = plan.affected_by(Phase::Hosts);
    if plan.live && affected.any(Work::is_control_plane) {
        turns += "; control planes one at a time";
    }
    if plan.disturbed_workers().next().is_some() {
        turns += &format!(
            "; workers with restarts {} at a time",
            plan.turns_of_workers()
        );
    }
    turns
}

/// Describes a phase that affects only this machine or the API.
fn describe_without_hosts(plan: &Plan, phase: Phase) -> Option<Stage> {
    let objects = plan.objects_of(phase);
    let how = match phase {
        Phase::Certs if plan.changes_certs() => "on this machine".to_owned(),
        Phase::Kubeconfig if plan.kubeconfig => "on this machine".to_owned(),
        Phase::UploadCerts if plan.certificate_key.is_some() => "through the API".to_owned(),
        _ if objects > 0 => format!("{}, through the API", count(objects, "object")),
        _ => return None,
    };
    Some(Stage {
        phase: phase.name().to_owned(),
        hosts: Vec::new(),
        how,
    })
}
