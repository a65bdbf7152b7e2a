//! The host room's scripts, run for real: under a directory that stands in for
//! `/`, with stand-ins for systemd, containerd and the package manager, by
//! every POSIX shell that this machine has.

#[path = "host/checking.rs"]
mod checking;
#[path = "host/converging.rs"]
mod converging;
#[path = "host/crashing.rs"]
mod crashing;
#[path = "host/installing.rs"]
mod installing;
#[path = "host/interrupted.rs"]
mod interrupted;
#[path = "host/links.rs"]
mod links;
#[path = "host/locking.rs"]
mod locking;
#[path = "host/previous.rs"]
mod previous;
#[path = "host/reaching.rs"]
mod reaching;
#[path = "host/resetting.rs"]
mod resetting;
#[path = "host/root.rs"]
mod root;
#[path = "host/vitals.rs"]
mod vitals;
