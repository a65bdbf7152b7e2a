//! The operator's store: where every file of the PKI lives on the workstation.
//!
//! Below the operator state, `pki/` holds what all control planes share, and
//! `hosts/<name>/pki/` a node's own, both laid out as /etc/kubernetes/pki is.
//! Client certificates that kubeconfigs embed are in `kubeconfig/` there.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::ensure::Run;
use super::error::PkiError;
use super::material::Pki;
use super::request::Request;

/// The PKI of one cluster on the workstation's disk.
#[derive(Debug, Clone)]
pub struct Store {
    state: PathBuf,
    pub(super) now: Timestamp,
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

    /// Makes what is missing, keeps what fits, replaces leaves that don't, and
    /// writes all of it, or nothing if there is an error. Blocks: for a moment
    /// with ECDSA, for seconds with RSA.
    pub fn ensure(&self, request: &Request) -> Result<Pki, PkiError> {
        let run = Run::decide(self, request)?;
        run.write(self)?;
        Ok(run.pki)
    }

    /// The same without writing: what would be made exists in memory only.
    pub fn plan(&self, request: &Request) -> Result<Pki, PkiError> {
        Ok(Run::decide(self, request)?.pki)
    }

    /// What a client of etcd needs, with the certificate of `node`: any member's
    /// serves for all of them.
    ///
    /// # Errors
    /// A file that isn't there, or can't be read.
    pub fn etcd_client(&self, node: &str) -> Result<EtcdCredentials, PkiError> {
        let read = |file: String| {
            let path = self.path(&file);
            std::fs::read_to_string(&path)
                .map(Zeroizing::new)
                .map_err(|source| PkiError::Read { path, source })
        };
        let base = "etcd/healthcheck-client";
        Ok(EtcdCredentials {
            ca: read(shared("etcd/ca", "crt"))?.to_string(),
            cert: read(own(node, base, "crt"))?.to_string(),
            key: read(own(node, base, "key"))?,
        })
    }

    /// Absolute or relative to the working directory, as `state` was.
    pub(super) fn path(&self, file: &str) -> PathBuf {
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

/// A shared file, relative to the operator state.
pub(super) fn shared(base: &str, extension: &str) -> String {
    format!("pki/{base}.{extension}")
}

/// A node's own file, relative to the operator state.
pub(super) fn own(node: &str, base: &str, extension: &str) -> String {
    format!("hosts/{node}/pki/{base}.{extension}")
}

/// Whether a node's name is one component of a path, and not a special one.
pub(super) fn is_component(name: &str) -> bool {
    !name.contains('\0') && Path::new(name).file_name().is_some_and(|last| last == name)
}
