//! Decides what becomes of each file of the store, and then writes.
//!
//! Deciding comes first and happens in memory: an error leaves the disk as it
//! was. Keys are written before their certificates, and authorities before
//! what they sign, so that a run that was killed in between is put right by
//! the next.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use zeroize::Zeroizing;

use super::error::PkiError;
use super::inspect::Parsed;
use super::issue::{self, Period, Signer};
use super::keys::PrivateKey;
use super::material::{Action, Authority, Decision, Leaf, Pki};
use super::parallel::in_parallel;
use super::request::{Expected, NodeRequest, Request, Validity};
use super::store::{self, Store};
use super::table::{Ca, Entry, LEAVES, Place, SERVICE_ACCOUNT};
use super::{check, disk};

/// What was decided, and what is to be written.
pub(super) struct Run {
    pub(super) pki: Pki,
    /// Files with content and mode, in the order of writing.
    writes: Vec<(String, Zeroizing<String>, u32)>,
    /// Keys that are kept, but that others may read.
    open: Vec<String>,
}

/// A CA that is ready to sign, or to check what it has signed elsewhere.
struct Issuer {
    cert: Parsed,
    key: Option<PrivateKey>,
}

impl Issuer {
    fn signer(&self) -> Option<Signer<'_>> {
        Some(Signer {
            subject: &self.cert.subject,
            key_id: self.cert.key_id.as_deref(),
            key: self.key.as_ref()?,
        })
    }
}

/// One leaf to be decided about.
struct Job<'a> {
    node: &'a NodeRequest,
    expected: Expected,
}

impl Job<'_> {
    fn file(&self, extension: &str) -> String {
        store::own(&self.node.name, self.expected.entry.base, extension)
    }
}

/// What became of a leaf.
enum Verdict {
    /// Until when it is valid.
    Kept(Leaf, Timestamp),
    Issued(Leaf, Action, String),
    /// It doesn't fit, and its CA's key is elsewhere.
    External(PathBuf, String),
}

impl Run {
    pub(super) fn decide(store: &Store, request: &Request) -> Result<Self, PkiError> {
        if let Some(node) = request
            .nodes
            .iter()
            .find(|node| !store::is_component(&node.name))
        {
            return Err(PkiError::NodeName(node.name.clone()));
        }
        let mut run = Run {
            pki: Pki {
                external_ca: false,
                decisions: Vec::new(),
                warnings: validity_warnings(request.validity),
                authorities: BTreeMap::new(),
                service_account: (Zeroizing::default(), String::new()),
                nodes: BTreeMap::new(),
            },
            writes: Vec::new(),
            open: Vec::new(),
        };
        let mut issuers = BTreeMap::new();
        for ca in Ca::ALL {
            if ca != Ca::Etcd || request.etcd.is_some() {
                issuers.insert(ca, run.authority(store, request, ca)?);
            }
        }
        run.pki.external_ca = issuers[&Ca::Kubernetes].key.is_none();
        run.service_account(store, request)?;
        run.leaves(store, request, &issuers)?;
        Ok(run)
    }

    /// Writes what was decided.
    pub(super) fn write(&self, store: &Store) -> Result<(), PkiError> {
        let failed = |file: &str| {
            let path = store.path(file);
            move |source| PkiError::Write { path, source }
        };
        for (file, content, mode) in &self.writes {
            disk::write(&store.path(file), content.as_bytes(), *mode).map_err(failed(file))?;
        }
        for file in &self.open {
            disk::close_to_others(&store.path(file)).map_err(failed(file))?;
        }
        Ok(())
    }

    fn authority(&mut self, store: &Store, request: &Request, ca: Ca) -> Result<Issuer, PkiError> {
        let (cert_file, key_file) = (
            store::shared(ca.base(), "crt"),
            store::shared(ca.base(), "key"),
        );
        let key_pem = self.read_key(store, &key_file)?;
        let key = key_pem
            .as_ref()
            .map(|pem| parse_key(store, &key_file, pem))
            .transpose()?;

        if let Some(cert) = read(store, &cert_file)? {
            let parsed = parse_ca(store, &cert_file, &cert)?;
            let not_after = parsed.info.not_after;
            if key.as_ref().is_some_and(|key| key.spki() != parsed.spki) {
                return Err(PkiError::KeyMismatch {
                    key: store.path(&key_file),
                    cert: store.path(&cert_file),
                });
            }
            if store.now < parsed.info.not_before {
                self.pki.warnings.push(format!(
                    "{cert_file} is not valid before {}",
                    parsed.info.not_before
                ));
            }
            let warning = check::expiry_warning(&cert_file, not_after, store.now);
            self.pki.warnings.extend(warning);
            let external = if key.is_none() {
                "; its key is elsewhere"
            } else {
                ""
            };
            self.decided(
                cert_file,
                Action::Kept,
                format!("valid until {not_after}{external}"),
            );
            let cert = cert.to_string();
            self.pki
                .authorities
                .insert(ca, Authority { cert, key: key_pem });
            return Ok(Issuer { cert: parsed, key });
        }

        if let Some(leaf) = signed_before(store, request, ca) {
            return Err(PkiError::CaLost {
                ca: store.path(&cert_file),
                leaf,
            });
        }
        // A key alone is what a run leaves that was killed at this point.
        let (key, why) = match key {
            Some(key) => (key, "made for the key that is there"),
            None => {
                let key =
                    PrivateKey::generate(request.algorithm).map_err(|source| PkiError::Key {
                        file: key_file.clone(),
                        source,
                    })?;
                self.writes.push((key_file, key.to_pem(), 0o600));
                (key, "missing")
            }
        };
        let period = Period {
            not_before: back(store.now, issue::BACKDATE)?,
            not_after: forth(store.now, request.validity.ca)?,
        };
        let cert = issue::authority(ca, period, &key).map_err(|source| PkiError::Issue {
            file: cert_file.clone(),
            source,
        })?;
        let parsed = parse_ca(store, &cert_file, &cert)?;
        self.writes
            .push((cert_file.clone(), Zeroizing::new(cert.clone()), 0o644));
        self.decided(cert_file, Action::Created, why.into());
        self.pki.authorities.insert(
            ca,
            Authority {
                cert,
                key: Some(key_pem.unwrap_or_else(|| key.to_pem())),
            },
        );
        Ok(Issuer {
            cert: parsed,
            key: Some(key),
        })
    }

    fn service_account(&mut self, store: &Store, request: &Request) -> Result<(), PkiError> {
        let key_file = store::shared(SERVICE_ACCOUNT, "key");
        let public_file = store::shared(SERVICE_ACCOUNT, "pub");
        let public = read(store, &public_file)?;
        let key_pem = match self.read_key(store, &key_file)? {
            Some(pem) => {
                self.decided(key_file.clone(), Action::Kept, "it is there".into());
                pem
            }
            None if public.is_some() => {
                return Err(PkiError::NoServiceAccountKey {
                    public: store.path(&public_file),
                    key: store.path(&key_file),
                });
            }
            None => {
                let key =
                    PrivateKey::generate(request.algorithm).map_err(|source| PkiError::Key {
                        file: key_file.clone(),
                        source,
                    })?;
                self.writes.push((key_file.clone(), key.to_pem(), 0o600));
                self.decided(key_file.clone(), Action::Created, "missing".into());
                key.to_pem()
            }
        };
        let key = parse_key(store, &key_file, &key_pem)?;
        let public = match public {
            // It may hold more keys: those of tokens signed in the past.
            Some(public) if holds(&public, &key) => public.to_string(),
            Some(_) => {
                return Err(PkiError::KeyMismatch {
                    key: store.path(&key_file),
                    cert: store.path(&public_file),
                });
            }
            None => {
                let public = key.public_pem().map_err(|source| PkiError::Key {
                    file: public_file.clone(),
                    source,
                })?;
                let content = Zeroizing::new(public.clone());
                self.writes.push((public_file.clone(), content, 0o600));
                self.decided(public_file, Action::Created, "missing".into());
                public
            }
        };
        self.pki.service_account = (key_pem, public);
        Ok(())
    }

    fn leaves(
        &mut self,
        store: &Store,
        request: &Request,
        issuers: &BTreeMap<Ca, Issuer>,
    ) -> Result<(), PkiError> {
        let mut jobs = Vec::new();
        for node in &request.nodes {
            self.pki.nodes.entry(node.name.clone()).or_default();
            for entry in entries(request, node) {
                let (expected, skipped) = request.expected(entry, node);
                for san in skipped {
                    self.pki.warnings.push(format!(
                        "{san:?} is neither a DNS name nor an IP address: left out of {}",
                        store::own(&node.name, entry.base, "crt")
                    ));
                }
                jobs.push(Job { node, expected });
            }
        }
        // Making RSA keys takes its time.
        let verdicts = in_parallel(&jobs, |job| {
            leaf(store, request, job, &issuers[&job.expected.entry.signer])
        });

        let mut external = Vec::new();
        let mut external_cas = Vec::new();
        for (job, verdict) in jobs.iter().zip(verdicts) {
            let (cert_file, key_file) = (job.file("crt"), job.file("key"));
            let leaf = match verdict? {
                Verdict::Kept(leaf, not_after) => {
                    let warning = check::expiry_warning(&cert_file, not_after, store.now);
                    self.pki.warnings.extend(warning);
                    self.note_open(store, &key_file)?;
                    self.decided(cert_file, Action::Kept, format!("valid until {not_after}"));
                    leaf
                }
                Verdict::Issued(leaf, action, why) => {
                    self.writes.push((key_file, leaf.key.clone(), 0o600));
                    self.writes
                        .push((cert_file.clone(), Zeroizing::new(leaf.cert.clone()), 0o644));
                    self.decided(cert_file, action, why);
                    leaf
                }
                Verdict::External(path, why) => {
                    let ca = store.path(&store::shared(job.expected.entry.signer.base(), "crt"));
                    if !external_cas.contains(&ca) {
                        external_cas.push(ca);
                    }
                    external.push((path, why));
                    continue;
                }
            };
            self.pki
                .nodes
                .entry(job.node.name.clone())
                .or_default()
                .insert(job.expected.entry.base, leaf);
        }
        if external.is_empty() {
            Ok(())
        } else {
            Err(PkiError::ExternalCa {
                cas: external_cas,
                leaves: external,
            })
        }
    }

    fn decided(&mut self, file: String, action: Action, why: String) {
        self.pki.decisions.push(Decision { file, action, why });
    }

    fn read_key(
        &mut self,
        store: &Store,
        file: &str,
    ) -> Result<Option<Zeroizing<String>>, PkiError> {
        let key = read(store, file)?;
        if key.is_some() {
            self.note_open(store, file)?;
        }
        Ok(key)
    }

    /// Remembers a key that others than its owner have rights to.
    fn note_open(&mut self, store: &Store, file: &str) -> Result<(), PkiError> {
        let path = store.path(file);
        match disk::is_open_to_others(&path) {
            Ok(true) => {
                self.pki
                    .warnings
                    .push(format!("{file} was open to others than its owner"));
                self.open.push(file.to_owned());
                Ok(())
            }
            Ok(false) => Ok(()),
            Err(source) => Err(PkiError::Read { path, source }),
        }
    }
}

fn leaf(
    store: &Store,
    request: &Request,
    job: &Job<'_>,
    issuer: &Issuer,
) -> Result<Verdict, PkiError> {
    let (cert_file, key_file) = (job.file("crt"), job.file("key"));
    let signer = issuer.signer();
    let key = read(store, &key_file)?;
    let (action, why) = match read(store, &cert_file)? {
        None => (Action::Created, "missing".to_owned()),
        Some(cert) => {
            let fit = check::fits(
                &cert,
                key.as_deref().map(String::as_str),
                &job.expected,
                &issuer.cert,
                store.now,
                // What somebody else issued may say more than we would.
                signer.is_some(),
            );
            match (fit, key) {
                (Ok(parsed), Some(key)) => {
                    let cert = cert.to_string();
                    return Ok(Verdict::Kept(Leaf { cert, key }, parsed.info.not_after));
                }
                (Ok(_), None) => (Action::Reissued, "its key is missing".into()),
                (Err(why), _) => (Action::Reissued, why),
            }
        }
    };
    let Some(signer) = signer else {
        return Ok(Verdict::External(store.path(&cert_file), why));
    };

    let not_before = match (action, job.expected.entry.place) {
        // kubeadm dates these from their CA when it first writes them.
        (Action::Created, Place::Kubeconfig) => issuer.cert.info.not_before,
        _ => back(store.now, issue::BACKDATE)?,
    };
    let period = Period {
        not_before,
        not_after: forth(store.now, request.validity.leaf)?,
    };
    let key = PrivateKey::generate(request.algorithm).map_err(|source| PkiError::Key {
        file: key_file,
        source,
    })?;
    let cert =
        issue::leaf(&job.expected, period, &key, &signer).map_err(|source| PkiError::Issue {
            file: cert_file,
            source,
        })?;
    let key = key.to_pem();
    Ok(Verdict::Issued(Leaf { cert, key }, action, why))
}

/// The leaves of one node.
fn entries<'a>(
    request: &'a Request,
    node: &'a NodeRequest,
) -> impl Iterator<Item = &'static Entry> + 'a {
    LEAVES.iter().filter(|entry| {
        (node.init || !entry.init_only) && (request.etcd.is_some() || entry.signer != Ca::Etcd)
    })
}

/// A leaf that `ca` must have signed.
fn signed_before(store: &Store, request: &Request, ca: Ca) -> Option<PathBuf> {
    request.nodes.iter().find_map(|node| {
        entries(request, node)
            .filter(|entry| entry.signer == ca)
            .map(|entry| store.path(&store::own(&node.name, entry.base, "crt")))
            .find(|path| path.exists())
    })
}

fn read(store: &Store, file: &str) -> Result<Option<Zeroizing<String>>, PkiError> {
    let path = store.path(file);
    disk::read(&path).map_err(|source| PkiError::Read { path, source })
}

fn parse_key(store: &Store, file: &str, pem: &str) -> Result<PrivateKey, PkiError> {
    PrivateKey::from_pem(pem).map_err(|why| PkiError::Unusable {
        path: store.path(file),
        why: why.to_string(),
    })
}

fn parse_ca(store: &Store, file: &str, pem: &str) -> Result<Parsed, PkiError> {
    let unusable = |why: String| PkiError::Unusable {
        path: store.path(file),
        why,
    };
    let parsed = Parsed::from_pem(pem).map_err(unusable)?;
    if !parsed.info.is_ca || !parsed.may_sign {
        return Err(unusable("is not the certificate of a CA".into()));
    }
    if store.now > parsed.info.not_after {
        return Err(PkiError::CaExpired {
            path: store.path(file),
            at: parsed.info.not_after,
        });
    }
    Ok(parsed)
}

/// Whether a file of public keys holds that of `key`.
fn holds(public: &str, key: &PrivateKey) -> bool {
    let spki = key.spki();
    SubjectPublicKeyInfoDer::pem_slice_iter(public.as_bytes())
        .any(|block| block.is_ok_and(|block| block.as_ref() == spki))
}

fn back(from: Timestamp, by: std::time::Duration) -> Result<Timestamp, PkiError> {
    from.checked_sub(by).map_err(|_| PkiError::Validity(by))
}

fn forth(from: Timestamp, by: std::time::Duration) -> Result<Timestamp, PkiError> {
    from.checked_add(by).map_err(|_| PkiError::Validity(by))
}

fn validity_warnings(validity: Validity) -> Vec<String> {
    let usual = Validity::default();
    let mut warnings = Vec::new();
    let mut warn = |is: bool, text: &str| {
        if is {
            warnings.push(text.to_owned());
        }
    };
    warn(
        validity.leaf > usual.leaf,
        "certificates are to be valid for more than kubeadm's year",
    );
    warn(
        validity.ca > usual.ca,
        "CA certificates are to be valid for more than kubeadm's ten years",
    );
    warn(
        validity.leaf > validity.ca,
        "certificates are to be valid for longer than the CA that signs them",
    );
    warnings
}
