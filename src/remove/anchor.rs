//! Control planes that stay: everything about hosts that leave is asked of them, and there have
//! to be enough of them.

use futures::StreamExt;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};

use crate::cluster::answer::{Silent, ask_first};
use crate::cluster::health::ask_api_server;
use crate::cluster::operator_access::OperatorAccess;
use crate::inventory::{Etcd, Host};
use crate::kubernetes::api::{ApiError, Health, node_ready};
use crate::layout::health::API_SERVER_READY;
use crate::run::Run;
use crate::run::error::Error;
use crate::run::remote::Remote;

/// A control plane that stays, and its API.
pub(super) struct Anchor {
    name: String,
    pub(super) node_name: String,
    pub(super) client: kube::Client,
    // Channels of it are what the client speaks through.
    _remote: Remote,
}

impl Anchor {
    pub(super) async fn node_names(&self) -> Result<Vec<String>, Error> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let list = nodes.list(&ListParams::default()).await;
        let list = list.map_err(ApiError::request("list nodes"))?;
        Ok(list
            .items
            .into_iter()
            .filter_map(|node| node.metadata.name)
            .collect())
    }
}

/// The control planes that stay and work: `all` of them, or the first one.
pub(super) async fn find_anchors(
    run: &Run,
    stay: &[&Host],
    all: bool,
) -> Result<Vec<Anchor>, Error> {
    let control_planes: Vec<&Host> = stay
        .iter()
        .copied()
        .filter(|host| host.is_control_plane())
        .collect();
    if control_planes.is_empty() {
        return Err(Error::Usage {
            message: "no control plane would remain".into(),
            hint: Some("to remove the whole cluster, run `clusterctl-rs reset --all`".into()),
        });
    }
    let access = OperatorAccess::read(run)?;
    let (anchors, silent) = if all {
        let asking = control_planes.iter().map(|host| async {
            let anchor = find_anchor(run, &access, host).await;
            (*host, anchor)
        });
        let answers: Vec<_> = futures::stream::iter(asking)
            .buffered(run.options.parallel)
            .collect()
            .await;
        let (mut anchors, mut silent) = (Vec::new(), Silent::default());
        for (host, answer) in answers {
            match answer {
                Ok(anchor) => anchors.push(anchor),
                Err(error) => silent.0.push((host, error)),
            }
        }
        (anchors, silent)
    } else {
        let hosts = control_planes.iter().map(|host| (*host, ()));
        let asked = ask_first(hosts, async |host, ()| {
            find_anchor(run, &access, host).await
        })
        .await;
        (asked.answer.into_iter().collect(), asked.silent)
    };
    let silent: Vec<String> = silent.lines().collect();
    if anchors.is_empty() {
        return Err(Error::Refused {
            message: format!(
                "no remaining control plane has a working API server\n  {}",
                silent.join("\n  ")
            ),
            hint: "repair one first with `clusterctl-rs apply`".into(),
        });
    }
    for why in silent {
        run.events().warn(why);
    }
    Ok(anchors)
}

async fn find_anchor(run: &Run, access: &OperatorAccess, host: &Host) -> Result<Anchor, Error> {
    let remote = run.connect(host).await?;
    let client = access.client(run, host, &remote)?;
    match ask_api_server(&client, API_SERVER_READY).await {
        Health::Ok => Ok(Anchor {
            name: host.name.clone(),
            node_name: host.node_name.clone(),
            client,
            _remote: remote,
        }),
        Health::No(why) | Health::Never(why) => Err(Error::NotReady { why }),
    }
}

/// etcd has to keep its majority after each member that leaves.
pub(super) fn refuse_lost_quorum(
    run: &Run,
    leaving: &[&Host],
    stay: &[&Host],
    anchors: &[Anchor],
) -> Result<(), Error> {
    let count = |hosts: &[&Host]| hosts.iter().filter(|host| host.is_control_plane()).count();
    if matches!(run.cluster.etcd, Etcd::External(_))
        || keeps_quorum(count(stay), count(leaving), anchors.len())
    {
        return Ok(());
    }
    let working: Vec<&str> = anchors.iter().map(|anchor| anchor.name.as_str()).collect();
    Err(Error::Refused {
        message: format!(
            "etcd would lose its quorum: of the {} remaining control planes, only {} ({})",
            count(stay),
            match working.len() {
                1 => "one works".to_owned(),
                n => format!("{n} work"),
            },
            working.join(", ")
        ),
        hint: "start the others first, or remove those that are gone for good with `--unreachable`"
            .into(),
    })
}

/// Whether etcd has a majority whenever one of `leaving` members has gone, where
/// `working` of those that `stay` can be counted on.
fn keeps_quorum(stay: usize, leaving: usize, working: usize) -> bool {
    // The last one that leaves may take a vote with it: then those that stay
    // have to be a majority among themselves, which is the strictest moment, as
    // before it there are votes more that were counted on.
    leaving == 0 || working > stay / 2
}

/// A host that works is no host that is gone for good.
pub(super) async fn refuse_if_ready(anchor: &Anchor, leaving: &[&Host]) -> Result<(), Error> {
    let nodes: Api<Node> = Api::all(anchor.client.clone());
    for host in leaving {
        let node = nodes
            .get_opt(&host.node_name)
            .await
            .map_err(ApiError::request(format!("read node {}", host.node_name)))?;
        if node.is_some_and(|node| node_ready(&node) == Health::Ok) {
            return Err(Error::Refused {
                message: format!(
                    "node {} is Ready, but `--unreachable` is for hosts that are gone for good",
                    host.node_name
                ),
                hint:
                    "omit `--unreachable`; if the host has only just gone, wait a minute until its \
                       Node is NotReady"
                        .into(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::keeps_quorum;

    #[test]
    fn a_majority_of_those_that_stay_has_to_work() {
        assert!(keeps_quorum(1, 1, 1));
        assert!(keeps_quorum(2, 1, 2));
        assert!(!keeps_quorum(2, 1, 1), "one of the two that stay is down");
        assert!(keeps_quorum(3, 2, 2));
        assert!(!keeps_quorum(3, 2, 1));
        assert!(keeps_quorum(2, 0, 1), "workers take no vote with them");
    }
}
