//! What each phase of a plan affects. The plan's order, the number of its changes, the
//! progress of a run and the run itself all use this, so that `plan` cannot differ from
//! `apply`.

use pki::Action;

use super::model::{Plan, Work};
use crate::run::phase::Phase;

impl Plan {
    /// Whether `phase` does something on the host of `work`, or with its Node.
    pub(crate) fn affects(&self, phase: Phase, work: &Work) -> bool {
        match phase {
            Phase::Hosts => !work.prepare.is_empty(),
            // A cluster that has yet to answer is waited for, whatever is left to write.
            Phase::ControlPlane => {
                let waited_for = !work.prepare.is_empty() || work.etcd.is_some() || !self.responds;
                self.phases.has(phase) && work.is_control_plane() && waited_for
            }
            Phase::Join => work.join.is_some(),
            // Only a node that has yet to get its pod CIDR waits for it; one that has it
            // holds its network's files, or gets them with all others.
            Phase::Network => self.phases.has(phase) && work.waits_for_node && self.bridge(),
            // A Node that the API doesn't know, and that won't register in this run, can't
            // be waited for.
            Phase::Nodes => {
                let is_known = !work.is_new() || work.waits_for_node;
                self.phases.has(phase) && is_known && !work.is_empty()
            }
            _ => false,
        }
    }

    /// The work that `phase` affects, in the inventory's order.
    pub(crate) fn affected_by(&self, phase: Phase) -> impl Iterator<Item = &Work> {
        self.work
            .iter()
            .filter(move |work| self.affects(phase, work))
    }

    /// The workers in use whose kubelet, or something that it needs, is restarted.
    pub(crate) fn disturbed_workers(&self) -> impl Iterator<Item = &Work> {
        let workers = self.work.iter().filter(|work| !work.is_control_plane());
        workers.filter(|work| work.disturbs() && !work.mends())
    }

    /// How many of them may be down at once: `rollout.maxUnavailable` of all workers.
    pub(crate) fn turns_of_workers(&self) -> usize {
        let cluster = &self.context.cluster;
        let workers = cluster.hosts.iter().filter(|host| !host.is_control_plane());
        cluster.rollout.max_unavailable.scaled_to(workers.count())
    }

    /// How many API objects `phase` applies: those that would change, or all as long as no
    /// API can say which.
    pub(crate) fn objects_of(&self, phase: Phase) -> usize {
        match &self.object_changes {
            Some(changes) => changes.iter().filter(|(owner, _)| *owner == phase).count(),
            None => self
                .objects
                .iter()
                .filter(|(owner, _)| *owner == phase)
                .count(),
        }
    }

    /// Whether certificates would be made or reissued.
    pub fn changes_certs(&self) -> bool {
        let mut decisions = self.certs.iter();
        decisions.any(|decision| decision.action != Action::Kept)
    }

    /// Whether the run creates a bootstrap token: workers join.
    pub(crate) fn needs_join_token(&self) -> bool {
        self.affected_by(Phase::Join).next().is_some()
    }

    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// How many things would change, as far as that is known: the network, labels and
    /// taints of a node that hasn't registered yet count as one.
    pub fn count(&self) -> usize {
        let decisions = self.certs.iter();
        let certs = decisions.filter(|decision| decision.action != Action::Kept);
        let hosts: usize = self.work.iter().map(|work| work.count()).sum();
        let objects = match &self.object_changes {
            Some(changes) => changes.len(),
            None => self.objects.len(),
        };
        certs.count()
            + hosts
            + objects
            + self.removals.len()
            + usize::from(self.certificate_key.is_some())
            + usize::from(self.needs_join_token())
            + usize::from(self.kubeconfig)
    }
}
