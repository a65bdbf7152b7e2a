//! Removes hosts from a running cluster: drains them, removes their etcd members, deletes
//! their Nodes, cleans them.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};

use super::drain::DrainOptions;
use super::reset::{Looked, Outcome, ResetOptions};
use super::{drain, leave, reset};
use crate::cluster::answer::{Silent, ask_first};
use crate::cluster::health::ask_api_server;
use crate::cluster::operator_access::OperatorAccess;
use crate::cluster::virtual_address::hand_over;
use crate::inventory::{Etcd, Host};
use crate::kubernetes::api::{ApiError, Health, wait_healthy};
use crate::run::Run;
use crate::run::error::Error;
use crate::run::phase::Phase;
use crate::run::remote::Remote;
use crate::run::tracker::Part;

/// Options from the command line.
#[derive(Debug, Clone, Copy)]
pub struct RemoveOptions {
    /// How long draining a node may take.
    pub timeout: Duration,
    /// Also evict pods that cannot be restored.
    pub force: bool,
    /// The hosts are gone for good: do not connect to them.
    pub unreachable: bool,
}

/// A host that is no longer part of the cluster.
#[derive(Debug)]
pub struct Removed {
    /// Its name.
    pub name: String,
    /// What was kept on it because we did not create it, escaped. Empty if not connected
    /// to.
    pub left: Vec<String>,
    /// Whether it was cleaned.
    pub cleaned: bool,
}

/// The result of a removal.
#[derive(Debug)]
pub struct Removal {
    /// Removed hosts, in order.
    pub removed: Vec<Removed>,
    /// The error that ended the run early, if any.
    pub failed: Option<Error>,
    /// Whether all references to control planes were updated.
    pub in_step: bool,
}

/// Removes the selected hosts one after the other, workers before control planes. All
/// requests go through control planes that remain. Resumes an interrupted run.
///
/// # Errors
/// Refusals before anything is changed; later failures are part of the result.
pub async fn remove(run: &Run, options: RemoveOptions) -> Result<Removal, Error> {
    let (leaving, stay): (Vec<&Host>, Vec<&Host>) = run
        .cluster
        .hosts
        .iter()
        .partition(|host| run.takes_part(host));
    let mut leaving = leaving;
    leaving.sort_by_key(|host| host.is_control_plane());
    run.tracker.expect(Phase::Drain, leaving.len() + 1);
    let checks = run.tracker.part(Phase::Drain);

    // To remove workers, one control plane is enough.
    let all = leaving.iter().any(|host| host.is_control_plane());
    let anchors = find_anchors(run, &stay, all).await?;
    refuse_lost_quorum(run, &leaving, &stay, &anchors)?;
    let anchor = &anchors[0];
    let nodes = anchor.nodes().await?;
    let has_node = |host: &Host| nodes.contains(&host.node_name);
    let mut looked = if options.unreachable {
        refuse_if_ready(anchor, &leaving).await?;
        BTreeMap::new()
    } else {
        look(run, &leaving).await?
    };
    if !options.unreachable {
        for host in leaving.iter().filter(|host| has_node(host)) {
            drain::check(&anchor.client, &host.node_name, options.force).await?;
        }
    }
    drop(checks);

    let mut removal = Removal {
        removed: Vec::new(),
        failed: None,
        in_step: true,
    };
    for host in &leaving {
        let one = One {
            run,
            options,
            anchor,
            stay: &stay,
            host,
        };
        match one
            .leave(looked.remove(host.name.as_str()), has_node(host))
            .await
        {
            Ok(removed) => removal.removed.push(removed),
            Err(error) => {
                removal.failed = Some(error.on(&host.name));
                break;
            }
        }
    }
    let gone = |host: &Host| removal.removed.iter().any(|one| one.name == host.name);
    if leaving
        .iter()
        .any(|host| host.is_control_plane() && gone(host))
    {
        let left: Vec<Host> = run
            .cluster
            .hosts
            .iter()
            .filter(|host| !gone(host))
            .cloned()
            .collect();
        match interruptible(crate::apply::references::in_step(run, left)).await {
            Ok(in_step) => removal.in_step = in_step,
            Err(error) => {
                removal.in_step = false;
                run.events().warn(format!(
                    "references to the removed control planes were not updated: {error}; run \
                     `clusterctl-rs apply`"
                ));
            }
        }
    }
    Ok(removal)
}

/// A remaining control plane and its API.
struct Anchor {
    name: String,
    node_name: String,
    client: kube::Client,
    // The client uses its channels.
    _remote: Remote,
}

impl Anchor {
    async fn nodes(&self) -> Result<Vec<String>, Error> {
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

/// The remaining control planes that are healthy: `all` of them, or the first one.
async fn find_anchors(run: &Run, stay: &[&Host], all: bool) -> Result<Vec<Anchor>, Error> {
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
    match ask_api_server(&client, "/readyz").await {
        Health::Ok => Ok(Anchor {
            name: host.name.clone(),
            node_name: host.node_name.clone(),
            client,
            _remote: remote,
        }),
        Health::No(why) => Err(Error::NotReady { why }),
    }
}

/// Fails if etcd would lose its quorum after any of the removals.
fn refuse_lost_quorum(
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

/// Whether etcd keeps quorum after each of the `leaving` members is removed, if `working`
/// of the members that `stay` are healthy.
fn keeps_quorum(stay: usize, leaving: usize, working: usize) -> bool {
    // The strictest moment is after the last removal: then the healthy members have to be a
    // majority of those that stay. Before that, the leaving members vote, too.
    leaving == 0 || working > stay / 2
}

/// Fails if a host is Ready, and thus not gone for good.
async fn refuse_if_ready(anchor: &Anchor, leaving: &[&Host]) -> Result<(), Error> {
    let nodes: Api<Node> = Api::all(anchor.client.clone());
    for host in leaving {
        let node = nodes
            .get_opt(&host.node_name)
            .await
            .map_err(ApiError::request(format!("read node {}", host.node_name)))?;
        if node.is_some_and(|node| crate::kubernetes::api::node_ready(&node) == Health::Ok) {
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

/// Connects to all leaving hosts.
async fn look<'a>(run: &Run, leaving: &[&'a Host]) -> Result<BTreeMap<&'a str, Looked<'a>>, Error> {
    let looks: Vec<(&'a Host, Result<Looked<'a>, Error>)> =
        futures::stream::iter(leaving.iter().copied())
            .map(|host| async move { (host, reset::look(run, host).await) })
            .buffered(run.options.parallel)
            .collect()
            .await;
    let mut looked = BTreeMap::new();
    for (host, look) in looks {
        match look {
            Ok(one) => looked.insert(host.name.as_str(), one),
            Err(error @ Error::Ssh(_)) => {
                return Err(Error::Unreachable {
                    source: Box::new(error.on(&host.name)),
                });
            }
            Err(error) => return Err(error.on(&host.name)),
        };
    }
    Ok(looked)
}

/// The removal of one host.
struct One<'a> {
    run: &'a Run,
    options: RemoveOptions,
    anchor: &'a Anchor,
    stay: &'a [&'a Host],
    host: &'a Host,
}

impl One<'_> {
    async fn leave(&self, looked: Option<Looked<'_>>, has_node: bool) -> Result<Removed, Error> {
        let (run, host) = (self.run, self.host);
        let part = run.tracker.part(Phase::Drain);
        if has_node {
            self.empty(&part).await?;
        }
        part.done(&host.name, usize::from(has_node));
        run.tracker.expect(Phase::Reset, 1);
        let part = run.tracker.part(Phase::Reset);
        let rest = async {
            if let Some(looked) = looked.as_ref().filter(|_| host.is_control_plane()) {
                let (heir, api) = (&self.anchor.node_name, &self.anchor.client);
                hand_over(run, host, &looked.session, heir, api, &part).await;
            }
            self.leave_etcd(&part).await?;
            self.delete_node(&part).await?;
            let Some(looked) = looked else {
                return Ok(Removed {
                    name: host.name.clone(),
                    left: Vec::new(),
                    cleaned: false,
                });
            };
            // The member has left etcd already, so there is nothing to protect.
            let options = ResetOptions {
                force: true,
                ..ResetOptions::default()
            };
            let outcome = reset::clean(run, options, &looked, &part).await?;
            // A kubelet that was just starting may have registered again.
            self.delete_node(&part).await?;
            let (left, cleaned) = match outcome {
                Outcome::Clean { left, .. } => (left, true),
                Outcome::Untouched { .. } => (Vec::new(), false),
            };
            Ok(Removed {
                name: host.name.clone(),
                left,
                cleaned,
            })
        };
        let removed = interruptible(rest).await;
        match &removed {
            Ok(removed) => part.done(&host.name, usize::from(removed.cleaned)),
            Err(error) => part.failed(&host.name, error),
        }
        removed
    }

    /// Drains the node, or deletes its pods if it is unreachable.
    async fn empty(&self, part: &Part) -> Result<(), Error> {
        let (run, host) = (self.run, self.host);
        if self.options.unreachable {
            part.doing(&host.name, "deleting its pods");
            let abandoned = drain::abandon(&self.anchor.client, &host.node_name);
            let lost = run
                .journalled(
                    Some(&host.name),
                    Phase::Drain,
                    "pods",
                    interruptible(abandoned),
                )
                .await?;
            if !lost.is_empty() {
                run.events().warn(format!(
                    "lost with {}, because no controller recreates them: {}",
                    host.name,
                    text::terminal::escape(&lost.join(", "))
                ));
            }
            return Ok(());
        }
        let options = DrainOptions {
            timeout: self.options.timeout,
            force: self.options.force,
        };
        let (client, node) = (&self.anchor.client, host.node_name.as_str());
        let drain = drain::drain(run, client, &host.name, node, options, part);
        run.journalled(Some(&host.name), Phase::Drain, "drain", drain)
            .await
    }

    /// Removes its etcd member. If that fails, the host is unchanged.
    async fn leave_etcd(&self, part: &Part) -> Result<(), Error> {
        let host = self.host;
        if !leave::changes_etcd(self.run, &[host], self.stay) {
            return Ok(());
        }
        part.doing(&host.name, "removing its etcd member");
        let mut refused = leave::leave_etcd(self.run, self.stay, &[host]).await;
        let Some(why) = refused.remove(&host.name) else {
            return Ok(());
        };
        // It stays a member, so its node stays in use, too.
        if !self.options.unreachable {
            drain::give_back(self.run, &self.anchor.client, &host.node_name).await;
        }
        Err(Error::Quorum { why })
    }

    async fn delete_node(&self, part: &Part) -> Result<(), Error> {
        let (run, name) = (self.run, &self.host.node_name);
        part.doing(&self.host.name, "deleting its Node");
        let nodes: Api<Node> = Api::all(self.anchor.client.clone());
        let what = format!("Node {name}");
        let deleted = run
            .journalled(None, Phase::Reset, &what, leave::delete(&nodes, name))
            .await?;
        if !deleted {
            return Ok(());
        }
        part.changed(&what, "deleted");
        let gone = || async {
            match nodes.get_opt(name).await {
                Ok(None) => Health::Ok,
                Ok(Some(_)) => Health::No("a finalizer holds it".into()),
                Err(error) => Health::No(error.to_string()),
            }
        };
        let timeout = run.cluster.timeouts.kubernetes_api_call;
        Ok(wait_healthy(&format!("the deletion of Node {name}"), timeout, gone).await?)
    }
}

/// Runs `deed`, unless interrupted by the user.
async fn interruptible<T>(deed: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::select! {
        result = deed => result,
        () = crate::run::interrupt::interrupted() => Err(Error::Interrupted),
    }
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
