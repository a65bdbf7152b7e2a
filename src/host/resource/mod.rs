//! What a host should look like, piece by piece: one file for each kind of resource.
//!
//! A kind's file holds everything about it: its type, what it asks of a host (`ask`), how it
//! compares the answer with what is wanted (`compare`), how it is changed (`converge`) and
//! undone (`undo`). Its shell text is beside it, in three parts headed `#: observe`,
//! `#: converge` and `#: reset`.
//!
//! To add one: its file, with a `KIND`, and a line each in [`Resource`] and `KINDS` of
//! `list.rs`; what it has to undo is called from `reset.rs`.

mod absent;
mod attributes;
mod comparison;
mod content;
pub(super) mod directory;
mod etcd_data;
pub(super) mod file;
mod file_role;
mod hold;
pub(super) mod image;
mod kind;
mod link;
mod list;
mod merged;
pub(super) mod module;
mod package;
mod question;
mod self_check;
mod since_plan;
pub(super) mod static_pod;
mod step;
pub(super) mod swap;
pub(super) mod sysctl;
mod undo;
pub(super) mod unit;
mod withdrawn_unit;

pub use absent::{Absent, Withdrawn};
pub use content::Content;
pub use directory::Directory;
pub use etcd_data::LostEtcdData;
pub use file::FileResource;
pub use hold::PackageHold;
pub use image::{ImageArchive, ImagePull};
pub use link::SeedLink;
pub use list::Resource;
pub use merged::Merged;
pub use module::KernelModule;
pub use package::Package;
pub use self_check::SelfCheck;
pub use swap::SwapOff;
pub use sysctl::Sysctl;
pub use undo::Reset;
pub use unit::Unit;
pub use withdrawn_unit::WithdrawnUnit;

pub(super) use comparison::Comparison;
pub(super) use file::remaining_stamps;
pub(super) use hold::release_packages;
pub(super) use kind::{Wanted, shell_part};
pub(super) use list::KINDS;
pub(super) use question::Question;
pub(super) use step::{Bundle, Step, Work};
pub(super) use undo::Undo;
