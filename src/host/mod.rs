//! Hosts: their facts, what they should look like, and how they get there.
//!
//! All of it is pure: scripts come out, what they said goes in. Nothing here
//! touches the network.

mod change;
mod converge;
mod crashes;
mod diff;
mod error;
mod facts;
mod fetch;
mod hash;
mod loose;
mod observe;
mod observed;
mod owner;
mod packages;
mod plan;
pub mod preflight;
mod prepare;
mod proc;
mod put_back;
mod receipt;
mod receipt_names;
mod reset;
mod resource;
mod run_owner;
mod systemd;
#[cfg(test)]
mod testing;
mod turn;
mod vitals;
mod wire;

pub use change::{Action, Change, Detail, Kind};
pub use converge::{Progress, converge, converge_in_turn, converged};
pub use crashes::{Crashes, PodLife, UnitLife, crashes, parse_crashes};
pub use diff::{diff, refuse_loose};
pub use error::HostError;
pub use facts::{
    Address, Beside, ContainerdFiles, Facts, Gathered, IMAGE, Listener, ManifestFile, Route,
    Running, Runtime, WrittenConfig, gather, parse_gathered,
};
pub use fetch::{Fetched, fetch, fetched};
pub use loose::Loose;
pub use observe::observe;
pub use observed::{Observed, PathKind, PathState};
pub use owner::Owner;
pub use packages::PackageManager;
pub use plan::HostPlan;
pub use prepare::{prepare_resources, user_file};
pub use put_back::{forget_previous, put_back, was_put_back};
pub use receipt::{Receipt, ReceiptAttributes, ReceiptFile, ReceiptUnit};
pub use reset::{Cleaned, cleaned, look_for_receipt, reset, reset_progress};
pub use resource::{
    Absent, Content, Directory, FileResource, ImageArchive, ImagePull, KernelModule, LostEtcdData,
    Merged, Package, PackageHold, Reset, Resource, SeedLink, SelfCheck, SwapOff, Sysctl, Unit,
    Withdrawn, WithdrawnUnit,
};
pub use run_owner::RunOwner;
pub use systemd::UnitState;
pub use turn::{FoundTurn, Turn, take, taken};
pub use vitals::{Vitals, parse_vitals, vitals};
