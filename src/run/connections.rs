//! Connections that are kept open between rounds.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::remote::Remote;

/// Connections by host, or why connecting failed.
#[derive(Debug, Default)]
pub struct Kept(Mutex<BTreeMap<String, Result<Remote, String>>>);

impl Kept {
    /// The open connection to a host, or why it is unreachable; `None` if connecting has
    /// not been tried.
    pub(crate) fn get(&self, host: &str) -> Option<Result<Remote, String>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.get(host) {
            Some(Ok(session)) if session.is_closed() => None,
            known => known.cloned(),
        }
    }

    /// Remembers how the last attempt went.
    pub(crate) fn put(&self, host: &str, result: Result<Remote, String>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(host.to_owned(), result);
    }

    /// Forgets unreachable hosts, so that they are tried again.
    pub(crate) fn forget_failures(&self) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, result| result.is_ok());
    }
}
