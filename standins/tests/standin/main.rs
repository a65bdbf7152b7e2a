//! The stand-ins as processes: together, alone, and given what they must refuse.

#![allow(clippy::unwrap_used)]

mod cluster;
mod etcd;
mod refusals;
mod support;
