//! The command line without a host: what it says of itself, what the verbs that
//! need no network do, and how it refuses.

#![allow(clippy::unwrap_used)]

#[path = "cli/artifacts.rs"]
mod artifacts;
#[path = "cli/errors.rs"]
mod errors;
#[path = "cli/help.rs"]
mod help;
#[path = "cli/offline.rs"]
mod offline;
#[path = "cli/signals.rs"]
mod signals;
#[path = "cli/typist.rs"]
mod typist;
