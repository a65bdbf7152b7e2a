//! SSH: connect, authenticate, verify host keys, jump, run, forward. Knows
//! nothing of Kubernetes.
//!
//! [`Target::resolve`] decides how to reach a host, [`Session::connect`] goes
//! there, [`Session::run`] runs a script and [`Session::forward`] opens a TCP
//! connection. One [`Connector`] serves all hosts: it asks for each secret once.

mod append_known_host;
mod auth;
mod capture;
mod config;
mod connect;
mod connector;
mod error;
mod exec;
mod feed;
mod forward;
mod handshake;
mod judge;
mod known_hosts;
mod prompt;
mod protocol;
mod resolve;
mod run;
mod scan;
mod script;
mod session;
mod settings;
mod shared;
mod target;
mod tcp;

pub use append_known_host::append_known_host;
pub use capture::{OutputLine, OutputStream};
pub use connector::Connector;
pub use error::{ConnectFailure, PresentedKey, SshError, SudoFailure};
pub use forward::Forward;
pub use judge::{Trust, judge_host_keys};
pub use prompt::{NoPrompt, Prompt, Secret};
pub use scan::{HostKey, HostKeys, scan_host_keys};
pub use script::{Input, Output, RunOptions, Script, ScriptEvent};
pub use session::Session;
pub use settings::{Settings, Workstation, login_name};
pub use shared::{Finished, Observer, Stats};
pub use target::Target;
