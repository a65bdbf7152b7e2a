//! What hosts and the API should hold: a function of inventory, PKI and facts.

pub(crate) mod artifacts;
pub(crate) mod certificates;
pub(crate) mod context;
pub(crate) mod etcd_members;
mod etcd_views;
pub(crate) mod node;
pub mod render;
pub(crate) mod renewed;
pub(crate) mod target;
pub(crate) mod withdrawn;
