//! Recovers a state directory that was lost from the control planes that run: their authorities,
//! each one's certificates and keys, the admin kubeconfig. Changes nothing on a host.

mod agreement;
mod credentials;
mod recovery;

pub use agreement::Authority;
pub use recovery::{FileChange, Recovery, Written, find_state};
