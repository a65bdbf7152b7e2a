//! Carrying a plan out: every host goes its own way, and waits for the others
//! only where the cluster needs it to.

use crate::cluster::diagnose;
use futures::future::{join_all, try_join_all};
use k8s_openapi::api::core::v1::Node;
use tokio::sync::{Semaphore, watch};

use super::etcd;
use super::nodes;
use super::virtual_address;
use crate::apply::join;
use crate::apply::join::Granted;
use crate::apply::rollout::Rollout;
use crate::cluster::api::ClusterApi;
use crate::cluster::converge;
use crate::cluster::survey::{Aside, gather};
use crate::cluster::wait;
use crate::host::Resource;
use crate::inventory::CniType;
use crate::kubernetes::api::{node_ready, node_ready_since, wait_for_node};
use crate::plan::build::needs_api;
use crate::plan::model::{EtcdStep, Plan, Work, pod_cidrs};
use crate::run::Run;
use crate::run::error::Error;
use crate::run::phase::Phase;
use crate::run::tracker::Part;

/// Carries out `plan`. Workers that fail are set aside and come back.
///
/// # Errors
/// The first control plane that fails, or the API's first refusal: nothing can
/// go on then.
pub async fn execute(run: &Run, plan: &Plan) -> Result<Vec<Aside>, Error> {
    let execution = Execution {
        run,
        plan,
        api: ClusterApi::of(run, &plan.context.pki, plan.first())?,
        slots: Semaphore::new(run.options.parallel),
        rollout: Rollout::over(run, plan),
    };
    execution.expect();
    execution.go().await
}

struct Execution<'a> {
    run: &'a Run,
    plan: &'a Plan,
    api: ClusterApi,
    /// How many hosts are converged at once.
    slots: Semaphore,
    /// Which nodes of a running cluster are disturbed at once.
    rollout: Rollout,
}

impl Execution<'_> {
    async fn go(&self) -> Result<Vec<Aside>, Error> {
        let (announce, ready) = watch::channel(false);
        let leader = async {
            self.bring_up().await?;
            let granted = self.cluster().await?;
            // Nobody waiting is fine: a cluster may have no workers.
            let _ = announce.send(true);
            Ok::<Granted, Error>(granted)
        };
        let workers = join_all(
            self.plan
                .work
                .iter()
                .filter(|work| !work.is_control_plane())
                .map(|work| self.worker(work, ready.clone())),
        );
        tokio::pin!(leader);
        tokio::pin!(workers);
        // The leader's failure ends the run at once: workers could only wait
        // for an API that won't come.
        let (granted, finished) = tokio::select! {
            granted = &mut leader => (granted?, None),
            finished = &mut workers => (leader.await?, Some(finished)),
        };
        let control_planes = try_join_all(
            self.plan
                .work
                .iter()
                .filter(|work| work.is_control_plane())
                .map(|work| async { self.finish(work).await.map_err(|e| e.on(work.name())) }),
        );
        let rest = async {
            match finished {
                Some(finished) => (finished, control_planes.await),
                None => futures::join!(workers, control_planes),
            }
        };
        let (finished, control_planes) = tokio::select! {
            done = rest => done,
            never = granted.keep(self.run, &self.api) => match never {},
        };
        control_planes?;
        Ok(finished.into_iter().flatten().collect())
    }

    /// Says which phases will have how many parts, so that each one's end is
    /// known.
    fn expect(&self) {
        let tracker = &self.run.tracker;
        let count = |wanted: &dyn Fn(&Work) -> bool| {
            self.plan.work.iter().filter(|work| wanted(work)).count()
        };
        tracker.expect(Phase::Hosts, count(&|work| !work.prepare.is_empty()));
        tracker.expect(Phase::Join, count(&|work| work.join.is_some()));
        tracker.expect(Phase::Network, count(&|work| self.awaits_network(work)));
        tracker.expect(Phase::Nodes, count(&|work| self.awaits_node(work)));
        tracker.expect(
            Phase::ControlPlane,
            count(&|work| self.awaits_control_plane(work)),
        );
    }

    fn awaits_control_plane(&self, work: &Work) -> bool {
        self.run.has(Phase::ControlPlane)
            && work.is_control_plane()
            && (!work.prepare.is_empty() || work.etcd.is_some() || !self.plan.live)
    }

    fn awaits_network(&self, work: &Work) -> bool {
        self.run.has(Phase::Network) && work.is_new() && self.plan.bridge()
    }

    fn awaits_node(&self, work: &Work) -> bool {
        self.run.has(Phase::Nodes) && !work.is_empty()
    }

    /// Control planes: side by side as long as there is no cluster. Those of a
    /// cluster that lives come one at a time, each healthy before the next, and
    /// new ones after them, for each is a change of etcd's membership.
    async fn bring_up(&self) -> Result<(), Error> {
        let control_planes = self.plan.work.iter().filter(|one| one.is_control_plane());
        if !self.plan.live {
            let all = control_planes.map(|work| self.control_plane(work));
            return try_join_all(all).await.map(|_| ());
        }
        let (new, mut old): (Vec<_>, Vec<_>) =
            control_planes.partition(|work| self.plan.is_new_control_plane(work.host()));
        // Whoever is down is put right before anybody else is taken down.
        old.sort_by_key(|work| !work.mends());
        for work in old.into_iter().chain(new) {
            self.control_plane(work).await?;
        }
        Ok(())
    }

    async fn control_plane(&self, work: &Work) -> Result<(), Error> {
        let steps = self.control_plane_steps(work).await;
        steps.map_err(|error| error.on(work.name()))
    }

    async fn control_plane_steps(&self, work: &Work) -> Result<(), Error> {
        let (run, plan) = (self.run, self.plan);
        if work.prepare.is_empty() && !self.awaits_control_plane(work) {
            return Ok(());
        }
        let part = run.tracker.part(Phase::ControlPlane);
        if plan.live && work.restarts_control_plane() {
            etcd::wait_for_others(run, plan, work, &part).await?;
            virtual_address::before_restart(run, plan, work, &part).await;
        }
        if work.etcd == Some(EtcdStep::Join) {
            etcd::admit(run, plan, work, &part).await?;
        }
        self.prepare(work).await?;
        if !self.awaits_control_plane(work) {
            return Ok(());
        }
        // An API server can't answer through a member that has no vote.
        if work.etcd.is_some() {
            etcd::promote(run, plan, work, &part).await?;
        }
        let api = ClusterApi::of(run, &plan.context.pki, &work.surveyed)?;
        wait::wait_for_api(run, &work.surveyed, &api, &part).await?;
        wait::wait_for_the_rest(run, &work.surveyed, &part).await?;
        part.done(work.name(), 0);
        Ok(())
    }

    /// What the cluster itself has to hold before workers can join.
    async fn cluster(&self) -> Result<Granted, Error> {
        if self.plan.kubeconfig {
            crate::apply::kubeconfig::write(self.run, &self.plan.context)?;
        }
        if needs_api(self.run).is_none() || self.plan.is_empty() {
            return Ok(Granted::nothing());
        }
        crate::apply::objects::apply(self.run, self.plan, &self.api).await?;
        // Workers go through the endpoint, so it has to lead somewhere by now.
        let control_planes = self.plan.work.iter().filter(|work| work.is_control_plane());
        if control_planes
            .into_iter()
            .any(|work| !work.prepare.is_empty())
        {
            super::endpoint::check(self.run, self.plan).await?;
        }
        join::grant(self.run, self.plan, &self.api).await
    }

    /// Whatever can be done on a host without the API.
    async fn prepare(&self, work: &Work) -> Result<(), Error> {
        if work.prepare.is_empty() {
            return Ok(());
        }
        let Ok(_slot) = self.slots.acquire().await else {
            return Err(Error::Interrupted);
        };
        let part = self.run.tracker.part(Phase::Hosts);
        let packages = work.runtime_packages();
        if packages.is_empty() {
            converge::converge(self.run, &work.surveyed, &work.prepare, &part).await?;
        } else {
            self.install_first(work, &packages, &part).await?;
        }
        part.done(work.name(), work.prepare.changes.len());
        Ok(())
    }

    /// A host without a container runtime: which version its distribution has
    /// is known once it is installed, and decides the form of its configuration.
    async fn install_first(
        &self,
        work: &Work,
        packages: &[&str],
        part: &Part,
    ) -> Result<(), Error> {
        let one = &work.surveyed;
        let resources = self
            .plan
            .prepared_again(self.run, work, &one.gathered.facts)?;
        let packages: Vec<Resource> = resources
            .into_iter()
            .filter(|resource| {
                matches!(resource, Resource::Package { name, .. } if packages.contains(&name.as_str()))
            })
            .collect();
        let plan = converge::look(self.run, one, &packages).await?;
        converge::converge(self.run, one, &plan, part).await?;
        let gathered = gather(self.run, &one.host, &one.session).await?;
        let resources = self.plan.prepared_again(self.run, work, &gathered.facts)?;
        let plan = converge::look(self.run, one, &resources).await?;
        converge::converge(self.run, one, &plan, part).await
    }

    /// One worker, from bare to Ready. `Some` if it had to be set aside.
    async fn worker(&self, work: &Work, ready: watch::Receiver<bool>) -> Option<Aside> {
        match self.worker_steps(work, ready).await {
            Ok(()) => {
                self.rollout.done(work);
                None
            }
            Err(error) => {
                self.rollout.failed(work);
                let part = self.run.tracker.part(Phase::Join);
                part.failed(work.name(), &error);
                Some(Aside {
                    host: work.name().to_owned(),
                    error,
                })
            }
        }
    }

    async fn worker_steps(
        &self,
        work: &Work,
        mut ready: watch::Receiver<bool>,
    ) -> Result<(), Error> {
        let _turn = self.rollout.turn(work).await?;
        self.prepare(work).await?;
        if work.disturbs() || work.node.is_some() && work.restarts_kubelet() {
            wait::wait_for_kubelet(self.run, &work.surveyed).await?;
        }
        if needs_api(self.run).is_none() || (work.join.is_none() && work.is_empty()) {
            return Ok(());
        }
        if ready.wait_for(|ready| *ready).await.is_err() {
            return Err(Error::Interrupted);
        }
        if work.join.is_some() {
            let part = self.run.tracker.part(Phase::Join);
            part.doing(work.name(), "joining");
            let plan = converge::look(self.run, &work.surveyed, &work.join_resources).await?;
            converge::converge(self.run, &work.surveyed, &plan, &part).await?;
            wait::wait_for_kubelet(self.run, &work.surveyed).await?;
            part.doing(work.name(), "waiting for its certificate");
            join::wait_registered(self.run, work, &self.api, false).await?;
            part.done(work.name(), plan.changes.len());
        }
        self.finish(work).await
    }

    /// What a node gets once it has registered: its pod network, its labels and
    /// taints.
    async fn finish(&self, work: &Work) -> Result<(), Error> {
        // A node that joined long ago is as unknown as a new one while the API
        // is down.
        if work.is_new() && !work.waits_for_node {
            return Ok(());
        }
        if work.registers_again {
            converge::restart_kubelet(&work.surveyed).await?;
        }
        if work.is_new() {
            self.network(work).await?;
        }
        if !self.awaits_node(work) {
            return Ok(());
        }
        let part = self.run.tracker.part(Phase::Nodes);
        let host = work.host();
        let changed = nodes::converge(self.run, &self.api, host).await?;
        if self.plan.context.cluster.networking.cni != CniType::None {
            part.doing(work.name(), "waiting until it is Ready");
            let what = format!("node {} to become Ready", host.node_name);
            let timeout = self.run.cluster.timeouts.node_ready;
            // A kubelet that was restarted has yet to speak for itself.
            let since = match !work.is_new() && work.restarts_kubelet() {
                true => Some(converge::kubelet_started(&work.surveyed).await?),
                false => None,
            };
            let ready = |node: &Node| match since {
                Some(start) => node_ready_since(node, start),
                None => node_ready(node),
            };
            let waited =
                wait_for_node(&self.api.admin, &host.node_name, &what, timeout, ready).await;
            if let Err(error) = waited {
                return Err(diagnose::explain(&work.surveyed.session, error).await);
            }
        }
        part.done(work.name(), changed);
        Ok(())
    }

    /// What waits for registration: the pod network's files, which hold the
    /// node's own CIDR, and the end of the bootstrap kubeconfig.
    async fn network(&self, work: &Work) -> Result<(), Error> {
        let bridge = self.awaits_network(work);
        if !bridge && work.join.is_none() {
            return Ok(());
        }
        let part = self
            .run
            .tracker
            .part(if bridge { Phase::Network } else { Phase::Join });
        part.doing(work.name(), "waiting for its pod CIDR");
        let node = join::wait_registered(self.run, work, &self.api, bridge).await?;
        let resources = self
            .plan
            .after_registration(self.run, work, &pod_cidrs(&node))?;
        let plan = converge::look(self.run, &work.surveyed, &resources).await?;
        converge::converge(self.run, &work.surveyed, &plan, &part).await?;
        part.done(work.name(), plan.changes.len());
        Ok(())
    }
}
