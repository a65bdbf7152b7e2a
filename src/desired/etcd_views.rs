//! What the members of a running etcd say about it, put together: who is a member, and who has
//! lost its data.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::survey::Surveyed;
use crate::host::Facts;
use crate::inventory::{Cluster, Host};
use crate::kubernetes::api::{Member, MemberView};
use crate::kubernetes::etcd::peer_url;
use crate::kubernetes::{EtcdMember, endpoint};
use crate::run::error::Error;

/// What each member says about etcd, or why it says nothing: by host name.
pub(crate) type Views = BTreeMap<String, Result<MemberView, String>>;

/// How a member lost its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LostData {
    /// The data is missing.
    Gone,
    /// What is there isn't this etcd's: it has started a second one by itself, or was removed
    /// from this one.
    Other,
}

/// The etcd that the control planes run.
#[derive(Debug)]
pub(super) struct Found {
    /// Its members.
    pub(super) members: Vec<Member>,
    /// Whether most of its members run.
    pub(super) has_quorum: bool,
    /// Hosts whose member has lost its data.
    pub(super) lost: BTreeMap<String, LostData>,
}

/// Puts together what `standing`, the control planes that have a manifest, say. The inner error
/// is why none of them says anything.
///
/// # Errors
/// Two that may both be the right one; members that no control plane of the inventory runs.
pub(super) fn read_views(
    cluster: &Cluster,
    standing: &[&Surveyed],
    views: &Views,
) -> Result<Result<Found, String>, Error> {
    let silence = views
        .iter()
        .find_map(|(host, view)| Some((host, view.as_ref().err()?)));
    let Some(right) = choose_cluster(views)? else {
        return Ok(Err(match silence {
            Some((host, why)) => format!("{host}: {why}"),
            None => "no control plane is reachable".into(),
        }));
    };
    let of_it = |view: &MemberView| is_same_etcd(view, right);
    let answers: BTreeSet<&str> = views
        .iter()
        .filter(|(_, view)| view.as_ref().is_ok_and(of_it))
        .map(|(host, _)| host.as_str())
        .collect();
    refuse_unknown_members(cluster, standing, &right.members)?;
    let mut lost = BTreeMap::new();
    let mut running = 0;
    for one in standing {
        let name = one.host.name.as_str();
        let url = member(&one.host, &one.gathered.facts)?.peer_url;
        let known = right.members.iter().find(|member| member.is_at(&url));
        let started = known.is_some_and(|member| member.has_started());
        let how = match views.get(name) {
            Some(Ok(view)) if !of_it(view) => Some(LostData::Other),
            // It works until it is restarted.
            Some(Ok(_)) if one.gathered.etcd_data_deleted => Some(LostData::Gone),
            Some(Ok(_)) => None,
            // One that is being added has none yet.
            _ if known.is_some() && !started => None,
            _ if !one.gathered.etcd_has_data => Some(LostData::Gone),
            _ if known.is_none() => Some(LostData::Other),
            _ => None,
        };
        let votes = known.is_some_and(|member| !member.is_learner);
        running += usize::from(votes && answers.contains(name));
        lost.extend(how.map(|how| (name.to_owned(), how)));
    }
    let voters = right.members.iter().filter(|member| !member.is_learner);
    Ok(Ok(Found {
        has_quorum: running > voters.count() / 2 && right.status.has_leader(),
        members: right.members.clone(),
        lost,
    }))
}

/// Whether two members are of one etcd. A member that lost its data and starts by itself, as its
/// manifest of the time before there were others says, has the numbers of the one that it was, its
/// own and the cluster's; but it leads, and of the others' etcd it doesn't.
fn is_same_etcd(view: &MemberView, right: &MemberView) -> bool {
    let leads_alone = view.status.leads()
        && view.members.len() < right.members.len()
        && right.status.leader != view.status.leader;
    view.cluster_id() == right.cluster_id() && !leads_alone
}

/// The etcd that most members tell of. One that a member without data has started beside it
/// has only that member.
fn choose_cluster(views: &Views) -> Result<Option<&MemberView>, Error> {
    let mut found: BTreeMap<&str, (usize, usize, &MemberView)> = BTreeMap::new();
    for view in views.values().flatten() {
        let (members, votes, known) = found.entry(view.cluster_id()).or_insert((0, 0, view));
        *votes += 1;
        // The longest list: one that lags behind may lack the newest member.
        if view.members.len() > *members
            || view.members.len() == *members && !known.status.has_leader()
        {
            (*members, *known) = (view.members.len(), view);
        }
    }
    let best = found
        .values()
        .map(|(members, votes, _)| (*members, *votes))
        .max();
    let mut right = found
        .values()
        .filter(|(members, votes, _)| Some((*members, *votes)) == best)
        .map(|(_, _, view)| *view);
    match (right.next(), right.next()) {
        (Some(_), Some(_)) => {
            let hosts: Vec<String> = views
                .iter()
                .filter_map(|(host, view)| {
                    let id = view.as_ref().ok()?.cluster_id();
                    Some(format!("{host} is in {id}"))
                })
                .collect();
            Err(Error::Refused {
                message: format!(
                    "the control planes run more than one etcd, and which holds the cluster's data \
                     can't be told ({})",
                    hosts.join(", ")
                ),
                hint:
                    "look at both with `etcdctl member list`, then reset the control plane whose \
                       etcd is wrong with `clusterctl-rs reset NAME --force` and add it again"
                        .into(),
            })
        }
        (right, _) => Ok(right),
    }
}

/// Each member counts for etcd's quorum, whether the inventory names its host or not.
fn refuse_unknown_members(
    cluster: &Cluster,
    standing: &[&Surveyed],
    members: &[Member],
) -> Result<(), Error> {
    let urls: Vec<String> = standing
        .iter()
        .filter_map(|one| Some(member(&one.host, &one.gathered.facts).ok()?.peer_url))
        .collect();
    let is_known = |member: &&Member| {
        // One that is unreachable has no facts.
        let of = |host: &Host| {
            let address = host.advertise_address.or_else(|| host.address.parse().ok());
            let url = address.map(peer_url);
            host.node_name == member.name || url.is_some_and(|url| member.is_at(&url))
        };
        urls.iter().any(|url| member.is_at(url)) || cluster.control_planes().any(of)
    };
    let unknown: Vec<&Member> = members.iter().filter(|member| !is_known(member)).collect();
    let Some(first) = unknown.first() else {
        return Ok(());
    };
    let lines: String = unknown
        .iter()
        .map(|member| {
            let name = match member.has_started() {
                true => member.name.as_str(),
                false => "a member that has not started",
            };
            format!("\n  {name} ({})", member.peer_urls.join(", "))
        })
        .collect();
    let hint = match first.has_started() {
        true => format!(
            "if it is gone for good, put it back into `hosts` and run `clusterctl-rs remove-node {} \
             --unreachable`, which takes it out of etcd, too",
            first.name
        ),
        false => format!(
            "remove it on a control plane: `etcdctl member remove {}`",
            first.hex()
        ),
    };
    Err(Error::Refused {
        message: format!(
            "etcd has members that no control plane in the inventory runs, and they count for its \
             quorum{lines}"
        ),
        hint,
    })
}

/// A host's own member.
pub(super) fn member(host: &Host, facts: &Facts) -> Result<EtcdMember, Error> {
    let address = endpoint::advertise_address(host, facts)?;
    Ok(EtcdMember {
        name: host.node_name.clone(),
        peer_url: peer_url(address),
    })
}
