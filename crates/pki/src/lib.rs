//! Certificates and keys, as kubeadm makes them, and the operator's store of
//! them.
//!
//! [`LEAVES`] and [`Ca`] say what there is. [`Store::ensure`] makes what is missing, keeps
//! what still fits, and reports each decision; [`Store::plan`] decides the same
//! and writes nothing. Knows neither the inventory nor the network.

mod adopt;
mod authorities;
mod check;
mod disk;
mod ensure;
mod error;
mod inspect;
mod issue;
mod keys;
mod layout;
mod leaves;
mod material;
mod parallel;
mod planned;
mod request;
mod store;
mod table;
mod upload;

pub use adopt::{check_key, split_pem};
pub use error::PkiError;
pub use inspect::{CertificateInfo, inspect, spki_pin};
pub use keys::{Algorithm, KeyError, PrivateKey};
pub use layout::{node_file, shared_file};
pub use material::{Action, Authority, Decision, Leaf, PLACEHOLDER, Pki, PkiFile};
pub use request::{EtcdSans, NodeRequest, Request, Validity};
pub use store::{EtcdCredentials, Store};
pub use table::{Ca, LEAVES, LeafSpec, SERVICE_ACCOUNT};
pub use upload::ExternalEtcdFiles;
