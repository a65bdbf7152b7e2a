//! Hosts: their facts, what they should look like, and how they get there.
//!
//! All of it is pure: scripts come out, what they said goes in. Nothing here
//! touches the network.

mod converge;
mod diff;
mod error;
mod facts;
mod facts_from;
mod gather;
mod observe;
mod plan;
pub mod preflight;
mod prepare;
mod receipt;
mod reset;
mod resource;
#[cfg(test)]
mod testing;
mod vitals;
mod wire;

pub use converge::{Progress, converge, converged};
pub use diff::diff;
pub use error::HostError;
pub use facts::{Address, Facts};
pub use gather::{Gathered, Listener, Runtime, UnitState, gather, parse_gathered};
pub use observe::{Observed, PathKind, PathState, observe};
pub use plan::{Action, Change, Detail, HostPlan, Kind};
pub use prepare::{prepare_resources, user_file};
pub use receipt::{ORIGINALS, RECEIPT, Receipt, ReceiptAttributes, ReceiptFile, ReceiptUnit};
pub use reset::{Cleaned, Reset, cleaned, look_for_receipt, reset, reset_progress};
pub use resource::{Content, FileResource, Resource};
pub use vitals::{Vitals, parse_vitals, vitals};
