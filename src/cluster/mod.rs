//! Access to a running cluster through SSH: its hosts, API and etcd.

pub(crate) mod answer;
pub(crate) mod api;
pub(crate) mod clocks;
pub(crate) mod converge;
pub(crate) mod crash_loop;
pub(crate) mod diagnose;
pub(crate) mod endpoint;
pub(crate) mod etcd;
pub(crate) mod external_etcd;
pub(crate) mod health;
pub(crate) mod identity;
pub(crate) mod lock;
pub(crate) mod lock_survey;
pub(crate) mod log_line;
pub(crate) mod operator_access;
pub(crate) mod ssh_connect;
mod ssh_host;
pub(crate) mod survey;
mod tunnel;
pub(crate) mod virtual_address;
pub(crate) mod wait;
