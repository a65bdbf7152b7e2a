//! In which order things happen to hosts, the API and etcd: whole runs against recorded hosts,
//! without a network, in milliseconds.
//!
//! A recorded cluster ([`recorded::Cluster`]) remembers what was done to it and behaves like
//! one: what a host was told to hold it holds, a kubelet with a token registers its Node, etcd
//! insists on its quorum. Its log has a line for everything that changes something. The clock
//! stands still until everyone waits.
#![allow(missing_docs, clippy::unwrap_used, unreachable_pub)]

#[path = "orders/control_planes.rs"]
mod control_planes;
#[path = "orders/leaving.rs"]
mod leaving;
#[path = "orders/planning.rs"]
mod planning;
#[path = "orders/recorded/mod.rs"]
mod recorded;
#[path = "orders/workers.rs"]
mod workers;
