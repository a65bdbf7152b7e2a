//! Asks hosts with a time limit, one after another until one responds.

use std::time::Duration;

use crate::inventory::Host;
use crate::kubernetes::api::Health;
use crate::run::error::Error;

/// What `asking` says.
///
/// # Errors
/// [`Error::NoAnswer`] if it says nothing within `limit`.
pub(crate) async fn answer_within<T, E: Into<Error>>(
    limit: Duration,
    asking: impl Future<Output = Result<T, E>>,
) -> Result<T, Error> {
    match tokio::time::timeout(limit, asking).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(Error::NoAnswer { after: limit }),
    }
}

/// Like it, for a health check: no response means unhealthy.
pub(crate) async fn health_within(
    limit: Duration,
    looking: impl Future<Output = Health>,
) -> Health {
    match answer_within(limit, async { Ok::<_, Error>(looking.await) }).await {
        Ok(health) => health,
        Err(error) => Health::No(error.to_string()),
    }
}

/// What came of asking hosts one after another.
pub(crate) struct Asked<'a, T> {
    /// The first response.
    pub(crate) answer: Option<T>,
    /// The hosts that were asked before it, or all of them, each with why it did not
    /// respond.
    pub(crate) silent: Silent<'a>,
}

/// Hosts that did not respond, and why.
#[derive(Debug, Default)]
pub(crate) struct Silent<'a>(pub(crate) Vec<(&'a Host, Error)>);

impl Silent<'_> {
    /// The last of them; `unasked` if none was asked.
    pub(crate) fn last_or(&self, unasked: &str) -> String {
        match self.0.last() {
            Some((host, error)) => name_host(host, error),
            None => unasked.to_owned(),
        }
    }

    /// Whether there are any, and `judge` says yes to the reason of each.
    pub(crate) fn all(&self, judge: impl Fn(&Error) -> bool) -> bool {
        !self.0.is_empty() && self.0.iter().all(|(_, error)| judge(error))
    }

    /// A line for each.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(host, error)| name_host(host, error))
    }
}

/// An error with the host's name before it. Some, such as those of SSH, have it already.
fn name_host(host: &Host, error: &Error) -> String {
    let why = error.to_string();
    match why.starts_with(&format!("{}:", host.name)) {
        true => why,
        false => format!("{}: {why}", host.name),
    }
}

impl<'a, T> Asked<'a, T> {
    /// The response.
    ///
    /// # Errors
    /// The hosts that did not respond, if none did.
    pub(crate) fn into_result(self) -> Result<T, Silent<'a>> {
        self.answer.ok_or(self.silent)
    }
}

/// Asks `hosts` one after another until one answers. This is the one place that decides through
/// which control plane a running cluster is reached: the first that works, in the caller's order.
pub(crate) async fn ask_first<'a, H, T>(
    hosts: impl IntoIterator<Item = (&'a Host, H)>,
    ask: impl AsyncFn(&'a Host, H) -> Result<T, Error>,
) -> Asked<'a, T> {
    let mut silent = Silent::default();
    for (host, through) in hosts {
        match ask(host, through).await {
            Ok(answer) => {
                let answer = Some(answer);
                return Asked { answer, silent };
            }
            Err(error) => silent.0.push((host, error)),
        }
    }
    Asked {
        answer: None,
        silent,
    }
}
