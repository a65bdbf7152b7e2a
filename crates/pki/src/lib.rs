//! Certificates and keys, as kubeadm makes them, and the operator's store of
//! them.
//!
//! [`table`] says what there is. [`Store::ensure`] makes what is missing, keeps
//! what still fits, and reports each decision; [`Store::plan`] decides the same
//! and writes nothing. This room knows neither the inventory nor the network.

mod check;
mod disk;
mod ensure;
mod error;
mod inspect;
mod issue;
mod keys;
mod material;
mod parallel;
mod request;
mod store;
pub mod table;
mod upload;

pub use error::PkiError;
pub use inspect::{CertificateInfo, inspect, spki_pin};
pub use keys::{Algorithm, KeyError, PrivateKey};
pub use material::{Action, Authority, Decision, Leaf, PLACEHOLDER, Pki, PkiFile};
pub use request::{EtcdSans, NodeRequest, Request, Sans, Validity};
pub use store::{EtcdCredentials, Store};
pub use table::Ca;
pub use upload::{ExternalEtcdFiles, encrypt_for_upload};
