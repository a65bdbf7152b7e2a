//! Checksums.

use sha2::{Digest, Sha256};

/// SHA-256, lower hex.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    text::hex::encode(Sha256::digest(bytes))
}
