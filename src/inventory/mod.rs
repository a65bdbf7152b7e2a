//! The inventory: YAML with spans → typed → validated → resolved [`Cluster`].
//!
//! [`load`] parses the file into a tree that knows where in the file everything is
//! (`yaml`), checks the tree against the JSON Schema that is generated from the types in
//! [`spec`], deserializes it into these types, and resolves them (`resolve`). Each step
//! repairs what it complains about, so that one run reports every mistake.

mod cluster;
pub mod edit;
mod error;
mod find_place;
pub(crate) mod listen;
mod load;
mod place;
mod resolve;
pub mod spec;
mod starter;
mod written;
mod yaml;

pub use cluster::*;
pub use error::InventoryError;
pub use find_place::{Place, find_place};
pub use listen::ListeningPort;
pub use load::{load, parse};
pub use place::{check_state_dir, real_path};
pub(crate) use resolve::expand_range;
pub use resolve::parse_duration;
pub use spec::{
    ApiServer, Arg, ArtifactSource, BootstrapToken, CniType, ControlPlaneComponent,
    EncryptionAlgorithm, ImagePullPolicy, Mirrors, Role, Taint, TaintEffect, Tree,
};
pub use spec::{field_reference, schema};
pub use starter::starter;
pub(crate) use written::{Setting, Spot, WrittenInventory};
pub(crate) use yaml::find_closest;
pub use yaml::{Diagnostic, Diagnostics};
