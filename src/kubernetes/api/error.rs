//! What can go wrong with the API, and what to make of it.

use std::error::Error as StdError;
use std::iter::successors;

use rustls::CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};

use super::bounded::Unbounded;

/// Longest message of the API that is passed on, in characters: it may be anything.
const MAX_MESSAGE: usize = 4096;

/// What can go wrong with the API.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The client can't be made.
    #[error("cannot create an API client: {0}")]
    Client(String),
    /// A request failed.
    #[error("cannot {what}: {}", root_cause(.source))]
    Request {
        /// What was tried.
        what: String,
        /// Why not.
        #[source]
        source: Box<kube::Error>,
    },
    /// An object of ours or of the operator's is not an API object.
    #[error("{origin} is not an API object: {why}")]
    Object {
        /// Where it came from.
        origin: String,
        /// What is wrong with it.
        why: String,
    },
    /// The API serves no such kind, and nothing of what is applied brings it.
    #[error("cannot {what}: the API has no kind {kind}")]
    UnknownKind {
        /// What was tried.
        what: String,
        /// Version and kind.
        kind: String,
    },
    /// A wait for what will not happen.
    #[error("gave up waiting for {what}: {why}")]
    Hopeless {
        /// What was waited for.
        what: String,
        /// Why it will not happen.
        why: String,
    },
    /// A wait ended without what it waited for.
    #[error("timed out after {} s waiting for {what}: {last}", .after.as_secs())]
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
    pub(super) fn client(error: impl std::fmt::Display) -> Self {
        ApiError::Client(error.to_string())
    }

    pub(crate) fn request(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        move |source| ApiError::Request {
            what,
            source: Box::new(source),
        }
    }

    /// What to do next, where there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            ApiError::UnknownKind { .. } => Some(
                "check apiVersion and kind, or add its CustomResourceDefinition to the manifests; \
                 if an operator creates that, run the same command again once the operator runs"
                    .into(),
            ),
            _ => None,
        }
    }

    /// Whether an admission webhook did not answer, or answers no dry run: the API then can't say
    /// what a change would do. One that says no is another matter.
    pub fn is_silent_webhook(&self) -> bool {
        let ApiError::Request { source, .. } = self else {
            return false;
        };
        let kube::Error::Api(status) = source.as_ref() else {
            return false;
        };
        let says = |text: &str| status.message.contains(text);
        status.code >= 500 && says("failed calling webhook")
            || status.code == 400 && says("webhook") && says("does not support dry run")
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

    /// Whether who answered is not of the cluster: its certificate is another CA's, or for
    /// another name. However often it is asked, it stays that. One that has expired, or is not
    /// valid yet, may be replaced in a moment.
    pub fn is_stranger(&self) -> bool {
        match self {
            ApiError::Request { source, .. } => is_stranger(source.as_ref()),
            _ => false,
        }
    }

    /// The namespace that a request failed for, because it does not exist.
    pub(super) fn missing_namespace(&self) -> Option<&str> {
        let ApiError::Request { source, .. } = self else {
            return None;
        };
        match source.as_ref() {
            kube::Error::Api(status) if status.code == 404 => {
                let details = status.details.as_ref()?;
                (details.kind == "namespaces").then_some(details.name.as_str())
            }
            _ => None,
        }
    }

    /// Whether trying again may help: the API wasn't there, or not yet whole.
    pub fn is_transient(&self) -> bool {
        match self {
            _ if self.is_stranger() => false,
            ApiError::Request { source, .. } if Unbounded::is_too_large(source.as_ref()) => false,
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

/// Whether an error, or what caused it, is a certificate that is not the cluster's.
pub(super) fn is_stranger(error: &(dyn StdError + 'static)) -> bool {
    causes(error).any(|cause| {
        let tls: Option<&rustls::Error> = cause.downcast_ref();
        let Some(rustls::Error::InvalidCertificate(why)) = tls else {
            return false;
        };
        !matches!(
            why,
            Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. }
        )
    })
}

/// An error, and what lies below it. An `io::Error` shows what is in it, and hides itself.
fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    successors(Some(error), |&one| match one.downcast_ref() {
        Some(io) => below_io(io),
        None => one.source(),
    })
}

fn below_io(error: &std::io::Error) -> Option<&(dyn StdError + 'static)> {
    Some(error.get_ref()? as &(dyn StdError + 'static))
}

/// What went wrong, without the layers of the client that only pass it on, such as
/// "ServiceError: client error (Connect)".
fn root_cause(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return status.message.chars().take(MAX_MESSAGE).collect();
    }
    let texts: Vec<String> = causes(error).map(ToString::to_string).collect();
    let passes_on = |text: &String| text.contains("client error (");
    let begin = texts.iter().take_while(|text| passes_on(text)).count();
    // If there is nothing below them, they have to do.
    let begin = begin.min(texts.len() - 1);
    let mut said = texts[begin].clone();
    for text in &texts[begin + 1..] {
        if !said.contains(text.as_str()) {
            said = format!("{said}: {text}");
        }
    }
    let said = said.trim_start_matches("ServiceError: ");
    // rustls refers to its manual.
    said.split(": https://").next().unwrap_or(said).to_owned()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// A layer of the client, and what lies below it.
    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<io::Error>);

    #[test]
    fn a_webhook_that_is_down_is_told_from_one_that_says_no() {
        let error = |code: u16, message: &str| {
            let status = serde_json::json!({"status": "Failure", "message": message,
                "reason": "InternalError", "code": code});
            let status = serde_json::from_value(status).expect("a status");
            ApiError::request("compare x")(kube::Error::Api(status)).is_silent_webhook()
        };
        let down =
            "Internal error occurred: failed calling webhook \"a.b\": failed to call webhook: x";
        assert!(error(500, down));
        assert!(error(
            400,
            "admission webhook \"a.b\" does not support dry run"
        ));
        assert!(!error(500, "etcdserver: request timed out"));
        assert!(!error(
            403,
            "admission webhook \"a.b\" denied the request: no"
        ));
        assert!(!error(400, "invalid"));
    }

    #[test]
    fn layers_that_only_pass_an_error_on_are_left_out() {
        let service = |layer| root_cause(&kube::Error::Service(Box::new(layer)));
        let refused = || Some(io::Error::other("connection refused by 127.0.0.1"));
        assert_eq!(
            service(Layer("client error (Connect)", refused())),
            "connection refused by 127.0.0.1"
        );
        assert_eq!(
            service(Layer("TLS", refused())),
            "TLS: connection refused by 127.0.0.1"
        );
        assert_eq!(
            service(Layer("client error (Connect)", None)),
            "client error (Connect)"
        );
    }
}
