//! Everything that planning reads: hosts connected, facts gathered, preflight
//! passed, the state of hosts and API known.

use std::sync::Arc;

use super::desired::Context;
use super::make_plan::{self, Looked};
use super::plan::{Live, Plan};
use super::survey::{Aside, Surveyed, survey};
use super::{Run, certs, preflight, sources};
use crate::artifacts::Set;
use crate::host::Facts;
use crate::inventory::{Cluster, Etcd, Host};
use crate::kubernetes::api::{Health, node_ready};
use crate::kubernetes::{self, EtcdMember, Patches, Templates, Token, endpoint};
use crate::pki::Pki;
use crate::{Error, host};

/// What a plan is made from.
pub struct Draft {
    context: Arc<Context>,
    first: Surveyed,
    live: Option<Live>,
    looked: Vec<Looked>,
    request: crate::pki::Request,
    /// Hosts that take no further part.
    pub aside: Vec<Aside>,
    /// What preflight found, warnings included.
    pub findings: Vec<host::preflight::Finding>,
}

impl Draft {
    /// Connects, gathers, checks and looks: at most two commands per host.
    /// Writes nothing, here or there.
    ///
    /// # Errors
    /// Preflight errors, control planes that can't be reached, files of the
    /// operator's that can't be used.
    pub async fn new(run: &Run) -> Result<Self, Error> {
        // Templates, patches and artifacts are the operator's: what is wrong
        // with them should be said before a host is touched.
        let templates = Templates::load(run.cluster.templates_dir.as_deref())?;
        let patches = Patches::load(run.cluster.patches_dir.as_deref())?;
        let (surveyed, mut aside) = survey(run).await?;
        let surveyed_control_planes: Vec<&Surveyed> = surveyed
            .iter()
            .filter(|one| one.host.is_control_plane())
            .collect();
        let request = certs::request(&run.cluster, &facts_of(&surveyed_control_planes))?;
        let pki = certs::plan(run, &request)?;
        let findings = preflight::check(run, pki.ca_cert(), &surveyed).await?;
        let architectures = surveyed
            .iter()
            .map(|one| one.gathered.facts.arch.clone())
            .collect();
        let artifacts = sources::open(run, architectures).await?;
        let context = context(
            run,
            pki,
            artifacts,
            templates,
            patches,
            &surveyed_control_planes,
        )?;
        let live = make_plan::live(run, &context, &surveyed_control_planes).await?;
        let first = surveyed_control_planes[0].clone();
        let (looked, more) = make_plan::look(run, &context, live.as_ref(), surveyed).await?;
        aside.extend(more);
        Ok(Draft {
            context: Arc::new(context),
            first,
            live,
            looked,
            request,
            aside,
            findings,
        })
    }

    /// What would have to be done.
    ///
    /// # Errors
    /// What doesn't render, hosts of another cluster, a part that can't stand
    /// alone, a refusal of the API.
    pub async fn plan(&self, run: &Run) -> Result<Plan, Error> {
        make_plan::make(
            run,
            &self.context,
            &self.first,
            self.live.as_ref(),
            &self.looked,
        )
        .await
    }

    /// Whether the API answers.
    pub fn has_api(&self) -> bool {
        self.live.is_some()
    }

    /// Whether the API knows a Node of that name, and it is Ready.
    pub fn is_ready(&self, node: &str) -> bool {
        let node = self.live.as_ref().and_then(|live| live.node(node));
        node.is_some_and(|node| node_ready(node) == Health::Ok)
    }

    /// Makes the certificates that are missing. The plan has to be made anew
    /// then, for it is about their content.
    ///
    /// # Errors
    /// What the file system says.
    pub fn ensure_certs(&mut self, run: &Run) -> Result<(), Error> {
        let pki = Arc::new(certs::ensure(run, &self.request)?);
        self.context = Arc::new(Context {
            pki,
            ..Context::clone(&self.context)
        });
        Ok(())
    }
}

fn context(
    run: &Run,
    pki: Pki,
    artifacts: Set,
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
            .map_or(&first.gathered.facts, |one| &one.gathered.facts)
    };
    Ok(Context {
        cluster: Arc::new(sources::fit(&run.cluster, &artifacts)),
        endpoint: kubernetes::endpoint::control_plane_endpoint(&run.cluster, facts)?,
        first_address: kubernetes::endpoint::advertise_address(&first.host, &first.gathered.facts)?,
        first_facts: first.gathered.facts.clone(),
        pki: Arc::new(pki),
        artifacts: Some(Arc::new(artifacts)),
        templates: Arc::new(templates),
        patches: Arc::new(patches),
        token: Token::generate()?,
        etcd_members: etcd_members(&run.cluster, &facts_of(control_planes))?,
    })
}

/// Hosts with their facts.
pub(super) fn facts_of<'a>(surveyed: &[&'a Surveyed]) -> Vec<(&'a Host, &'a Facts)> {
    surveyed
        .iter()
        .map(|one| (&one.host, &one.gathered.facts))
        .collect()
}

/// Who forms etcd, where several control planes do it together: all of them
/// are known beforehand, so they need not join one after the other.
pub(super) fn etcd_members(
    cluster: &Cluster,
    control_planes: &[(&Host, &Facts)],
) -> Result<Vec<EtcdMember>, Error> {
    if control_planes.len() < 2 || matches!(cluster.etcd, Etcd::External(_)) {
        return Ok(Vec::new());
    }
    let mut members = Vec::with_capacity(control_planes.len());
    for (host, facts) in control_planes {
        let address = endpoint::advertise_address(host, facts)?;
        members.push(EtcdMember {
            name: host.node_name.clone(),
            peer_url: kubernetes::static_pods::etcd_peer_url(address),
        });
    }
    Ok(members)
}
