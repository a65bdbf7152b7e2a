//! Removes the etcd members and Nodes of hosts that leave a running cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::TryFutureExt;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, DeleteParams};
use text::terminal::escape;

use crate::cluster::answer::{answer_within, ask_first};
use crate::cluster::etcd::{limit_request, member_client};
use crate::cluster::operator_access::OperatorAccess;
use crate::inventory::{Etcd, Host};
use crate::kubernetes::api::{ApiError, EtcdClient};
use crate::run::Run;
use crate::run::error::Error;
use crate::run::phase::Phase;
use crate::run::tracker::Part;

/// Time limit for removing an etcd member, or deleting a Node.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long etcd may be without a leader: several elections of a second or two each.
const ELECTION: Duration = Duration::from_secs(30);

/// Time limit for asking an API server for its version.
const ANSWER: Duration = Duration::from_secs(10);

/// Whether members would be removed from an etcd that keeps running.
pub(crate) fn changes_etcd(run: &Run, leaving: &[&Host], stay: &[&Host]) -> bool {
    let control_plane = |hosts: &[&Host]| hosts.iter().any(|host| host.is_control_plane());
    matches!(run.cluster.etcd, Etcd::Local(_)) && control_plane(leaving) && control_plane(stay)
}

/// Removes the members on leaving control planes from etcd. Returns those that cannot be
/// removed, and why.
pub(crate) async fn leave_etcd(
    run: &Run,
    stay: &[&Host],
    leaving: &[&Host],
) -> BTreeMap<String, String> {
    let leaving: Vec<&Host> = leaving
        .iter()
        .copied()
        .filter(|host| host.is_control_plane())
        .collect();
    let mut refused = BTreeMap::new();
    if leaving.is_empty() {
        return refused;
    }
    let etcd = find_member(run, stay).await;
    for host in leaving {
        let left = match &etcd {
            Ok(etcd) => remove_member_of(run, etcd, host).await,
            Err(why) => Err(why.clone()),
        };
        refused.extend(left.err().map(|why| (host.name.clone(), why)));
    }
    refused
}

/// Removes one member, if it is one. etcd itself refuses if it would lose quorum.
async fn remove_member_of(run: &Run, etcd: &EtcdClient, host: &Host) -> Result<(), String> {
    let what = format!("etcd member {}", host.node_name);
    // The leader may be the member that leaves, and its answer is lost.
    let removed = retry_during_election(async || remove_member(etcd, host).await);
    let left = run.journalled(Some(&host.name), Phase::Reset, &what, removed);
    match tokio::time::timeout(PATIENCE, left).await {
        Ok(left) => left.map_err(|error| escape(&error.to_string()).into_owned()),
        Err(_) => Err("etcd is not responding".into()),
    }
}

async fn remove_member(etcd: &EtcdClient, host: &Host) -> Result<(), Error> {
    let members = limit_request(etcd.members()).await?;
    match members.iter().find(|one| one.name == host.node_name) {
        Some(member) => limit_request(etcd.remove(member)).await,
        None => Ok(()),
    }
}

/// Tries again while etcd elects a leader, for [`ELECTION`] at most.
async fn retry_during_election<T>(attempt: impl AsyncFn() -> Result<T, Error>) -> Result<T, Error> {
    let began = tokio::time::Instant::now();
    loop {
        match attempt().await {
            Err(error) if is_leaderless(&error.to_string()) && began.elapsed() < ELECTION => {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            result => return result,
        }
    }
}

/// Whether an error of etcd is due to a temporary lack of a leader.
fn is_leaderless(why: &str) -> bool {
    [
        "request timed out",
        "leader changed",
        "no leader",
        "proposal dropped",
    ]
    .iter()
    .any(|words| why.contains(words))
}

/// A client of the first remaining member that has quorum.
async fn find_member(run: &Run, stay: &[&Host]) -> Result<EtcdClient, String> {
    let asked = ask_first(control_planes(stay), async |host, ()| {
        let remote = run.connect(host).await?;
        let member = member_client(run, &remote, host)?;
        limit_request(member.members()).await?;
        Ok(member)
    });
    let answer = asked.await.into_result();
    answer.map_err(|silent| {
        escape(&silent.last_or("no other control plane is reachable")).into_owned()
    })
}

fn control_planes<'a>(hosts: &[&'a Host]) -> impl Iterator<Item = (&'a Host, ())> {
    let hosts = hosts.iter().copied();
    hosts
        .filter(|host| host.is_control_plane())
        .map(|host| (host, ()))
}

/// Deletes the Nodes of hosts that are clean now, if a control plane stays. A
/// Node that stays is a warning: nothing runs there any more.
pub(crate) async fn delete_nodes(run: &Run, stay: &[&Host], clean: &[&Host], part: &Part) {
    let names: Vec<&str> = clean.iter().map(|host| host.node_name.as_str()).collect();
    if names.is_empty() || !stay.iter().any(|host| host.is_control_plane()) {
        return;
    }
    let nodes = find_api(run, stay).await.map(Api::<Node>::all);
    for name in names {
        let deleted = async {
            let nodes = nodes.as_ref().map_err(Clone::clone)?;
            let what = format!("Node {name}");
            run.journalled(None, Phase::Reset, &what, delete_node(nodes, name))
                .await
                .map_err(|error| error.to_string())
        };
        match tokio::time::timeout(PATIENCE, deleted).await {
            Ok(Ok(true)) => part.changed(format!("Node {name}"), "deleted"),
            Ok(Ok(false)) => {}
            Ok(Err(why)) => run.events().warn(node_stays(name, &why)),
            Err(_) => run
                .events()
                .warn(node_stays(name, "the API server is not responding")),
        }
    }
}

/// A client of the first remaining API server that responds.
async fn find_api(run: &Run, stay: &[&Host]) -> Result<kube::Client, String> {
    let access = OperatorAccess::read(run).map_err(|error| error.to_string())?;
    let asked = ask_first(control_planes(stay), async |host, ()| {
        let remote = run.connect(host).await?;
        let client = access.client(run, host, &remote)?;
        let version = client
            .apiserver_version()
            .map_err(ApiError::request("query the API server"));
        answer_within(ANSWER, version).await?;
        Ok(client)
    });
    let answer = asked.await.into_result();
    answer.map_err(|silent| escape(&silent.last_or("no control plane is reachable")).into_owned())
}

fn node_stays(node: &str, why: &str) -> String {
    format!("Node {node} was not deleted ({why}): run `kubectl delete node {node}`")
}

/// Deletes a Node; returns whether it existed. A member that has just left etcd may have been its
/// leader, so that the API can't write for a moment.
pub(crate) async fn delete_node(nodes: &Api<Node>, name: &str) -> Result<bool, Error> {
    retry_during_election(
        async || match nodes.delete(name, &DeleteParams::default()).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            Err(error) => Err(ApiError::request(format!("delete node {name}"))(error).into()),
        },
    )
    .await
}

#[cfg(test)]
mod tests {
    use super::is_leaderless;

    #[test]
    fn a_moment_without_a_leader_passes_and_a_refusal_does_not() {
        assert!(is_leaderless("etcdserver: request timed out"));
        assert!(is_leaderless("etcdserver: leader changed"));
        assert!(!is_leaderless("etcdserver: unhealthy cluster"));
    }
}
