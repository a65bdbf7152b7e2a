//! Which members each control plane's etcd manifest lists.

use std::collections::{BTreeMap, BTreeSet};

use super::etcd_views::{Found, LostData, Views, member, read_views};
use super::target::facts_of;
use crate::cluster::survey::Surveyed;
use crate::host::Facts;
use crate::inventory::{Cluster, Etcd, Host};
use crate::kubernetes::EtcdMember;
use crate::kubernetes::api::Member;
use crate::kubernetes::etcd::parse_members;
use crate::run::error::Error;

/// What the etcd manifests of the control planes list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Membership {
    /// By host name.
    listed: BTreeMap<String, Listed>,
    /// All members, once etcd runs: what a manifest lists that changes anyway.
    all: Vec<EtcdMember>,
    /// How many of them vote.
    voters: usize,
    /// Hosts whose member has to be added to a running etcd.
    joining: BTreeSet<String>,
    /// Hosts whose member is a learner, without a vote.
    learners: BTreeSet<String>,
    /// Hosts whose member has lost its data.
    lost: BTreeSet<String>,
    /// What can't be healed now, as sentences.
    pub(crate) warnings: Vec<String>,
}

/// What one etcd manifest lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// All members, including the host's own; empty if it is the only one.
    pub(crate) members: Vec<EtcdMember>,
    /// Whether the others are already running.
    pub(crate) joins: bool,
}

impl Membership {
    /// What a host's manifest lists.
    pub(crate) fn of(&self, host: &Host) -> (&[EtcdMember], bool) {
        self.listed
            .get(&host.name)
            .map_or((&[], false), |listed| (&listed.members, listed.joins))
    }

    /// The same for a manifest that changes anyway: it lists every member and says that etcd
    /// exists. From then on, a member that finds no data fails, and never starts a second
    /// etcd beside the one that runs. (etcd reads neither while it has data.)
    pub(crate) fn settled(&self) -> Membership {
        let mut settled = self.clone();
        for (host, listed) in &mut settled.listed {
            if !self.all.is_empty() && !self.joining.contains(host) {
                listed.members = self.all.clone();
                listed.joins = true;
            }
        }
        settled
    }

    /// Whether a host's member has to be added to a running etcd.
    pub(crate) fn joins(&self, host: &Host) -> bool {
        self.joining.contains(&host.name)
    }

    /// Whether a host's member is a learner, without a vote.
    pub(crate) fn is_learner(&self, host: &Host) -> bool {
        self.learners.contains(&host.name)
    }

    /// How many members vote, as far as etcd was asked.
    pub(crate) fn count_voters(&self) -> usize {
        self.voters
    }

    /// Whether a host's member has lost its data.
    pub(crate) fn has_lost_data(&self, host: &Host) -> bool {
        self.lost.contains(&host.name)
    }

    /// All control planes form etcd together: they are known beforehand, so they need not
    /// join one after the other.
    pub(crate) fn forming(
        cluster: &Cluster,
        control_planes: &[(&Host, &Facts)],
    ) -> Result<Self, Error> {
        let mut membership = Membership::default();
        if control_planes.len() < 2 || matches!(cluster.etcd, Etcd::External(_)) {
            return Ok(membership);
        }
        let members: Vec<EtcdMember> = control_planes
            .iter()
            .map(|(host, facts)| member(host, facts))
            .collect::<Result<_, _>>()?;
        for (host, _) in control_planes {
            membership.listed.insert(
                host.name.clone(),
                Listed {
                    members: members.clone(),
                    joins: false,
                },
            );
        }
        Ok(membership)
    }

    /// The membership of observed hosts: existing manifests are kept, whatever members were
    /// added or removed since, because etcd ignores the list once it has data, and a change
    /// would restart it for nothing. A control plane without a manifest, or without the data
    /// that its member had, joins the others if they are running.
    ///
    /// # Errors
    /// An etcd that was complete once and does not respond now, so that no member can join
    /// it; members that no control plane of the inventory runs.
    pub(crate) async fn decide(
        cluster: &Cluster,
        control_planes: &[&Surveyed],
        exists: bool,
        ask_views: impl AsyncFnOnce(&[&Surveyed]) -> Views,
    ) -> Result<Self, Error> {
        if matches!(cluster.etcd, Etcd::External(_)) {
            return Ok(Membership::default());
        }
        let (standing, new): (Vec<&Surveyed>, Vec<&Surveyed>) = control_planes
            .iter()
            .copied()
            .partition(|one| listed(&one.gathered.facts).is_some());
        if standing.is_empty() {
            return Self::forming(cluster, &facts_of(control_planes));
        }
        let mut membership = Membership::default();
        for one in &standing {
            let listed = listed(&one.gathered.facts);
            let named = listed.map(|listed| (one.host.name.clone(), listed));
            membership.listed.extend(named);
        }
        match read_views(cluster, &standing, &ask_views(&standing).await)? {
            Ok(found) => membership.settle(found, &standing, new)?,
            Err(_) if new.is_empty() => {}
            Err(why) => membership.form_with(&new, exists, why)?,
        }
        Ok(membership)
    }

    /// Takes over what etcd says of itself.
    fn settle<'a>(
        &mut self,
        found: Found,
        standing: &[&'a Surveyed],
        mut joining: Vec<&'a Surveyed>,
    ) -> Result<(), Error> {
        self.find_learners(&found.members, standing)?;
        for (host, lost) in found.lost {
            let why = match lost {
                LostData::Gone => "has lost its data",
                LostData::Other => "has the data of another etcd",
            };
            if !found.has_quorum {
                self.warnings.push(format!(
                    "{host}: its etcd member {why}; it can be replaced once most of the others run"
                ));
                continue;
            }
            joining.extend(standing.iter().filter(|one| one.host.name == host));
            self.lost.insert(host);
        }
        self.all = describe_members(&found.members);
        let votes = |member: &&Member| !member.is_learner;
        self.voters = found.members.iter().filter(votes).count();
        self.join(&found.members, &joining)
    }

    /// New control planes join a running etcd one after the other: each lists those before
    /// it.
    fn join(&mut self, known: &[Member], new: &[&Surveyed]) -> Result<(), Error> {
        let mut members = describe_members(known);
        for one in new {
            let own = member(&one.host, &one.gathered.facts)?;
            members.retain(|member| member.peer_url != own.peer_url);
            members.push(own);
            members.sort_by(|a, b| a.peer_url.cmp(&b.peer_url));
            let listed = Listed {
                members: members.clone(),
                joins: true,
            };
            self.listed.insert(one.host.name.clone(), listed);
            self.joining.insert(one.host.name.clone());
        }
        Ok(())
    }

    fn find_learners(&mut self, known: &[Member], standing: &[&Surveyed]) -> Result<(), Error> {
        for one in standing {
            let url = member(&one.host, &one.gathered.facts)?.peer_url;
            let is_learner = |member: &&Member| member.is_learner && member.is_at(&url);
            if known.iter().any(|member| is_learner(&member)) {
                self.learners.insert(one.host.name.clone());
            }
        }
        Ok(())
    }

    /// An interrupted run left some members, but no quorum: the others continue as planned.
    /// But an etcd that was complete once must not get an empty member in place of one that
    /// has lost its data.
    fn form_with(&mut self, new: &[&Surveyed], exists: bool, why: String) -> Result<(), Error> {
        for one in new {
            let own = member(&one.host, &one.gathered.facts)?;
            let forming = self
                .listed
                .values()
                .find(|listed| !listed.joins && listed.members.contains(&own));
            let Some(listed) = forming.filter(|_| !exists).cloned() else {
                return Err(Error::EtcdSilent {
                    host: one.host.name.clone(),
                    why,
                });
            };
            self.listed.insert(one.host.name.clone(), listed);
        }
        Ok(())
    }
}

/// Members as a manifest lists them.
fn describe_members(known: &[Member]) -> Vec<EtcdMember> {
    let describe = |member: &Member| {
        Some(EtcdMember {
            // Like kubeadm, use the id of a member without a name.
            name: match member.has_started() {
                true => member.name.clone(),
                false => member.hex(),
            },
            peer_url: member.peer_urls.first()?.clone(),
        })
    };
    let mut members: Vec<EtcdMember> = known.iter().filter_map(describe).collect();
    members.sort_by(|a, b| a.peer_url.cmp(&b.peer_url));
    members
}

/// What an existing manifest on a host lists.
fn listed(facts: &Facts) -> Option<Listed> {
    let members = parse_members(facts.etcd_initial_cluster.as_deref()?)?;
    Some(Listed {
        members,
        joins: facts.etcd_initial_cluster_state.as_deref() == Some("existing"),
    })
    .filter(|_| facts.joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_manifest_lists_is_kept() {
        let facts = |cluster: Option<&str>, state: Option<&str>| Facts {
            joined: true,
            etcd_initial_cluster: cluster.map(str::to_owned),
            etcd_initial_cluster_state: state.map(str::to_owned),
            ..Facts::default()
        };
        assert_eq!(listed(&facts(None, None)), None);
        let both = "cp1=https://192.0.2.11:2380,cp2=https://192.0.2.12:2380";
        let formed = listed(&facts(Some(both), None));
        assert!(formed.is_some_and(|one| one.members.len() == 2 && !one.joins));
        let joined = listed(&facts(Some(both), Some("existing")));
        assert!(joined.is_some_and(|one| one.members[1].name == "cp2" && one.joins));
        let elsewhere = Facts {
            joined: false,
            ..facts(Some(both), None)
        };
        assert_eq!(listed(&elsewhere), None);
    }
}
