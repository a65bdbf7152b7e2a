//! The engine: fan-out over hosts, journal, lock, events.

mod events;
mod journal;
mod state;
mod tracker;

pub use events::{Event, Events, Sink};
pub use journal::{Journal, Step};
pub use state::{Lock, State, StateError, write_private};
pub use tracker::{Part, Tracker};
