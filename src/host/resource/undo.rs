//! The reset script under construction.

use std::net::IpAddr;

use crate::host::error::HostError;
use crate::host::receipt::Receipt;
use crate::host::turn::Turn;
use crate::host::wire::{quote, relative};

/// What a reset has to know beside the receipt.
#[derive(Debug, Clone)]
pub struct Reset<'a> {
    /// What we did to the host.
    pub receipt: &'a Receipt,
    /// `unix:///…` socket of the container runtime.
    pub cri_socket: &'a str,
    /// Where etcd keeps its data, if it is one of the cluster's own.
    pub etcd_data: Option<&'a str>,
    /// The names that pod networks of ours have in CNI configurations.
    pub networks: &'a [&'a str],
    /// The address that kube-vip holds on one of the control planes.
    pub virtual_address: Option<IpAddr>,
    /// Leave the images that we brought.
    pub keep_images: bool,
    /// The run's turn, once it has one.
    pub turn: Option<Turn>,
}

impl Reset<'_> {
    /// The path that the runtime listens on, for the shell.
    ///
    /// # Errors
    ///
    /// A path that the script can't carry.
    pub(in crate::host) fn socket(&self) -> Result<String, HostError> {
        let path = self.cri_socket.trim_start_matches("unix://");
        relative(path)?;
        Ok(quote(path))
    }
}

/// The reset script under construction.
pub(in crate::host) struct Undo {
    pub(in crate::host) text: String,
}

impl Undo {
    pub(in crate::host) fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// One call for a whole list, none for an empty one.
    pub(in crate::host) fn call(&mut self, function: &str, words: &[String]) {
        if !words.is_empty() {
            self.line(&format!("{function} {}", words.join(" ")));
        }
    }
}
