//! What a file holds.

use std::fmt;
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::host::hash::sha256_hex;
use ssh::Input;

/// What a file holds.
#[derive(Clone)]
pub enum Content {
    /// These bytes.
    Bytes(Zeroizing<Vec<u8>>),
    /// A file of the workstation, streamed.
    Local {
        /// Its path.
        path: PathBuf,
        /// Its SHA-256, lower hex.
        sha256: String,
        /// Its size in bytes.
        size: u64,
    },
}

/// Never shows the bytes: they may be a key's.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Content::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Content::Local { path, size, .. } => {
                write!(f, "Local({}, {size} bytes)", path.display())
            }
        }
    }
}

impl Content {
    /// SHA-256, lower hex.
    pub(in crate::host) fn sha256(&self) -> String {
        match self {
            Content::Bytes(bytes) => sha256_hex(bytes),
            Content::Local { sha256, .. } => sha256.clone(),
        }
    }

    /// Size in bytes.
    pub(super) fn size(&self) -> u64 {
        match self {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Local { size, .. } => *size,
        }
    }

    /// What is sent.
    pub(super) fn to_input(&self) -> Input {
        match self {
            Content::Bytes(bytes) => Input::Bytes(bytes.clone()),
            Content::Local { path, size, .. } => Input::File {
                path: path.clone(),
                size: *size,
            },
        }
    }
}
