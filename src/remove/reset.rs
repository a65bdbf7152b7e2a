//! Removes Kubernetes from all hosts, or from some hosts of a running cluster.

use std::collections::BTreeMap;

use futures::StreamExt;

use super::leave;
use crate::cluster::identity::KnownCluster;
use crate::cluster::lock;
use crate::host::{FoundTurn, Receipt, Reset};
use crate::inventory::{Etcd, Host};
use crate::kubernetes::network;
use crate::layout::components::ETCD;
use crate::layout::paths;
use crate::run::Run;
use crate::run::error::Error;
use crate::run::phase::Phase;
use crate::run::remote::{Ownership, Remote};
use crate::run::tracker::Part;

/// Options from the command line.
#[derive(Debug, Clone, Copy, Default)]
pub struct ResetOptions {
    /// Keep the images that we imported.
    pub keep_images: bool,
    /// Reset a control plane even if its etcd member cannot be removed.
    pub force: bool,
}

/// The result on one host.
#[derive(Debug)]
pub struct ResetHost {
    /// The host's name.
    pub name: String,
    /// The outcome.
    pub outcome: Result<Outcome, Error>,
}

/// The outcome on a reachable host.
#[derive(Debug)]
pub enum Outcome {
    /// It is clean.
    Clean {
        /// What was kept in Kubernetes' directories because we did not create it, escaped.
        left: Vec<String>,
        /// The number of things removed or restored.
        removed: usize,
    },
    /// We never changed it, so nothing was done.
    Untouched {
        /// Whether its kubelet has joined a cluster by other means.
        joined: bool,
    },
}

/// What was seen on the hosts that would be reset, by name, before anything is changed.
pub struct Inspection<'a>(BTreeMap<&'a str, Result<InspectedHost<'a>, Error>>);

impl Inspection<'_> {
    /// What would go, host by host in the order of their names: for the question whether it may.
    pub fn describe(&self) -> Vec<(String, String)> {
        let describe = |inspected: &Result<InspectedHost<'_>, Error>| match inspected {
            Ok(one) => one.describe(),
            Err(error) => format!("cannot be reset: {error}"),
        };
        self.0
            .iter()
            .map(|(host, inspected)| ((*host).to_owned(), describe(inspected)))
            .collect()
    }
}

/// Looks at the selected hosts: whose they are, and what was done to them. One command each.
pub async fn inspect_hosts(run: &Run) -> Inspection<'_> {
    let wanted = run.cluster.hosts.iter().filter(|host| run.takes_part(host));
    let looks = wanted.map(|host| async {
        let name = host.name.as_str();
        (name, inspect_host(run, host).await)
    });
    Inspection(
        futures::stream::iter(looks)
            .buffered(run.options.parallel)
            .collect()
            .await,
    )
}

/// An inspected host.
pub(crate) struct InspectedHost<'a> {
    pub(crate) host: &'a Host,
    pub(crate) session: Remote,
    receipt: Option<Receipt>,
    joined: bool,
    turn: Option<FoundTurn>,
}

impl InspectedHost<'_> {
    /// Which run changed it last.
    pub(crate) fn last_turn(&self) -> Option<(String, FoundTurn)> {
        Some((self.host.name.clone(), self.turn.clone()?))
    }
}

impl InspectedHost<'_> {
    fn describe(&self) -> String {
        let Some(receipt) = &self.receipt else {
            return "nothing: `apply` never touched it".into();
        };
        let count = |what, number| (number > 0).then(|| text::count(number, what));
        let files = receipt.files.len() + receipt.links.len();
        let mut parts: Vec<String> = [
            count("file", files),
            count("unit", receipt.units.len()),
            count("image", receipt.images.len()),
        ]
        .into_iter()
        .flatten()
        .collect();
        if receipt.files.contains_key(&paths::manifest(ETCD)) {
            parts.push("etcd's data".into());
        }
        let id = match receipt.owner.cluster_id.as_str() {
            "" => String::new(),
            id => format!(" of cluster {id}"),
        };
        format!("{}{id}", parts.join(", "))
    }
}

/// Removes Kubernetes from the inspected hosts, with one command each. Hosts do not
/// wait for each other, except if etcd keeps running: then members are removed before the
/// first host is changed. Works without an API, and resumes an interrupted run.
///
/// # Errors
/// Only errors of this machine; a failure on a host is that host's outcome.
pub async fn reset_hosts(
    run: &Run,
    options: ResetOptions,
    mut inspected: Inspection<'_>,
) -> Result<Vec<ResetHost>, Error> {
    let (wanted, stay): (Vec<&Host>, Vec<&Host>) = run
        .cluster
        .hosts
        .iter()
        .partition(|host| run.takes_part(host));
    run.tracker.expect(Phase::Reset, wanted.len() + 1);
    let whole = run.tracker.part(Phase::Reset);

    let taken = Box::pin(lock::acquire_if_possible(run)).await?;
    let mut refused = leave_etcd(run, &wanted, &stay, &inspected).await;
    if options.force {
        for (host, why) in std::mem::take(&mut refused) {
            run.events()
                .warn(format!("{host}: resetting anyway (--force): {why}"));
        }
    }

    let hosts: Vec<ResetHost> = futures::stream::iter(wanted)
        .map(|host| {
            let inspected = inspected.0.remove(host.name.as_str());
            let refused = refused.remove(&host.name);
            async move {
                let part = run.tracker.part(Phase::Reset);
                let outcome = match refused {
                    Some(why) => Err(Error::Quorum { why }),
                    None => reset_host(run, options, host, inspected, &part).await,
                };
                match &outcome {
                    Ok(Outcome::Clean { removed, .. }) => part.done(&host.name, *removed),
                    Ok(Outcome::Untouched { .. }) => part.done(&host.name, 0),
                    Err(error) => part.failed(&host.name, error),
                }
                ResetHost {
                    name: host.name.clone(),
                    outcome,
                }
            }
        })
        .buffered(run.options.parallel)
        .collect()
        .await;
    let is_clean = |host: &&Host| {
        let mut done = hosts.iter().filter(|done| done.name == host.name);
        done.any(|done| matches!(done.outcome, Ok(Outcome::Clean { .. })))
    };
    let clean: Vec<&Host> = run.cluster.hosts.iter().filter(is_clean).collect();
    leave::delete_nodes(run, &stay, &clean, &whole).await;
    let stays = stay.iter().any(|host| host.is_control_plane());
    match taken && stays {
        true => Box::pin(lock::release(run)).await,
        false => lock::forget(run),
    }
    Ok(hosts)
}

/// Where etcd lives on, its members on hosts that leave do so before the first host is touched.
/// Returns those that may not leave, and why.
async fn leave_etcd(
    run: &Run,
    wanted: &[&Host],
    stay: &[&Host],
    inspected: &Inspection<'_>,
) -> BTreeMap<String, String> {
    if !leave::changes_etcd(run, wanted, stay) {
        return BTreeMap::new();
    }
    let ours: Vec<&Host> = inspected
        .0
        .values()
        .filter_map(|inspected| inspected.as_ref().ok())
        .filter(|inspected| inspected.receipt.is_some())
        .map(|inspected| inspected.host)
        .collect();
    leave::leave_etcd(run, stay, &ours).await
}

async fn reset_host(
    run: &Run,
    options: ResetOptions,
    host: &Host,
    inspected: Option<Result<InspectedHost<'_>, Error>>,
    part: &Part,
) -> Result<Outcome, Error> {
    let inspected = match inspected {
        Some(inspected) => inspected?,
        // It was not selected when the others were looked at.
        None => inspect_host(run, host).await?,
    };
    clean_host(run, options, &inspected, part).await
}

/// Connects, and reads the receipt.
pub(crate) async fn inspect_host<'a>(
    run: &Run,
    host: &'a Host,
) -> Result<InspectedHost<'a>, Error> {
    let session = run.connect(host).await?;
    let Ownership {
        receipt,
        joined,
        turn,
    } = session.read_receipt().await?;
    if let Some(receipt) = &receipt {
        KnownCluster::read(run)?.refuse_other_receipt(run, &receipt.owner)?;
    }
    Ok(InspectedHost {
        host,
        session,
        receipt,
        joined,
        turn,
    })
}

/// Removes Kubernetes from an inspected host.
pub(crate) async fn clean_host(
    run: &Run,
    options: ResetOptions,
    inspected: &InspectedHost<'_>,
    part: &Part,
) -> Result<Outcome, Error> {
    let Some(receipt) = &inspected.receipt else {
        return Ok(Outcome::Untouched {
            joined: inspected.joined,
        });
    };
    let wanted = Reset {
        receipt,
        cri_socket: &inspected.host.cri_socket,
        etcd_data: match &run.cluster.etcd {
            Etcd::Local(local) => Some(&local.data_dir),
            Etcd::External(_) => None,
        },
        networks: &network::CNI_NAMES,
        virtual_address: run.cluster.virtual_address(),
        keep_images: options.keep_images,
        turn: Some(lock::turn_on(run, inspected.last_turn())?),
    };
    let name = &inspected.host.name;
    let mut on_step = |step: String| part.doing(name, step);
    run.journalled(Some(name), Phase::Reset, "reset", async {
        let cleaned = inspected.session.reset(&wanted, &mut on_step).await?;
        Ok(Outcome::Clean {
            left: cleaned.left,
            removed: receipt.count(),
        })
    })
    .await
}
