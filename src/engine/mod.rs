//! The engine: fan-out over hosts, journal, lock, events.

mod events;
mod interrupt;
mod journal;
mod state;
mod tracker;

pub use events::{Event, Events, Sink};
pub use interrupt::interrupted;
pub use journal::{Journal, Step};
pub use state::{Lock, State, StateError, write_private};
pub use tracker::{Part, Tracker};
