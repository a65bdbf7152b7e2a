//! Decides about the certificate authorities and the service account's key.
//! None of them is ever replaced: what they have signed would be worth nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use zeroize::Zeroizing;

use crate::check;
use crate::error::PkiError;
use crate::inspect::Parsed;
use crate::issue::{self, Period, Signer};
use crate::keys::PrivateKey;
use crate::layout::{node_file, shared_file};
use crate::material::{Action, Authority};
use crate::planned::{PlannedPki, date_after, date_before, generate_key, read_file};
use crate::request::Request;
use crate::store::Store;
use crate::table::{Ca, SERVICE_ACCOUNT};

/// A CA that is ready to sign, or to check what it has signed elsewhere.
pub(crate) struct Issuer {
    pub(crate) cert: Parsed,
    pub(crate) key: Option<PrivateKey>,
}

impl Issuer {
    pub(crate) fn signer(&self) -> Option<Signer<'_>> {
        Some(Signer {
            subject: &self.cert.subject,
            key_id: self.cert.key_id.as_deref(),
            key: self.key.as_ref()?,
        })
    }
}

/// A CA's files, and its key as far as there is one.
struct CaFiles {
    cert_file: String,
    key_file: String,
    key: Option<(PrivateKey, Zeroizing<String>)>,
}

impl Store {
    /// What the store has of its authorities, unjudged: the text of each public file, by its
    /// path as below a control plane's `certificatesDir` (`ca.crt`, `sa.pub`).
    ///
    /// # Errors
    /// A file that exists and can't be read.
    pub fn authorities(&self) -> Result<BTreeMap<String, String>, PkiError> {
        let certificates = Ca::ALL.map(|ca| (ca.base(), "crt"));
        let mut found = BTreeMap::new();
        for (base, extension) in certificates.into_iter().chain([(SERVICE_ACCOUNT, "pub")]) {
            if let Some(text) = read_file(self, &shared_file(base, extension))? {
                found.insert(format!("{base}.{extension}"), text.to_string());
            }
        }
        Ok(found)
    }
}

impl PlannedPki<'_> {
    /// Keeps a CA, or makes it if it never was there.
    pub(crate) fn decide_authority(&mut self, ca: Ca) -> Result<Issuer, PkiError> {
        let cert_file = shared_file(ca.base(), "crt");
        let key_file = shared_file(ca.base(), "key");
        let key = match self.read_key(&key_file)? {
            Some(pem) => Some((parse_key(self.store, &key_file, &pem)?, pem)),
            None => None,
        };
        let files = CaFiles {
            cert_file,
            key_file,
            key,
        };
        match read_file(self.store, &files.cert_file)? {
            Some(cert) => self.keep_authority(ca, files, &cert),
            None => self.make_authority(ca, files),
        }
    }

    fn keep_authority(&mut self, ca: Ca, files: CaFiles, cert: &str) -> Result<Issuer, PkiError> {
        let cert_file = files.cert_file;
        let (store, now) = (self.store, self.store.now);
        let parsed = parse_ca(store, &cert_file, cert)?;
        let not_after = parsed.info.not_after;
        let (key, key_pem) = files.key.unzip();
        if key.is_none() && !self.request.external_ca {
            return Err(PkiError::CaKeyLost {
                key: store.path(&files.key_file),
                cert: store.path(&cert_file),
            });
        }
        if key.as_ref().is_some_and(|key| key.spki() != parsed.spki) {
            return Err(PkiError::KeyMismatch {
                key: store.path(&files.key_file),
                cert: store.path(&cert_file),
            });
        }
        if now < parsed.info.not_before {
            self.pki.warnings.push(format!(
                "{cert_file} is not valid before {}",
                parsed.info.not_before
            ));
        }
        let warning = check::expiry_warning(&cert_file, not_after, now, check::SOON);
        self.pki.warnings.extend(warning);
        let external = match key {
            None => "; its key is elsewhere",
            Some(_) => "",
        };
        let why = format!("valid until {not_after}{external}");
        self.decide(cert_file, Action::Kept, why);
        self.pki.authorities.insert(
            ca,
            Authority {
                cert: cert.to_owned(),
                key: key_pem,
            },
        );
        Ok(Issuer { cert: parsed, key })
    }

    fn make_authority(&mut self, ca: Ca, files: CaFiles) -> Result<Issuer, PkiError> {
        let CaFiles {
            cert_file,
            key_file,
            key,
        } = files;
        if let Some(leaf) = find_leaf_signed_by(self.store, self.request, ca) {
            return Err(PkiError::CaLost {
                ca: self.store.path(&cert_file),
                leaf,
            });
        }
        // A key alone is what a run leaves behind that was killed at this point.
        let (key, key_pem, why) = match key {
            Some((key, pem)) => (key, pem, "made for the existing key"),
            None => {
                let key = generate_key(self.request, &key_file)?;
                self.write_secret(key_file, key.to_pem());
                let pem = key.to_pem();
                (key, pem, "missing")
            }
        };
        let now = self.store.now;
        let period = Period {
            not_before: date_before(now, issue::BACKDATE)?,
            not_after: date_after(now, self.request.validity.ca)?,
        };
        let cert = issue::issue_authority(ca, period, &key).map_err(|source| PkiError::Issue {
            file: cert_file.clone(),
            source,
        })?;
        let parsed = parse_ca(self.store, &cert_file, &cert)?;
        self.write_cert(cert_file.clone(), &cert);
        self.decide(cert_file, Action::Created, why.into());
        self.pki.authorities.insert(
            ca,
            Authority {
                cert,
                key: Some(key_pem),
            },
        );
        Ok(Issuer {
            cert: parsed,
            key: Some(key),
        })
    }

    /// Keeps the pair that signs service account tokens, or makes it.
    pub(crate) fn decide_service_account(&mut self) -> Result<(), PkiError> {
        let key_file = shared_file(SERVICE_ACCOUNT, "key");
        let public_file = shared_file(SERVICE_ACCOUNT, "pub");
        let public = read_file(self.store, &public_file)?;
        let key_pem = match self.read_key(&key_file)? {
            Some(pem) => {
                self.decide(key_file.clone(), Action::Kept, "exists".into());
                pem
            }
            None if public.is_some() => {
                return Err(PkiError::NoServiceAccountKey {
                    public: self.store.path(&public_file),
                    key: self.store.path(&key_file),
                });
            }
            None => {
                let key = generate_key(self.request, &key_file)?;
                self.write_secret(key_file.clone(), key.to_pem());
                self.decide(key_file.clone(), Action::Created, "missing".into());
                key.to_pem()
            }
        };
        let key = parse_key(self.store, &key_file, &key_pem)?;
        let public = match public {
            // It may hold more keys: those of tokens signed in the past.
            Some(public) if contains_key(&public, &key) => public.to_string(),
            Some(_) => {
                return Err(PkiError::KeyMismatch {
                    key: self.store.path(&key_file),
                    cert: self.store.path(&public_file),
                });
            }
            None => {
                let public = key.public_pem().map_err(|source| PkiError::Key {
                    file: public_file.clone(),
                    source,
                })?;
                // kubeadm writes this one 0600, though it is no secret.
                self.write_secret(public_file.clone(), Zeroizing::new(public.clone()));
                self.decide(public_file, Action::Created, "missing".into());
                public
            }
        };
        self.pki.service_account = (key_pem, public);
        Ok(())
    }
}

/// A leaf in the store that `ca` must have signed.
fn find_leaf_signed_by(store: &Store, request: &Request, ca: Ca) -> Option<PathBuf> {
    request.nodes.iter().find_map(|node| {
        request
            .leaves_of(node)
            .filter(|leaf| leaf.signer == ca)
            .map(|leaf| store.path(&node_file(&node.name, leaf.base, "crt")))
            .find(|path| path.exists())
    })
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
        return Err(unusable("is not a CA certificate".into()));
    }
    if store.now > parsed.info.not_after {
        return Err(PkiError::CaExpired {
            path: store.path(file),
            at: parsed.info.not_after,
        });
    }
    Ok(parsed)
}

/// Whether a file of public keys has that of `key`.
fn contains_key(public: &str, key: &PrivateKey) -> bool {
    let spki = key.spki();
    SubjectPublicKeyInfoDer::pem_slice_iter(public.as_bytes())
        .any(|block| block.is_ok_and(|block| block.as_ref() == spki))
}
