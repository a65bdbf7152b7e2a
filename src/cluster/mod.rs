//! Access to a running cluster through SSH: its hosts, API and etcd.

pub(crate) mod api;
pub(crate) mod converge;
pub(crate) mod diagnose;
pub(crate) mod endpoint;
pub(crate) mod etcd;
pub(crate) mod external_etcd;
pub(crate) mod health;
pub(crate) mod survey;
pub(crate) mod tunnel;
pub(crate) mod virtual_address;
pub(crate) mod wait;
