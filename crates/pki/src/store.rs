//! The operator's store: the PKI of a cluster on the workstation's disk.

use std::path::PathBuf;

use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::error::PkiError;
use crate::layout::{node_file, shared_file};

/// The PKI of one cluster on the workstation's disk.
#[derive(Debug, Clone)]
pub struct Store {
    state: PathBuf,
    pub(crate) now: Timestamp,
}

impl Store {
    /// The store below the operator state `state`, which need not exist yet.
    /// All that it will issue is dated from this moment.
    pub fn new(state: impl Into<PathBuf>) -> Self {
        Self::at(state, Timestamp::now())
    }

    /// The same at another moment.
    pub fn at(state: impl Into<PathBuf>, now: Timestamp) -> Self {
        Store {
            state: state.into(),
            now,
        }
    }

    /// What a client of etcd needs, with the certificate of `node`: any member's
    /// serves for all of them.
    ///
    /// # Errors
    /// A file that doesn't exist, or can't be read.
    pub fn etcd_client(&self, node: &str) -> Result<EtcdCredentials, PkiError> {
        let read = |file: String| {
            let path = self.path(&file);
            std::fs::read_to_string(&path)
                .map(Zeroizing::new)
                .map_err(|source| PkiError::Read { path, source })
        };
        let base = "etcd/healthcheck-client";
        Ok(EtcdCredentials {
            ca: read(shared_file("etcd/ca", "crt"))?.to_string(),
            cert: read(node_file(node, base, "crt"))?.to_string(),
            key: read(node_file(node, base, "key"))?,
        })
    }

    /// Absolute or relative to the working directory, as `state` was.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.state.join(file)
    }
}

/// What a client of etcd shows, and what it verifies etcd with. All PEM.
pub struct EtcdCredentials {
    /// etcd's CA.
    pub ca: String,
    /// The client's certificate.
    pub cert: String,
    /// Its key.
    pub key: Zeroizing<String>,
}
