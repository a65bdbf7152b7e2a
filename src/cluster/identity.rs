//! Which cluster runs on the hosts, compared with the one that this machine knows.
//!
//! This belongs to no phase and can't be waived: with a state directory that is lost, or that
//! of another cluster, everything that follows would destroy what runs.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pki::{Store, spki_pin};

use super::survey::Surveyed;
use crate::host::{Gathered, HostError, Owner};
use crate::inventory::{Cluster, Etcd};
use crate::layout::paths;
use crate::run::Run;
use crate::run::error::Error;

/// The cluster's CA, by its path below `certificatesDir`.
const CA: &str = "ca.crt";

/// What this machine knows of the cluster.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownCluster {
    /// Whom the state directory belongs to.
    owner: Option<Owner>,
    /// The public files of its authorities, by their path below `certificatesDir`.
    authorities: BTreeMap<String, String>,
}

/// A host, or the state directory, that belongs to another cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stranger {
    /// The host's name.
    pub(crate) host: String,
    /// How that is known.
    pub(crate) why: String,
}

impl KnownCluster {
    /// Reads the state directory.
    ///
    /// # Errors
    /// Files that can't be read.
    pub(crate) fn read(run: &Run) -> Result<Self, Error> {
        Ok(KnownCluster {
            owner: run.state.owner()?,
            authorities: Store::new(run.state.dir()).authorities()?,
        })
    }

    /// Whether the cluster's CA is known.
    pub(crate) fn has_ca(&self) -> bool {
        self.authorities.contains_key(CA)
    }

    /// The identity of the cluster whose CA is `ca`: as remembered, or as the hosts say whose
    /// receipts agree, or new.
    pub(crate) fn owner(&self, cluster: &Cluster, ca: &str, surveyed: &[Surveyed]) -> Owner {
        let ca = spki_pin(ca).unwrap_or_default();
        let remembered = self.owner.iter().map(|owner| &owner.cluster_id);
        let receipts = surveyed.iter().filter_map(|one| {
            let owner = one.gathered.receipt_owner.as_ref()?;
            (owner.ca == ca).then_some(&owner.cluster_id)
        });
        let mut ids = remembered.chain(receipts).filter(|id| !id.is_empty());
        Owner {
            cluster: cluster.name.clone(),
            cluster_id: ids.next().cloned().unwrap_or_else(random_id),
            ca,
        }
    }

    /// Hosts of other clusters, and those of this one whose CA this machine doesn't have.
    pub(crate) fn find_strangers(&self, run: &Run, surveyed: &[Surveyed]) -> Vec<Stranger> {
        let stranger = |one: &Surveyed| {
            let why = self.judge(&run.cluster, &one.gathered)?;
            let host = one.host.name.clone();
            Some(Stranger { host, why })
        };
        surveyed.iter().filter_map(stranger).collect()
    }

    /// Refuses to touch a host whose receipt isn't proven to be this cluster's.
    ///
    /// # Errors
    /// [`HostError::OtherCluster`], or [`Error::Refused`] if this machine can't tell.
    pub(crate) fn refuse_other_receipt(&self, run: &Run, theirs: &Owner) -> Result<(), Error> {
        let ours = self.identity(&run.cluster);
        if !theirs.agrees_with(&ours) {
            return Err(HostError::OtherCluster {
                found: Box::new(theirs.clone()),
                wanted: Box::new(ours),
            }
            .into());
        }
        let same_id = theirs.cluster_id == ours.cluster_id && !ours.cluster_id.is_empty();
        let same_ca = theirs.ca == ours.ca && !ours.ca.is_empty();
        if same_id || same_ca {
            return Ok(());
        }
        // A receipt of before there were ids says nothing but a name.
        if theirs.cluster_id.is_empty() && theirs.ca.is_empty() {
            return Err(Error::Refused {
                message: format!("the host's receipt names cluster {theirs}, which proves nothing"),
                hint:
                    "run `clusterctl-rs apply` first: it compares the CA and completes the receipt"
                        .into(),
            });
        }
        Err(Error::Refused {
            message: format!(
                "the host belongs to cluster {theirs}; whether that is this one can't be told, for \
                 {} has neither its CA nor its id",
                run.state.dir().display()
            ),
            hint: "fetch them from a control plane with `clusterctl-rs state recover`".into(),
        })
    }

    /// What this machine knows of the cluster's identity.
    fn identity(&self, cluster: &Cluster) -> Owner {
        Owner {
            cluster: cluster.name.clone(),
            cluster_id: self
                .owner
                .as_ref()
                .map_or_else(String::new, |owner| owner.cluster_id.clone()),
            ca: self.pin(CA).unwrap_or_default(),
        }
    }

    /// Why a host isn't one of this cluster's; `None` if it is, or is bare.
    fn judge(&self, cluster: &Cluster, gathered: &Gathered) -> Option<String> {
        if let Some(theirs) = &gathered.receipt_owner
            && !theirs.agrees_with(&self.identity(cluster))
        {
            return Some(format!("belongs to cluster {theirs}"));
        }
        if let Some(ca) = joined_ca(gathered)
            && !self.has(CA, &ca)
        {
            let file = paths::KUBELET_CONF;
            return Some(format!("the CA in {file} is {}", identify(&ca)));
        }
        let dir = &cluster.certificates_dir;
        let external_etcd = matches!(cluster.etcd, Etcd::External(_));
        for (name, theirs) in &gathered.authorities {
            // With an external etcd, that is a file of the operator's.
            if name.starts_with("etcd/") && external_etcd {
                continue;
            }
            match name.strip_suffix(".key") {
                // A key alone is what an interrupted run may leave, if it was one of ours.
                Some(base) if !has_certificate(gathered, base) && !self.wrote(gathered) => {
                    return Some(format!("has a key of an unknown cluster, {dir}/{name}"));
                }
                Some(_) => {}
                None if !self.has(name, theirs) => {
                    return Some(match name.ends_with(".crt") {
                        true => format!("{dir}/{name} is {}", identify(theirs)),
                        false => format!("{dir}/{name} is another key"),
                    });
                }
                None => {}
            }
        }
        None
    }

    /// Whether a receipt shows that this cluster wrote to the host.
    fn wrote(&self, gathered: &Gathered) -> bool {
        let theirs = gathered.receipt_owner.as_ref();
        let ours = self.owner.as_ref();
        theirs.zip(ours).is_some_and(|(theirs, ours)| {
            !ours.cluster_id.is_empty() && theirs.cluster_id == ours.cluster_id
        })
    }

    /// Whether this machine has what a host has as `name`.
    fn has(&self, name: &str, theirs: &str) -> bool {
        let Some(ours) = self.authorities.get(name) else {
            return false;
        };
        match name.ends_with(".crt") {
            true => identify(ours) == identify(theirs),
            // Each may have more keys: those of tokens that were signed in the past.
            false => blocks(theirs).any(|theirs| blocks(ours).any(|ours| ours == theirs)),
        }
    }

    /// What identifies a certificate of this machine.
    fn pin(&self, name: &str) -> Option<String> {
        self.authorities.get(name).map(|text| identify(text))
    }
}

/// Refuses to go on with hosts of another cluster, or without the CA of the cluster that runs.
///
/// # Errors
/// [`Error::Refused`], with the fingerprints of both.
pub(crate) fn refuse_other_clusters(
    run: &Run,
    known: &KnownCluster,
    surveyed: &[Surveyed],
) -> Result<(), Error> {
    let strangers = known.find_strangers(run, surveyed);
    let dir = run.state.dir().display();
    let remembered = known.owner.as_ref().filter(|owner| !owner.ca.is_empty());
    let lost = remembered.filter(|_| !known.has_ca());
    let moved = remembered.filter(|owner| known.pin(CA).is_some_and(|pin| pin != owner.ca));
    if let Some(owner) = lost.or(moved) {
        let what = match known.pin(CA) {
            None => "is missing".to_owned(),
            Some(pin) => format!("is {pin}"),
        };
        return Err(Error::Refused {
            message: format!(
                "{dir}/pki/{CA} {what}, but the CA of cluster {} is {}{}",
                owner.cluster,
                owner.ca,
                list(&strangers)
            ),
            hint: format!(
                "fetch it from a control plane with `clusterctl-rs state recover`; if the cluster is \
                 gone for good, delete {dir}"
            ),
        });
    }
    if strangers.is_empty() {
        return Ok(());
    }
    let name = &run.cluster.name;
    Err(match known.pin(CA) {
        None => Error::Refused {
            message: format!(
                "cluster {name} is running, but its CA is not in {dir}/pki; a new CA would destroy \
                 it{}",
                list(&strangers)
            ),
            hint: "fetch it from a control plane with `clusterctl-rs state recover`, or take the \
                   hosts out of the inventory if they are another cluster's"
                .into(),
        },
        Some(pin) => Error::Refused {
            message: format!(
                "hosts belong to another cluster than {name}, whose CA is {pin} ({dir}/pki/{CA}){}",
                list(&strangers)
            ),
            hint: "take them out of the inventory, or reset them with the inventory and the state \
                   directory of their own cluster; if they are this cluster's and the state \
                   directory is wrong, move it away and run `clusterctl-rs state recover`"
                .into(),
        },
    })
}

fn list(strangers: &[Stranger]) -> String {
    const SHOWN: usize = 20;
    // Most often it is the same for all of them.
    let mut shared: Vec<(&str, Vec<&str>)> = Vec::new();
    for Stranger { host, why } in strangers {
        match shared.iter_mut().find(|(other, _)| other == why) {
            Some((_, hosts)) => hosts.push(host),
            None => shared.push((why, vec![host])),
        }
    }
    let line = |(why, hosts): &(&str, Vec<&str>)| {
        let more = match hosts.len().saturating_sub(SHOWN) {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        let named = hosts[..hosts.len().min(SHOWN)].join(", ");
        format!("\n  {named}{more}: {why}")
    };
    shared.iter().map(line).collect()
}

/// The CA in the kubelet's kubeconfig, in PEM.
fn joined_ca(gathered: &Gathered) -> Option<String> {
    let decoded = STANDARD.decode(gathered.kubelet_ca.as_deref()?).ok()?;
    String::from_utf8(decoded).ok()
}

/// What identifies a CA: the pin of its key, so that one that was renewed for the same key is
/// the same.
fn identify(certificate: &str) -> String {
    spki_pin(certificate).unwrap_or_else(|why| format!("a file that {why}"))
}

/// What is between the lines of a text in PEM form, block by block.
fn blocks(pem: &str) -> impl Iterator<Item = String> {
    pem.split("-----BEGIN").skip(1).map(|block| {
        let lines = block.lines().skip(1).map(str::trim);
        lines
            .take_while(|line| !line.starts_with("-----"))
            .collect()
    })
}

fn has_certificate(gathered: &Gathered, base: &str) -> bool {
    [".crt", ".pub"]
        .iter()
        .any(|end| gathered.authorities.contains_key(&format!("{base}{end}")))
}

/// 128 random bits, in hexadecimal.
fn random_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}
