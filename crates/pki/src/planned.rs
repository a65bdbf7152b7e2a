//! What was decided about the store, in memory, until it is written.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::disk;
use crate::error::PkiError;
use crate::keys::PrivateKey;
use crate::material::{Action, Decision, Pki};
use crate::request::Request;
use crate::store::Store;

/// The PKI as it will be, and what has to be written for that.
pub(crate) struct PlannedPki<'a> {
    pub(crate) store: &'a Store,
    pub(crate) request: &'a Request,
    pub(crate) pki: Pki,
    writes: Vec<PlannedFile>,
    /// Keys that are kept, but that others may read.
    open: Vec<String>,
}

struct PlannedFile {
    /// Relative to the operator state.
    file: String,
    content: Zeroizing<String>,
    mode: u32,
}

impl<'a> PlannedPki<'a> {
    pub(crate) fn new(store: &'a Store, request: &'a Request, warnings: Vec<String>) -> Self {
        PlannedPki {
            store,
            request,
            pki: Pki {
                external_ca: false,
                decisions: Vec::new(),
                warnings,
                authorities: BTreeMap::new(),
                service_account: (Zeroizing::default(), String::new()),
                nodes: BTreeMap::new(),
            },
            writes: Vec::new(),
            open: Vec::new(),
        }
    }

    /// Writes what was decided, in the order in which it was: a key before its
    /// certificate, an authority before what it signs.
    pub(crate) fn write(&self) -> Result<(), PkiError> {
        let failed = |file: &str| {
            let path = self.store.path(file);
            move |source| PkiError::Write { path, source }
        };
        for PlannedFile {
            file,
            content,
            mode,
        } in &self.writes
        {
            disk::write_file(&self.store.path(file), content.as_bytes(), *mode)
                .map_err(failed(file))?;
        }
        for file in &self.open {
            disk::close_to_others(&self.store.path(file)).map_err(failed(file))?;
        }
        Ok(())
    }

    /// Forgets to write what is not `wanted`.
    pub(crate) fn write_only(&mut self, wanted: impl Fn(&str) -> bool) {
        self.writes.retain(|write| wanted(&write.file));
        self.open.retain(|file| wanted(file));
    }

    pub(crate) fn decide(&mut self, file: String, action: Action, why: String) {
        self.pki.decisions.push(Decision { file, action, why });
    }

    /// Notes a file that only root reads.
    pub(crate) fn write_secret(&mut self, file: String, content: Zeroizing<String>) {
        self.writes.push(PlannedFile {
            file,
            content,
            mode: 0o600,
        });
    }

    /// Notes a certificate, which all may read.
    pub(crate) fn write_cert(&mut self, file: String, cert: &str) {
        self.writes.push(PlannedFile {
            file,
            content: Zeroizing::new(cert.to_owned()),
            mode: 0o644,
        });
    }

    pub(crate) fn read_key(&mut self, file: &str) -> Result<Option<Zeroizing<String>>, PkiError> {
        let key = read_file(self.store, file)?;
        if key.is_some() {
            self.note_open_key(file)?;
        }
        Ok(key)
    }

    /// Remembers a key that others than its owner have rights to.
    pub(crate) fn note_open_key(&mut self, file: &str) -> Result<(), PkiError> {
        let path = self.store.path(file);
        match files::is_open_to_others(&path) {
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

/// A file of the store; `None` if it doesn't exist.
pub(crate) fn read_file(store: &Store, file: &str) -> Result<Option<Zeroizing<String>>, PkiError> {
    let path = store.path(file);
    disk::read_text(&path).map_err(|source| PkiError::Read { path, source })
}

/// A new key for `file`.
pub(crate) fn generate_key(request: &Request, file: &str) -> Result<PrivateKey, PkiError> {
    PrivateKey::generate(request.algorithm).map_err(|source| PkiError::Key {
        file: file.to_owned(),
        source,
    })
}

/// A date before `from`.
pub(crate) fn date_before(from: Timestamp, by: Duration) -> Result<Timestamp, PkiError> {
    from.checked_sub(by).map_err(|_| PkiError::Validity(by))
}

/// A date after `from`.
pub(crate) fn date_after(from: Timestamp, by: Duration) -> Result<Timestamp, PkiError> {
    from.checked_add(by).map_err(|_| PkiError::Validity(by))
}
