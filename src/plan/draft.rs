//! Reads everything that planning needs: connects, gathers facts, runs preflight checks,
//! observes hosts and API.

use std::sync::Arc;

use pki::{Pki, spki_pin};

use super::build::Looked;
use super::certificates::plan_certificates;
use super::changes::refuse_changes;
use super::document::PlanDocument;
use super::live::find_live_api;
use super::model::{Live, Plan};
use super::removals::warn_kept;
use super::{build, preflight};
use crate::cluster::clocks::refuse_wrong_clocks;
use crate::cluster::etcd::ask_views;
use crate::cluster::identity::{KnownCluster, refuse_other_clusters};
use crate::cluster::survey::{Aside, Surveyed, survey_hosts};
use crate::desired::context::Context;
use crate::desired::etcd_members::Membership;
use crate::desired::target::facts_of;
use crate::desired::{artifacts, certificates};
use crate::host;
use crate::host::Owner;
use crate::kubernetes::api::{Health, node_ready};
use crate::kubernetes::{Endpoints, Patches, Templates, Token, endpoint};
use crate::run::Run;
use crate::run::error::Error;
use crate::run::phase::Phase;

/// What a plan is built from.
pub struct Draft {
    context: Arc<Context>,
    control_planes: Vec<Surveyed>,
    live: Option<Live>,
    looked: Vec<Looked>,
    request: pki::Request,
    /// Hosts that were set aside.
    pub aside: Vec<Aside>,
    /// The findings of preflight, including warnings.
    pub findings: Vec<host::preflight::Finding>,
}

impl Draft {
    /// Connects, gathers facts, checks and observes: at most two commands per host. Writes
    /// nothing.
    ///
    /// # Errors
    /// Preflight errors, unreachable control planes, files that cannot be used.
    // Long: what is read, and refused, in the order in which it has to be.
    pub async fn new(run: &Run) -> Result<Self, Error> {
        // Templates, patches and artifacts are the user's: report what is wrong with them
        // before touching a host.
        let templates = Templates::load(run.cluster.templates_dir.as_deref())?;
        let patches = Patches::load(run.cluster.patches_dir.as_deref())?;
        // Held until all hosts are observed, because hosts that fail on the way belong to
        // this phase.
        run.tracker.expect(Phase::Preflight, 1);
        let whole = run.tracker.part(Phase::Preflight);
        let (surveyed, mut aside) = survey_hosts(run).await;
        let control_planes: Vec<Surveyed> = surveyed
            .iter()
            .filter(|one| one.host.is_control_plane())
            .cloned()
            .collect();
        if control_planes.is_empty() {
            return Err(lost_control_plane(run, &mut aside));
        }
        let known = KnownCluster::read(run)?;
        refuse_other_clusters(run, &known, &surveyed)?;
        refuse_wrong_clocks(&surveyed)?;
        let reached: Vec<&Surveyed> = control_planes.iter().collect();
        let request = certificates::request(&run.cluster, &facts_of(&reached))?;
        let pki = plan_certificates(run, &request)?;
        let mut context = context(run, pki, templates, patches, &reached)?;
        context.owner = known.owner(&run.cluster, context.pki.ca_cert(), &surveyed);
        context.exists = cluster_exists(run, &context, &surveyed);
        // Before anything is checked, fetched or written, and in every phase: what the
        // inventory asks for may not be possible at all.
        refuse_changes(run, &context, &surveyed, &aside, None)?;
        let ca = context.pki.ca_cert();
        let findings = preflight::run_preflight(run, &context.owner, ca, &surveyed).await?;
        let architectures = surveyed
            .iter()
            .map(|one| one.gathered.facts.arch.clone())
            .collect();
        let artifacts = artifacts::open(run, architectures).await?;
        context.cluster = Arc::new(artifacts::fit(&run.cluster, &artifacts));
        context.artifacts = Some(Arc::new(artifacts));
        context.etcd = decide_members(run, &reached, context.exists).await?;
        for warning in &context.etcd.warnings {
            run.events().warn(warning.as_str());
        }
        let live = find_live_api(run, &context, &reached).await?;
        if live.is_some() {
            // Nodes say more, and there may be a cluster that has no administrator yet.
            refuse_changes(run, &context, &surveyed, &aside, live.as_ref())?;
        }
        // As long as the others keep the cluster running, an unreachable one affects only
        // itself. Without them, nothing can be done at all.
        if live.is_none() && aside.iter().any(|one| is_control_plane(run, one)) {
            return Err(lost_control_plane(run, &mut aside));
        }
        report_lost_control_planes(run, &aside);
        warn_kept_objects(run, &context, live.as_ref())?;
        let (looked, more) = build::observe_hosts(run, &context, live.as_ref(), surveyed).await?;
        aside.extend(more);
        drop(whole);
        Ok(Draft {
            context: Arc::new(context),
            control_planes,
            live,
            looked,
            request,
            aside,
            findings,
        })
    }

    /// Builds the plan.
    ///
    /// # Errors
    /// Something that does not render, hosts of another cluster, a selection that lacks
    /// phases, an error of the API.
    pub async fn plan(&self, run: &Run) -> Result<Plan, Error> {
        build::build_plan(
            run,
            &self.context,
            &self.control_planes,
            self.live.as_ref(),
            &self.looked,
        )
        .await
    }

    /// Builds the plan as a document: to be shown or saved, not to be applied.
    ///
    /// # Errors
    /// As [`Draft::plan`].
    pub async fn document(&self, run: &Run) -> Result<PlanDocument, Error> {
        let context = Arc::new(self.context.with_placeholders()?);
        let (live, looked) = (self.live.as_ref(), &self.looked);
        let plan = build::build_plan(run, &context, &self.control_planes, live, looked).await?;
        crate::plan::draw::document(run, &plan, &self.aside)
    }

    /// Refuses to go on with a plan that was kept in a file, if it would be another one now.
    ///
    /// # Errors
    /// [`Error::Moved`] with what has changed since; as [`Draft::plan`].
    pub async fn refuse_stale(&self, run: &Run, kept: &PlanDocument) -> Result<(), Error> {
        let moved = crate::plan::file::moved(kept, &self.document(run).await?);
        match moved.is_empty() {
            true => Ok(()),
            false => Err(Error::Moved { moved }),
        }
    }

    /// Whether the API server is reachable.
    pub fn has_api(&self) -> bool {
        self.live.is_some()
    }

    /// Whether there is a Node of that name and it is Ready.
    pub fn is_ready(&self, node: &str) -> bool {
        let node = self.live.as_ref().and_then(|live| live.node(node));
        node.is_some_and(|node| node_ready(node) == Health::Ok)
    }

    /// What the certificates of the control planes must contain.
    pub(crate) fn certificate_request(&self) -> &pki::Request {
        &self.request
    }

    /// Replaces the certificates to plan with.
    pub(crate) fn use_certificates(&mut self, pki: Arc<Pki>) {
        let ca = spki_pin(pki.ca_cert()).unwrap_or_default();
        let owner = Owner {
            ca,
            ..self.context.owner.clone()
        };
        self.context = Arc::new(Context {
            pki,
            owner,
            ..Context::clone(&self.context)
        });
    }
}

/// Warns about objects that left the inventory and are not deleted with the rest.
fn warn_kept_objects(run: &Run, context: &Context, live: Option<&Live>) -> Result<(), Error> {
    let Some(live) = live.filter(|_| run.options.prunes) else {
        return Ok(());
    };
    let desired = context.objects()?;
    for warning in warn_kept(&live.applied_set, &desired, &run.options.selection) {
        run.events().warn(warning);
    }
    Ok(())
}

/// Whether the API of the cluster has responded once: it has an administrator, or workers.
/// From then on a silent API is one that is down, and never taken for no cluster.
fn cluster_exists(run: &Run, context: &Context, surveyed: &[Surveyed]) -> bool {
    let is_joined_worker = |one: &Surveyed| !one.host.is_control_plane() && context.owns(one);
    run.state.kubeconfig().exists() || surveyed.iter().any(is_joined_worker)
}

/// Who forms etcd with whom.
async fn decide_members(
    run: &Run,
    control_planes: &[&Surveyed],
    exists: bool,
) -> Result<Membership, Error> {
    let ask = async |standing: &[&Surveyed]| ask_views(run, standing).await;
    Membership::decide(&run.cluster, control_planes, exists, ask).await
}

/// What is rendered from, without artifacts.
fn context(
    run: &Run,
    pki: Pki,
    templates: Templates,
    patches: Patches,
    control_planes: &[&Surveyed],
) -> Result<Context, Error> {
    let first = control_planes.first().ok_or_else(|| Error::Usage {
        message: "no control plane takes part".into(),
        hint: None,
    })?;
    let facts = |host: &crate::inventory::Host| {
        control_planes
            .iter()
            .find(|one| one.host.name == host.name)
            .map(|one| &one.gathered.facts)
    };
    Ok(Context {
        cluster: Arc::clone(&run.cluster),
        endpoints: Endpoints::from_facts(&run.cluster, facts)?,
        first_address: first_address(run, first)?,
        first_facts: first.gathered.facts.clone(),
        pki: Arc::new(pki),
        artifacts: None,
        templates: Arc::new(templates),
        patches: Arc::new(patches),
        token: Token::generate()?,
        etcd: Membership::default(),
        exists: false,
        owner: Owner::default(),
    })
}

/// The address that the inventory's first control plane advertises. It keeps its place even
/// while it is unreachable.
fn first_address(run: &Run, first: &Surveyed) -> Result<std::net::IpAddr, Error> {
    let known = run.cluster.control_planes().next().and_then(|host| {
        let written = host.advertise_address.or_else(|| host.address.parse().ok());
        written.filter(|_| host.name != first.host.name)
    });
    match known {
        Some(address) => Ok(address),
        None => Ok(endpoint::advertise_address(
            &first.host,
            &first.gathered.facts,
        )?),
    }
}

fn is_control_plane(run: &Run, one: &Aside) -> bool {
    let mut control_planes = run.cluster.control_planes();
    control_planes.any(|host| host.name == one.host)
}

fn report_lost_control_planes(run: &Run, aside: &[Aside]) {
    for one in aside.iter().filter(|one| is_control_plane(run, one)) {
        run.tracker.expect(Phase::Preflight, 1);
        let part = run.tracker.part(Phase::Preflight);
        part.failed(&one.host, &one.error);
    }
}

/// The error for the first control plane that is unreachable.
fn lost_control_plane(run: &Run, aside: &mut Vec<Aside>) -> Error {
    match aside.iter().position(|one| is_control_plane(run, one)) {
        Some(at) => {
            let one = aside.swap_remove(at);
            one.error.on(&one.host)
        }
        None => Error::Usage {
            message: "no control plane takes part".into(),
            hint: None,
        },
    }
}
