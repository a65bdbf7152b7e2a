//! A run: its options, phases, connections, events, journal, lock and state.

pub mod connections;
pub mod error;
pub mod events;
pub mod interrupt;
pub mod journal;
pub mod lock;
pub mod phase;
pub mod remote;
pub mod selection;
pub mod state;
pub mod tracker;

pub use session::{Options, Run};

mod session;
