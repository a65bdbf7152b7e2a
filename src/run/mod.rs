//! A run: what is wanted, how hosts are reached, who listens, what is remembered of it.

pub mod connections;
pub mod error;
pub mod events;
pub mod interrupt;
pub mod journal;
pub mod phase;
pub mod selection;
pub mod state;
pub mod tracker;

pub use session::{Options, Run};

mod session;
