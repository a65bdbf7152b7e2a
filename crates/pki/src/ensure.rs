//! Decides what becomes of each file of the store, and then writes.
//!
//! Deciding comes first and happens in memory: an error leaves the disk as it
//! was. Keys are written before their certificates, and authorities before
//! what they sign, so that the next run repairs what a killed one has left.

use std::collections::BTreeMap;

use crate::error::PkiError;
use crate::layout::is_path_component;
use crate::material::Pki;
use crate::planned::PlannedPki;
use crate::request::{Request, Validity};
use crate::store::Store;
use crate::table::Ca;

impl Store {
    /// Makes what is missing, keeps what fits, replaces leaves that don't, and
    /// writes all of it, or nothing if there is an error. Blocks: for a moment
    /// with ECDSA, for seconds with RSA.
    ///
    /// # Errors
    /// See [`PkiError`]; the hint says what to do about it.
    pub fn ensure(&self, request: &Request) -> Result<Pki, PkiError> {
        let planned = decide(self, request)?;
        planned.write()?;
        Ok(planned.pki)
    }

    /// The same for files of which `wanted` says so; all others stay as they are.
    ///
    /// # Errors
    /// As [`Store::ensure`].
    pub fn ensure_only(
        &self,
        request: &Request,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<(), PkiError> {
        let mut planned = decide(self, request)?;
        planned.write_only(wanted);
        planned.write()
    }

    /// The same without writing: what would be made exists in memory only.
    ///
    /// # Errors
    /// As [`Store::ensure`].
    pub fn plan(&self, request: &Request) -> Result<Pki, PkiError> {
        Ok(decide(self, request)?.pki)
    }
}

fn decide<'a>(store: &'a Store, request: &'a Request) -> Result<PlannedPki<'a>, PkiError> {
    if let Some(node) = request
        .nodes
        .iter()
        .find(|node| !is_path_component(&node.name))
    {
        return Err(PkiError::NodeName(node.name.clone()));
    }
    let mut planned = PlannedPki::new(store, request, validity_warnings(request.validity));
    let mut issuers = BTreeMap::new();
    for ca in Ca::ALL {
        if ca != Ca::Etcd || request.etcd.is_some() {
            issuers.insert(ca, planned.decide_authority(ca)?);
        }
    }
    planned.pki.external_ca = issuers[&Ca::Kubernetes].key.is_none();
    planned.decide_service_account()?;
    planned.decide_leaves(&issuers)?;
    Ok(planned)
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
