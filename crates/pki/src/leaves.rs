//! Decides about the leaf certificates: what still fits stays, the rest is
//! issued.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::authorities::Issuer;
use crate::check::{self, Dates};
use crate::error::PkiError;
use crate::issue::{self, Period, Signer};
use crate::layout::{node_file, shared_file};
use crate::material::{Action, Leaf};
use crate::parallel::in_parallel;
use crate::planned::{PlannedPki, date_after, date_before, generate_key, read_file};
use crate::request::{Expected, NodeRequest, Request};
use crate::store::Store;
use crate::table::{Ca, Place};

/// One leaf to be decided about.
struct Job<'a> {
    node: &'a NodeRequest,
    expected: Expected,
}

impl Job<'_> {
    fn file(&self, extension: &str) -> String {
        node_file(&self.node.name, self.expected.leaf.base, extension)
    }

    /// Whether it is a kubelet's first certificate, and that kubelet has its next.
    fn is_spent(&self) -> bool {
        self.node.kubelet_renews && self.expected.leaf.is_seed()
    }

    /// What its dates have to be. A certificate that is signed elsewhere is replaced by the
    /// operator, who is warned, so it serves until its end.
    fn dates(&self, store: &Store, request: &Request, is_ours: bool) -> Dates {
        let (now, renew_before) = (store.now, request.validity.renew_before);
        match is_ours {
            _ if self.is_spent() => Dates::Any,
            true => Dates::Lasts { now, renew_before },
            false => Dates::NotEnded { now },
        }
    }
}

/// What becomes of a leaf.
enum Outcome {
    /// Until when it is valid.
    Kept(Leaf, Timestamp),
    Issued(Leaf, Action, String),
    /// It doesn't fit, and its CA's key is elsewhere.
    External(PathBuf, String),
}

impl PlannedPki<'_> {
    /// Keeps or issues every leaf of every node.
    pub(crate) fn decide_leaves(&mut self, issuers: &BTreeMap<Ca, Issuer>) -> Result<(), PkiError> {
        let (store, request) = (self.store, self.request);
        let mut jobs = Vec::new();
        for node in &request.nodes {
            self.pki.nodes.entry(node.name.clone()).or_default();
            for leaf in request.leaves_of(node) {
                let (expected, skipped) = request.expect_leaf(leaf, node);
                let file = node_file(&node.name, leaf.base, "crt");
                self.pki.warnings.extend(skipped.iter().map(|san| {
                    format!("{san:?} is neither a DNS name nor an IP address: left out of {file}")
                }));
                jobs.push(Job { node, expected });
            }
        }
        // Making RSA keys takes its time.
        let outcomes = in_parallel(&jobs, |job| {
            decide_leaf(store, request, job, &issuers[&job.expected.leaf.signer])
        });
        let mut external = Vec::new();
        let mut external_cas = Vec::new();
        for (job, outcome) in jobs.iter().zip(outcomes) {
            let leaf = match outcome? {
                Outcome::Kept(leaf, not_after) => {
                    self.keep_leaf(job, not_after)?;
                    leaf
                }
                Outcome::Issued(leaf, action, why) => {
                    self.write_secret(job.file("key"), leaf.key.clone());
                    self.write_cert(job.file("crt"), &leaf.cert);
                    self.decide(job.file("crt"), action, why);
                    leaf
                }
                Outcome::External(path, why) => {
                    let ca = store.path(&shared_file(job.expected.leaf.signer.base(), "crt"));
                    if !external_cas.contains(&ca) {
                        external_cas.push(ca);
                    }
                    external.push((path, why));
                    continue;
                }
            };
            let leaves = self.pki.nodes.entry(job.node.name.clone()).or_default();
            leaves.insert(job.expected.leaf.base, leaf);
        }
        match external.is_empty() {
            true => Ok(()),
            false => Err(PkiError::ExternalCa {
                cas: external_cas,
                leaves: external,
            }),
        }
    }

    fn keep_leaf(&mut self, job: &Job<'_>, not_after: Timestamp) -> Result<(), PkiError> {
        let cert_file = job.file("crt");
        if !job.is_spent() {
            // Only one that is signed elsewhere is kept this long.
            let soon = self.request.validity.renew_before;
            let now = self.store.now;
            let warning = check::expiry_warning(&cert_file, not_after, now, soon);
            self.pki.warnings.extend(warning);
        }
        self.note_open_key(&job.file("key"))?;
        self.decide(cert_file, Action::Kept, format!("valid until {not_after}"));
        Ok(())
    }
}

fn decide_leaf(
    store: &Store,
    request: &Request,
    job: &Job<'_>,
    issuer: &Issuer,
) -> Result<Outcome, PkiError> {
    let (cert_file, key_file) = (job.file("crt"), job.file("key"));
    let signer = issuer.signer();
    let key = read_file(store, &key_file)?;
    let (action, why) = match read_file(store, &cert_file)? {
        None => (Action::Created, "missing".to_owned()),
        Some(cert) => {
            let fit = check::check_leaf(
                &cert,
                key.as_deref().map(String::as_str),
                &job.expected,
                &issuer.cert,
                job.dates(store, request, signer.is_some()),
                // A certificate issued elsewhere may say more than ours would.
                signer.is_some(),
            );
            match (fit, key) {
                (Ok(parsed), Some(key)) => {
                    let cert = cert.to_string();
                    return Ok(Outcome::Kept(Leaf { cert, key }, parsed.info.not_after));
                }
                (Ok(_), None) => (Action::Reissued, "its key is missing".into()),
                (Err(why), _) => (Action::Reissued, why),
            }
        }
    };
    let Some(signer) = signer else {
        return Ok(Outcome::External(store.path(&cert_file), why));
    };
    let not_before = match (action, job.expected.leaf.place) {
        // kubeadm dates these from their CA when it first writes them.
        (Action::Created, Place::Kubeconfig) => issuer.cert.info.not_before,
        _ => date_before(store.now, issue::BACKDATE)?,
    };
    let leaf = issue_leaf(store, request, job, not_before, &signer)?;
    Ok(Outcome::Issued(leaf, action, why))
}

fn issue_leaf(
    store: &Store,
    request: &Request,
    job: &Job<'_>,
    not_before: Timestamp,
    signer: &Signer<'_>,
) -> Result<Leaf, PkiError> {
    let period = Period {
        not_before,
        not_after: date_after(store.now, request.validity.leaf)?,
    };
    let key = generate_key(request, &job.file("key"))?;
    let cert = issue::issue_leaf(&job.expected, period, &key, signer).map_err(|source| {
        PkiError::Issue {
            file: job.file("crt"),
            source,
        }
    })?;
    let key = key.to_pem();
    Ok(Leaf { cert, key })
}
