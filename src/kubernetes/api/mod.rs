//! The cluster's API: a client over SSH, objects applied and compared, waits.

mod apply;
mod client;
mod etcd;
mod probe;
mod wait;

pub use apply::{Applier, ObjectChange, ObjectId, fingerprint};
pub use client::{Dial, Identity, Stream, answers, client};
pub use etcd::{EtcdClient, Member, MemberStatus};
pub use probe::{failed_checks, probe_http, probe_https, serving_certificate};
pub use wait::{Health, node_ready, node_ready_since, wait_for_node, wait_healthy};

/// What can go wrong with the API.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The client can't be made.
    #[error("cannot make a client of the API: {0}")]
    Client(String),
    /// A request failed.
    #[error("cannot {what}: {}", cause(.source))]
    Request {
        /// What was tried.
        what: String,
        /// Why not.
        #[source]
        source: Box<kube::Error>,
    },
    /// An object of ours or of the operator's is no API object.
    #[error("{origin} is no API object: {why}")]
    Object {
        /// Where it came from.
        origin: String,
        /// What is wrong with it.
        why: String,
    },
    /// A wait ended without what it waited for.
    #[error("{what} did not happen within {} s: {last}", .after.as_secs())]
    Timeout {
        /// What was waited for.
        what: String,
        /// For how long.
        after: std::time::Duration,
        /// The last thing seen.
        last: String,
    },
}

impl ApiError {
    fn client(error: impl std::fmt::Display) -> Self {
        ApiError::Client(error.to_string())
    }

    pub(crate) fn request(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        move |source| ApiError::Request {
            what,
            source: Box::new(source),
        }
    }

    /// Whether the API said "Forbidden".
    pub fn is_forbidden(&self) -> bool {
        matches!(self, ApiError::Request { source, .. }
            if matches!(source.as_ref(), kube::Error::Api(status) if status.code == 403))
    }

    /// Whether the object is no longer what the request took it for: a conflict,
    /// or a JSON patch whose test failed.
    pub fn is_outdated(&self) -> bool {
        matches!(self, ApiError::Request { source, .. }
            if matches!(source.as_ref(), kube::Error::Api(status) if matches!(status.code, 409 | 422)))
    }

    /// Whether the API doesn't know such a kind of object, or not yet.
    pub fn is_unknown_kind(&self) -> bool {
        matches!(self, ApiError::Request { source, .. } if match source.as_ref() {
            kube::Error::Api(status) => status.code == 404,
            other => matches!(other, kube::Error::Discovery(_)),
        })
    }

    /// Whether trying again may help: the API wasn't there, or not yet whole.
    pub fn is_transient(&self) -> bool {
        match self {
            ApiError::Request { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => {
                    matches!(status.code, 404 | 409 | 429 | 500 | 502 | 503 | 504)
                }
                kube::Error::HyperError(_)
                | kube::Error::Service(_)
                | kube::Error::Discovery(_) => true,
                _ => false,
            },
            _ => false,
        }
    }
}

/// The innermost cause says more than "client error (Connect)".
fn cause(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return status.message.clone();
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text
}
