//! `clusterctl::ssh` against real OpenSSH servers, one or more per test.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "ssh/cancel.rs"]
mod cancel;
#[path = "ssh/faults.rs"]
mod faults;
#[path = "ssh/forward.rs"]
mod forward;
#[path = "ssh/host_keys.rs"]
mod host_keys;
#[path = "ssh/login.rs"]
mod login;
#[path = "ssh/run.rs"]
mod run;
#[path = "ssh/sshd.rs"]
mod sshd;
#[path = "ssh/sudo.rs"]
mod sudo;
