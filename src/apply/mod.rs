//! Carrying out a plan.

pub mod certs;
mod endpoint;
mod etcd;
pub mod execute;
mod join;
mod kubeconfig;
mod nodes;
mod objects;
pub mod references;
mod rollout;
mod upload_certs;
mod virtual_address;
