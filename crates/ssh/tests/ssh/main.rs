//! The SSH client against real OpenSSH servers, one or more per test.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod agents;
mod cancel;
mod faults;
mod forward;
mod host_keys;
mod login;
mod proxy;
mod run;
mod sshd;
mod sudo;
