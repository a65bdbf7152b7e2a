//! What the store hands out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::check;
use crate::inspect::Parsed;
use crate::layout::{node_file, shared_file};
use crate::table::{self, Ca, LEAVES, Place};

/// What every placeholder begins with. Its length is a multiple of three, so
/// that it can be told in base64, too.
pub const PLACEHOLDER: &str = "#: made by apply: ";

/// A CA, in PEM.
#[derive(Clone)]
pub struct Authority {
    /// Its certificate; whatever else the operator put into the file follows.
    pub cert: String,
    /// Its key; `None` if it is elsewhere (an external CA).
    pub key: Option<Zeroizing<String>>,
}

/// A leaf, in PEM.
#[derive(Clone)]
pub struct Leaf {
    /// Its certificate.
    pub cert: String,
    /// Its key.
    pub key: Zeroizing<String>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("cert", &self.cert)
            .field("external", &self.key.is_none())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaf")
            .field("cert", &self.cert)
            .finish_non_exhaustive()
    }
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It stays as it is.
    Kept,
    /// It was missing.
    Created,
    /// It was there and is replaced.
    Reissued,
}

/// What became of a file, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// The certificate (its key goes with it) or key, relative to the operator
    /// state.
    pub file: String,
    /// What became of it.
    pub action: Action,
    /// Why, as a clause.
    pub why: String,
}

/// A file of a node's PKI directory.
#[derive(Clone)]
pub struct PkiFile {
    /// Relative to the PKI directory, such as `etcd/ca.key`.
    pub path: String,
    /// What it holds.
    pub content: Zeroizing<String>,
    /// Permission bits: 0644, or 0600 for keys and `sa.pub`.
    pub mode: u32,
}

impl fmt::Debug for PkiFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PkiFile({}, {:o})", self.path, self.mode)
    }
}

/// Everything that [`crate::Store`] holds for one cluster.
pub struct Pki {
    /// Whether the cluster's CA signs elsewhere, so that the controller manager
    /// can't sign certificate requests.
    pub external_ca: bool,
    /// What became of each file, in the table's order.
    pub decisions: Vec<Decision>,
    /// What the operator should know, as sentences.
    pub warnings: Vec<String>,
    pub(crate) authorities: BTreeMap<Ca, Authority>,
    pub(crate) service_account: (Zeroizing<String>, String),
    pub(crate) nodes: BTreeMap<String, BTreeMap<&'static str, Leaf>>,
}

impl fmt::Debug for Pki {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pki")
            .field("external_ca", &self.external_ca)
            .field("decisions", &self.decisions)
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}

impl Pki {
    /// A CA. [`Ca::Etcd`] is missing with an external etcd.
    pub fn authority(&self, ca: Ca) -> Option<&Authority> {
        self.authorities.get(&ca)
    }

    /// The cluster's CA certificate, in PEM.
    pub fn ca_cert(&self) -> &str {
        self.authority(Ca::Kubernetes)
            .map_or("", |authority| authority.cert.as_str())
    }

    /// The key that signs service account tokens, in PEM.
    pub fn service_account_key(&self) -> &Zeroizing<String> {
        &self.service_account.0
    }

    /// Its public half, in PEM.
    pub fn service_account_public(&self) -> &str {
        &self.service_account.1
    }

    /// The leaf `base` (as in [`crate::LEAVES`]) of the node `name`.
    pub fn leaf(&self, name: &str, base: &str) -> Option<&Leaf> {
        self.nodes.get(name)?.get(base)
    }

    /// Whether the certificate `theirs` can stay instead of `ours`, both in PEM: one
    /// of our authorities signed both, they say the same, and `theirs` is valid for longer.
    pub fn outlives(&self, theirs: &str, ours: &str) -> bool {
        let (Ok(theirs), Ok(ours)) = (Parsed::from_pem(theirs), Parsed::from_pem(ours)) else {
            return false;
        };
        self.authorities.values().any(|authority| {
            Parsed::from_pem(&authority.cert).is_ok_and(|ca| check::outlives(&theirs, &ours, &ca))
        })
    }

    /// Whether anything was made, or would be.
    pub fn has_changes(&self) -> bool {
        self.decisions.iter().any(|d| d.action != Action::Kept)
    }

    /// The same with a placeholder in the place of each certificate and key
    /// that isn't made yet, or is to be replaced. What would be made is random,
    /// and never the same twice; what is rendered from placeholders is.
    pub fn with_placeholders(&self) -> Pki {
        let made: BTreeSet<&str> = self
            .decisions
            .iter()
            .filter(|decision| decision.action != Action::Kept)
            .map(|decision| decision.file.as_str())
            .collect();
        let mut pki = Pki {
            external_ca: self.external_ca,
            decisions: self.decisions.clone(),
            warnings: self.warnings.clone(),
            authorities: self.authorities.clone(),
            service_account: self.service_account.clone(),
            nodes: self.nodes.clone(),
        };
        for (ca, authority) in &mut pki.authorities {
            let file = shared_file(ca.base(), "crt");
            if made.contains(file.as_str()) {
                authority.cert = make_placeholder(&file);
                let key = make_placeholder(&shared_file(ca.base(), "key"));
                authority.key = Some(Zeroizing::new(key));
            }
        }
        let [key, public] = ["key", "pub"].map(|end| shared_file(table::SERVICE_ACCOUNT, end));
        if made.contains(key.as_str()) {
            pki.service_account.0 = Zeroizing::new(make_placeholder(&key));
        }
        if made.contains(public.as_str()) {
            pki.service_account.1 = make_placeholder(&public);
        }
        for (node, leaves) in &mut pki.nodes {
            for (base, leaf) in leaves {
                let file = node_file(node, base, "crt");
                if made.contains(file.as_str()) {
                    leaf.cert = make_placeholder(&file);
                    leaf.key = Zeroizing::new(make_placeholder(&node_file(node, base, "key")));
                }
            }
        }
        pki
    }

    /// Every file of the PKI directory of the control plane `name`, authorities
    /// first. Nothing if the request didn't name it. What kubeconfigs embed is
    /// not among them.
    pub fn files_for(&self, name: &str) -> impl Iterator<Item = PkiFile> {
        let leaves = self.nodes.get(name);
        let shared = leaves.map(|_| self.shared_files()).into_iter().flatten();
        let own = LEAVES
            .iter()
            .filter(|entry| entry.place == Place::Files)
            .filter_map(move |entry| Some((entry.base, leaves?.get(entry.base)?)))
            .flat_map(|(base, leaf)| {
                [
                    cert_file(base, &leaf.cert),
                    secret_file(format!("{base}.key"), &leaf.key),
                ]
            });
        shared.chain(own)
    }

    /// What all control planes share: the authorities and the service account
    /// pair.
    pub(crate) fn shared_files(&self) -> Vec<PkiFile> {
        let mut files = Vec::new();
        for (ca, authority) in &self.authorities {
            files.push(cert_file(ca.base(), &authority.cert));
            let key = authority.key.as_ref();
            files.extend(key.map(|key| secret_file(format!("{}.key", ca.base()), key)));
        }
        let (key, public) = &self.service_account;
        let base = table::SERVICE_ACCOUNT;
        files.push(secret_file(format!("{base}.key"), key));
        // kubeadm keeps the public half to itself, too.
        files.push(secret_file(format!("{base}.pub"), public));
        files
    }
}

fn make_placeholder(file: &str) -> String {
    format!("{PLACEHOLDER}{file}\n")
}

fn cert_file(base: &str, cert: &str) -> PkiFile {
    PkiFile {
        path: format!("{base}.crt"),
        content: Zeroizing::new(cert.to_owned()),
        mode: 0o644,
    }
}

fn secret_file(path: String, content: &str) -> PkiFile {
    PkiFile {
        path,
        content: Zeroizing::new(content.to_owned()),
        mode: 0o600,
    }
}
