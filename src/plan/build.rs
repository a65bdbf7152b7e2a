//! Builds a plan from the state of hosts and API. Writes nothing.

use std::io;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Node;
use serde_json::Value;

use super::model::{EtcdStep, Live, Plan, Work, pod_cidrs};
use super::removals::{self, Removal};
use crate::cluster::lock::LockSeen;
use crate::cluster::survey::{Aside, Surveyed};
use crate::desired::context::Context;
use crate::desired::target::Target;
use crate::desired::withdrawn::withdrawn_files;
use crate::desired::{node, renewed};
use crate::host;
use crate::host::{Observed, Owner, Resource};
use crate::kubernetes::api::{AppliedSet, ObjectChange};
use crate::kubernetes::network::pod_network;
use crate::kubernetes::upload_certs::CertificateKey;
use crate::layout::components::ETCD;
use crate::layout::paths;
use crate::run::Run;
use crate::run::error::Error;
use crate::run::phase::Phase;

/// An observed host.
#[derive(Debug)]
pub(crate) struct Looked {
    surveyed: Surveyed,
    node: Option<Node>,
    observed: Observed,
}

/// Observes all selected hosts, with one command each. What to observe depends on the
/// Node's pod CIDR, so the API is asked first, if reachable.
///
/// # Errors
/// The first control plane that cannot be observed; workers are set aside.
pub(crate) async fn observe_hosts(
    run: &Run,
    context: &Context,
    live: Option<&Live>,
    surveyed: Vec<Surveyed>,
) -> Result<(Vec<Looked>, Vec<Aside>), Error> {
    let taking_part = surveyed.into_iter().filter(|one| run.takes_part(&one.host));
    let looks: Vec<_> = futures::stream::iter(taking_part)
        .map(|one| async move {
            let node = live
                .and_then(|live| live.node(&one.host.node_name))
                .cloned();
            let resources = resources(context, &one, node.as_ref())?;
            let resources: Vec<Resource> = resources.into_iter().map(|(_, r)| r).collect();
            let observed = one.session.observe(&resources).await.and_then(|observed| {
                host::refuse_loose(&resources, &observed)?;
                Ok(observed)
            });
            match observed {
                Ok(observed) => {
                    warn_ignored(run, &one, &observed);
                    Ok(Ok(Looked {
                        surveyed: one,
                        node,
                        observed,
                    }))
                }
                Err(error) if one.host.is_control_plane() => Err(error.on(&one.host.name)),
                Err(error) => {
                    run.tracker.expect(Phase::Preflight, 1);
                    run.tracker
                        .part(Phase::Preflight)
                        .failed(&one.host.name, &error);
                    Ok(Err(Aside {
                        host: one.host.name.clone(),
                        error,
                    }))
                }
            }
        })
        .buffered(run.options.parallel)
        .try_collect()
        .await?;
    let (mut looked, mut aside) = (Vec::new(), Vec::new());
    for look in looks {
        match look {
            Ok(one) => looked.push(one),
            Err(one) => aside.push(one),
        }
    }
    Ok((looked, aside))
}

/// Says what of a host's receipt is not believed.
fn warn_ignored(run: &Run, one: &Surveyed, observed: &Observed) {
    let receipt = observed.receipt.iter();
    let ignored: Vec<&str> = receipt
        .flat_map(|receipt| receipt.ignored.iter().map(String::as_str))
        .collect();
    if !ignored.is_empty() {
        run.events().warn(format!(
            "{}: its receipt, /var/lib/clusterctl/receipt.json, names what apply never changes, \
             which is left alone: {}",
            one.host.name,
            ignored.join(", ")
        ));
    }
}

/// Everything that a host should hold, as far as known.
fn resources(
    context: &Context,
    one: &Surveyed,
    node: Option<&Node>,
) -> Result<Vec<(Phase, Resource)>, Error> {
    let pod_cidrs = node.map(pod_cidrs).unwrap_or_default();
    context.resources(&Target {
        host: &one.host,
        facts: &one.gathered.facts,
        joined: context.is_in(one),
        pod_cidrs: &pod_cidrs,
    })
}

/// Compares and builds the plan. Pure, except for the API's dry runs.
///
/// # Errors
/// Something that does not render, a host of another cluster, a selection that lacks
/// phases, an error of the API.
pub(crate) async fn build_plan(
    run: &Run,
    context: &Arc<Context>,
    control_planes: &[Surveyed],
    live: Option<&Live>,
    looked: &[Looked],
) -> Result<Plan, Error> {
    let mut work = Vec::with_capacity(looked.len());
    for one in looked {
        let name = &one.surveyed.host.name;
        work.push(
            plan_work(run, context, live, one)
                .await
                .map_err(|error| error.on(name))?,
        );
    }
    let objects = plan_objects(run, context, live).await?;
    if let Some(phase) = run.first_phase_through_api()
        && live.is_none()
        && !run.has(Phase::ControlPlane)
    {
        return Err(Error::NotAlone {
            phase: phase.name(),
            missing: "the API server is not responding".into(),
            hint: "run the earlier phases first: `--phases certs,hosts,control-plane`".into(),
        });
    }
    // It contains the first control plane's credentials, so it is kept while that one is
    // unreachable.
    let complete = control_planes.len() == run.cluster.control_planes().count();
    let kubeconfig = run.has(Phase::Kubeconfig) && complete && kubeconfig_differs(run, context)?;
    let first = match live {
        Some(live) => control_planes
            .iter()
            .find(|one| one.host.name == live.through),
        None => control_planes.first(),
    };
    Ok(Plan {
        phases: run.options.selection.clone(),
        certs: context.pki.decisions.clone(),
        context: Arc::clone(context),
        first: first.cloned().ok_or(Error::Interrupted)?,
        control_planes: control_planes.to_vec(),
        live: live.is_some() || context.exists,
        responds: live.is_some(),
        work,
        objects: objects.all,
        object_changes: objects.changes,
        removals: objects.removals,
        applied_set: objects.applied_set,
        certificate_key: certificate_key(run)?,
        kubeconfig,
        lock: see_lock(control_planes, live, looked),
    })
}

/// What would happen to the API's objects.
struct Objects {
    all: Vec<(Phase, Value)>,
    changes: Option<Vec<(Phase, ObjectChange)>>,
    removals: Vec<Removal>,
    applied_set: Value,
}

async fn plan_objects(run: &Run, context: &Context, live: Option<&Live>) -> Result<Objects, Error> {
    let desired = context.objects()?;
    let empty = AppliedSet::default();
    let set = live.map_or(&empty, |live| &live.applied_set);
    let phases = &run.options.selection;
    let removals = match run.options.prunes {
        true => removals::list_removals(set, &desired, phases),
        false => Vec::new(),
    };
    let applied_set = removals::parent_after(set, &desired, phases, &removals);
    let mut all = collect_objects(run, context, desired, &applied_set)?;
    let changes = match live {
        Some(live) => {
            let kept = super::objects::keep_live_values(context, &live.api, &mut all).await?;
            kept.iter()
                .for_each(|warning| run.events().warn(warning.as_str()));
            Some(super::objects::compare(run, &live.api, &all).await?)
        }
        None => None,
    };
    Ok(Objects {
        all,
        changes,
        removals,
        applied_set,
    })
}

/// What this run knows of the lock.
fn see_lock(control_planes: &[Surveyed], live: Option<&Live>, looked: &[Looked]) -> LockSeen {
    let found = |one: &Looked| {
        let turn = one.observed.turn.clone()?;
        Some((one.surveyed.host.name.clone(), turn))
    };
    let offset = control_planes
        .iter()
        .find_map(|one| one.gathered.clock_offset);
    LockSeen {
        lease: live.and_then(|live| live.lock.clone()),
        hosts: looked.iter().filter_map(found).collect(),
        clock_offset: SignedDuration::from_nanos_i128(offset.unwrap_or(0)),
        compared_clocks: offset.is_some(),
    }
}

/// The objects that the phases of this run are about.
fn collect_objects(
    run: &Run,
    context: &Context,
    desired: Vec<(Phase, Value)>,
    applied_set: &Value,
) -> Result<Vec<(Phase, Value)>, Error> {
    let mut objects = desired;
    if run.first_phase_through_api().is_some() {
        let first = [context.cluster_admins()?, applied_set.clone()];
        objects.splice(0..0, first.map(|object| (Phase::ControlPlane, object)));
    }
    if run.uploads_certs() {
        objects.extend(context.upload_certs_rbac()?);
    }
    // Whatever needs the API first makes sure that the admin may use it.
    objects.retain(|(phase, _)| *phase == Phase::ControlPlane || run.has(*phase));
    Ok(objects)
}

/// What a host should hold, by when it gets it in this run.
struct Sorted {
    now: Vec<Resource>,
    /// Once it can join.
    later: Vec<Resource>,
    /// Not in this run: other phases' part.
    assumed: Vec<(Phase, Resource)>,
}

fn sort_resources(
    run: &Run,
    context: &Context,
    one: &Looked,
    joins: bool,
) -> Result<Sorted, Error> {
    let mut sorted = Sorted {
        now: Vec::new(),
        later: Vec::new(),
        assumed: Vec::new(),
    };
    let mut wanted = resources(context, &one.surveyed, one.node.as_ref())?;
    if let Some(receipt) = &one.observed.receipt {
        wanted.extend(withdrawn_files(&context.cluster, &wanted, receipt));
    }
    for (phase, resource) in renewed::left_alone(wanted, &one.observed, &context.pki) {
        if !run.has(phase) {
            sorted.assumed.push((phase, resource));
        } else if phase == Phase::Join && joins {
            sorted.later.push(resource);
        } else {
            sorted.now.push(resource);
        }
    }
    Ok(sorted)
}

async fn plan_work(
    run: &Run,
    context: &Context,
    live: Option<&Live>,
    one: &Looked,
) -> Result<Work, Error> {
    let Looked {
        surveyed,
        node,
        observed,
    } = one;
    let joins = !surveyed.host.is_control_plane() && !context.is_in(surveyed);
    let owner = &context.owner;
    let Sorted {
        mut now,
        later,
        assumed,
    } = sort_resources(run, context, one, joins)?;
    refuse_alone(run, owner, observed, assumed)?;
    let mut prepare = host::diff(&now, observed, owner)?;
    let etcd = paths::manifest(ETCD);
    if prepare.changes.iter().any(|change| change.name == etcd) {
        now = sort_resources(run, &context.with_settled_etcd(), one, joins)?.now;
        prepare = host::diff(&now, observed, owner)?;
    }
    if run.has(Phase::Hosts) {
        prepare.keep_previous(observed, live.is_some() && node.is_some() && !joins);
    }
    let join = match later.is_empty() {
        true => None,
        false => Some(host::diff(&later, observed, owner)?),
    };
    let (mut labels, mut taints, mut removed_taints) = (None, Vec::new(), Vec::new());
    if let (Some(node), Some(live), true) = (node, live, run.has(Phase::Nodes)) {
        let wanted = node::metadata(&run.cluster, &surveyed.host);
        let applier = live.api.applier();
        let compared = applier
            .compare_and_warn(std::slice::from_ref(&wanted))
            .await?;
        let (mut changes, warnings) = compared;
        labels = changes.pop();
        for warning in warnings {
            run.events().warn(warning);
        }
        taints = node::missing_taints(&surveyed.host, node);
        removed_taints = node::unwanted_taints(&surveyed.host, node);
    }
    let registers_again = live.is_some() && node.is_none() && context.is_in(surveyed);
    let registers = surveyed.host.is_control_plane() || !joins || join.is_some();
    let waits_for_node = registers && lacks_registration(run, node.as_ref());
    Ok(Work {
        surveyed: surveyed.clone(),
        prepare,
        join,
        join_resources: later,
        node: node.clone(),
        registers_again,
        etcd: etcd_step(run, context, surveyed),
        waits_for_node,
        labels,
        taints,
        removed_taints,
    })
}

/// Whether a phase of this run has to wait for what registration brings: a Node, and its pod
/// CIDR. A run that ended early may have left a Node without one, for want of a controller
/// manager.
fn lacks_registration(run: &Run, node: Option<&Node>) -> bool {
    let needs_cidr = pod_network(&run.cluster).needs_pod_cidr();
    let lacks = node.is_none_or(|node| needs_cidr && pod_cidrs(node).is_empty());
    lacks && (run.has(Phase::Network) || run.has(Phase::Nodes))
}

/// What happens to a control plane's etcd member, apart from its files.
fn etcd_step(run: &Run, context: &Context, one: &Surveyed) -> Option<EtcdStep> {
    if !run.has(Phase::ControlPlane) || !one.host.is_control_plane() {
        None
    } else if context.etcd.has_lost_data(&one.host) {
        Some(EtcdStep::Replace)
    } else if context.etcd.joins(&one.host) {
        Some(EtcdStep::Join)
    } else if context.etcd.is_learner(&one.host) {
        Some(EtcdStep::Promote)
    } else {
        None
    }
}

/// Fails if a phase needs others that are not selected and have not run.
fn refuse_alone(
    run: &Run,
    owner: &Owner,
    observed: &Observed,
    assumed: Vec<(Phase, Resource)>,
) -> Result<(), Error> {
    for phase in [Phase::ControlPlane, Phase::Join] {
        if !run.has(phase) {
            continue;
        }
        for needed in run.options.selection.assumed(phase) {
            let resources: Vec<_> = assumed
                .iter()
                .filter(|(owner, _)| *owner == needed)
                .map(|(_, resource)| resource.clone())
                .collect();
            let changes = host::diff(&resources, observed, owner)?.changes;
            if let Some(first) = changes.first() {
                return Err(Error::NotAlone {
                    phase: phase.name(),
                    missing: format!(
                        "phase {} still has to {first}{}",
                        needed.name(),
                        match changes.len() {
                            1 => String::new(),
                            n => format!(", and {} more", n - 1),
                        }
                    ),
                    hint: format!("add it: `--phases {},{}`", needed.name(), phase.name()),
                });
            }
        }
    }
    Ok(())
}

/// The key that encrypts uploaded certificates: the inventory's, or a new one. `None` if
/// nothing is uploaded.
fn certificate_key(run: &Run) -> Result<Option<CertificateKey>, Error> {
    if !run.uploads_certs() {
        return Ok(None);
    }
    Ok(Some(match &run.cluster.certificate_key {
        Some(text) => CertificateKey::parse(text)?,
        None => CertificateKey::generate()?,
    }))
}

/// Whether the state directory has a different kubeconfig, or none.
fn kubeconfig_differs(run: &Run, context: &Context) -> Result<bool, Error> {
    let path = run.state.kubeconfig();
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text != *context.admin_kubeconfig()?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(source) => Err(Error::File {
            what: "read",
            path,
            source,
        }),
    }
}
