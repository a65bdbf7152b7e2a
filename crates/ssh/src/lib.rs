//! SSH: connect, authenticate, verify host keys, jump, run, forward. Knows
//! nothing of Kubernetes.
//!
//! [`Target::resolve`] decides how to reach a host, [`Session::connect`] goes
//! there, [`Session::run`] runs a script and [`Session::forward`] opens a TCP
//! connection. One [`Connector`] serves all hosts: it asks for each secret once.

mod agent;
mod algorithms;
mod append_known_host;
mod auth;
mod candidates;
mod canonical;
mod capture;
mod config;
mod connect;
mod connector;
mod error;
mod evidence;
mod exec;
mod feed;
mod forward;
mod handshake;
mod hop;
mod identity;
mod judge;
mod known_hosts;
mod known_hosts_command;
mod krl;
mod prompt;
mod protocol;
mod proxy_command;
mod reading;
mod resolve;
mod revoked;
mod run;
mod scan;
mod script;
mod session;
mod settings;
mod shared;
mod sign;
mod target;
mod tcp;
mod tokens;
mod valid;
mod way;

pub use append_known_host::append_known_host;
pub use capture::{OutputLine, OutputStream};
pub use connector::Connector;
pub use error::{ConnectFailure, PresentedKey, Revocation, SshError, SudoFailure};
pub use forward::Forward;
pub use judge::{Trust, judge_host_keys};
pub use prompt::{NoPrompt, Prompt, Secret};
pub use scan::{HostKey, HostKeys, scan_host_keys};
pub use script::{Input, Output, RunOptions, Script, ScriptEvent};
pub use session::Session;
pub use settings::{Settings, Workstation, login_name};
pub use shared::{Finished, Observer, Stats};
pub use target::Target;
