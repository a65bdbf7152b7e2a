//! In which order things happen to hosts, the API and etcd: whole runs against recorded hosts,
//! without a network, in milliseconds.
//!
//! A recorded cluster ([`recorded::Cluster`]) remembers what was done to it and behaves like
//! one: what `converge` changes stays changed, a kubelet with a token registers its Node, etcd
//! insists on its quorum. Its log has a line for everything that changes something. The clock
//! is paused, and jumps ahead when everything waits.
#![allow(missing_docs, clippy::unwrap_used, unreachable_pub)]

#[path = "orders/control_planes.rs"]
mod control_planes;
#[path = "orders/identity.rs"]
mod identity;
#[path = "orders/leaving.rs"]
mod leaving;
#[path = "orders/leaving_objects.rs"]
mod leaving_objects;
#[path = "orders/locks.rs"]
mod locks;
#[path = "orders/planning.rs"]
mod planning;
#[path = "orders/preflight.rs"]
mod preflight;
#[path = "orders/recorded/mod.rs"]
mod recorded;
#[path = "orders/recovery.rs"]
mod recovery;
#[path = "orders/refused.rs"]
mod refused;
#[path = "orders/workers.rs"]
mod workers;
