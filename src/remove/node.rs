//! Removes hosts from a running cluster: drains them, removes their etcd members, deletes
//! their Nodes, cleans them.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Node;
use kube::api::Api;

use super::anchor::{Anchor, find_anchors, refuse_if_ready, refuse_lost_quorum};
use super::drain::DrainOptions;
use super::reset::{InspectedHost, Outcome, ResetOptions};
use super::{drain, leave, reset};
use crate::cluster::lock::{self, LockSeen};
use crate::cluster::virtual_address::hand_over_address;
use crate::inventory::Host;
use crate::kubernetes::api::{ApiError, Health, wait_healthy};
use crate::run::Run;
use crate::run::error::Error;
use crate::run::phase::Phase;
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
    pub references_updated: bool,
}

/// Removes the selected hosts one after the other, workers before control planes. All
/// requests go through control planes that remain. Resumes an interrupted run.
///
/// # Errors
/// Refusals before anything is changed; later failures are part of the result.
// Long: the order of the refusals is what matters here.
pub async fn remove_nodes(run: &Run, options: RemoveOptions) -> Result<Removal, Error> {
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
    let nodes = anchor.node_names().await?;
    let has_node = |host: &Host| nodes.contains(&host.node_name);
    let mut inspected = if options.unreachable {
        refuse_if_ready(anchor, &leaving).await?;
        BTreeMap::new()
    } else {
        inspect_hosts(run, &leaving).await?
    };
    if !options.unreachable {
        for host in leaving.iter().filter(|host| has_node(host)) {
            drain::refuse_losses(&anchor.client, &host.node_name, options.force).await?;
        }
    }
    drop(checks);

    let taken = Box::pin(take_lock(run, &anchors, &inspected)).await?;
    let mut removal = Removal {
        removed: Vec::new(),
        failed: None,
        references_updated: true,
    };
    for host in &leaving {
        let one = Leaving {
            run,
            options,
            anchor,
            stay: &stay,
            host,
        };
        match one
            .take_out(inspected.remove(host.name.as_str()), has_node(host))
            .await
        {
            Ok(removed) => removal.removed.push(removed),
            Err(error) => {
                removal.failed = Some(error.on(&host.name));
                break;
            }
        }
    }
    removal.references_updated = update_references(run, &removal.removed).await;
    if taken {
        lock::release(run).await;
    }
    Ok(removal)
}

/// Takes the lock, through the control planes that stay; says whether it was taken now.
async fn take_lock(
    run: &Run,
    anchors: &[Anchor],
    inspected: &BTreeMap<&str, InspectedHost<'_>>,
) -> Result<bool, Error> {
    let clients = anchors.iter().map(|anchor| anchor.client.clone());
    let turns = inspected.values().filter_map(InspectedHost::last_turn);
    let seen = LockSeen {
        hosts: turns.collect(),
        ..LockSeen::default()
    };
    lock::acquire(run, clients.collect(), &seen).await
}

/// Whatever names control planes elsewhere learns of those that are gone. Says whether it did;
/// that it didn't is a warning.
async fn update_references(run: &Run, removed: &[Removed]) -> bool {
    let gone = |host: &Host| removed.iter().any(|one| one.name == host.name);
    let mut hosts = run.cluster.hosts.iter();
    if !hosts.any(|host| host.is_control_plane() && gone(host)) {
        return true;
    }
    let hosts = run.cluster.hosts.iter();
    let left: Vec<Host> = hosts.filter(|host| !gone(host)).cloned().collect();
    match interruptible(crate::apply::references::update_references(run, left)).await {
        Ok(updated) => updated,
        Err(error) => {
            run.events().warn(format!(
                "references to the removed control planes were not updated: {error}; run \
                 `clusterctl-rs apply`"
            ));
            false
        }
    }
}

/// Connects to all leaving hosts.
async fn inspect_hosts<'a>(
    run: &Run,
    leaving: &[&'a Host],
) -> Result<BTreeMap<&'a str, InspectedHost<'a>>, Error> {
    let looks: Vec<(&'a Host, Result<InspectedHost<'a>, Error>)> =
        futures::stream::iter(leaving.iter().copied())
            .map(|host| async move { (host, reset::inspect_host(run, host).await) })
            .buffered(run.options.parallel)
            .collect()
            .await;
    let mut inspected = BTreeMap::new();
    for (host, look) in looks {
        match look {
            Ok(one) => inspected.insert(host.name.as_str(), one),
            Err(error @ Error::Ssh(_)) => {
                return Err(Error::Unreachable {
                    source: Box::new(error.on(&host.name)),
                });
            }
            Err(error) => return Err(error.on(&host.name)),
        };
    }
    Ok(inspected)
}

/// The removal of one host.
struct Leaving<'a> {
    run: &'a Run,
    options: RemoveOptions,
    anchor: &'a Anchor,
    stay: &'a [&'a Host],
    host: &'a Host,
}

impl Leaving<'_> {
    async fn take_out(
        &self,
        inspected: Option<InspectedHost<'_>>,
        has_node: bool,
    ) -> Result<Removed, Error> {
        let (run, host) = (self.run, self.host);
        let part = run.tracker.part(Phase::Drain);
        if has_node {
            self.empty_node(&part).await?;
        }
        part.done(&host.name, usize::from(has_node));
        run.tracker.expect(Phase::Reset, 1);
        let part = run.tracker.part(Phase::Reset);
        let rest = async {
            if let Some(inspected) = inspected.as_ref().filter(|_| host.is_control_plane()) {
                let (heir, api) = (&self.anchor.node_name, &self.anchor.client);
                hand_over_address(run, host, &inspected.session, heir, api, &part).await;
            }
            self.leave_etcd(&part).await?;
            self.delete_node(&part).await?;
            let Some(inspected) = inspected else {
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
            let outcome = reset::clean_host(run, options, &inspected, &part).await?;
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
    async fn empty_node(&self, part: &Part) -> Result<(), Error> {
        let (run, host) = (self.run, self.host);
        if self.options.unreachable {
            part.doing(&host.name, "deleting its pods");
            let abandoned = drain::delete_pods(&self.anchor.client, &host.node_name);
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
        let drain = drain::drain_node(run, client, &host.name, node, options, part);
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
            drain::uncordon_or_warn(self.run, &self.anchor.client, &host.node_name).await;
        }
        Err(Error::Quorum { why })
    }

    async fn delete_node(&self, part: &Part) -> Result<(), Error> {
        let (run, name) = (self.run, &self.host.node_name);
        part.doing(&self.host.name, "deleting its Node");
        let nodes: Api<Node> = Api::all(self.anchor.client.clone());
        let what = format!("Node {name}");
        let deleted = run
            .journalled(None, Phase::Reset, &what, leave::delete_node(&nodes, name))
            .await?;
        if !deleted {
            return Ok(());
        }
        part.changed(&what, "deleted");
        let gone = || async {
            match nodes.get_opt(name).await {
                Ok(None) => Health::Ok,
                Ok(Some(_)) => Health::No("a finalizer holds it".into()),
                Err(error) => {
                    Health::from_error(&ApiError::request(format!("read Node {name}"))(error))
                }
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
