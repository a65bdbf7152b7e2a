//! Waits: for components to be healthy, for nodes to come and be Ready.

use std::future::Future;
use std::time::Duration;

use futures::{TryStreamExt, pin_mut};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::runtime::{WatchStreamExt, watcher};

use super::error::{ApiError, is_stranger};

/// What a look at a component told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It is healthy.
    Ok,
    /// It isn't, or not yet: why.
    No(String),
    /// It isn't, and will not be, however long it is waited for: why.
    Never(String),
}

impl Health {
    /// What an error of a request for it means.
    pub fn from_error(error: &ApiError) -> Self {
        match error.is_stranger() {
            true => Health::Never(error.to_string()),
            false => Health::No(error.to_string()),
        }
    }
}

/// Looks at a component until it is healthy.
///
/// Nothing announces a port that opens, so this one wait has to look again and
/// again: at once at first, then every 100 ms.
///
/// # Errors
/// [`ApiError::Timeout`] with the last thing seen; [`ApiError::Hopeless`] at once, where waiting
/// does not help.
pub async fn wait_healthy<F>(
    what: &str,
    timeout: Duration,
    mut look: impl FnMut() -> F,
) -> Result<(), ApiError>
where
    F: Future<Output = Health>,
{
    let mut last = "nothing was heard of it".to_owned();
    let polling = async {
        loop {
            match look().await {
                Health::Ok => return Ok(()),
                Health::No(why) => last = why,
                Health::Never(why) => return Err(hopeless(what, why)),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    match tokio::time::timeout(timeout, polling).await {
        Ok(ended) => ended,
        Err(_) => Err(ApiError::Timeout {
            what: what.to_owned(),
            after: timeout,
            last,
        }),
    }
}

/// Watches one Node until `wanted` says that it is as it should be.
///
/// # Errors
/// [`ApiError::Timeout`] with what `wanted` last objected to; [`ApiError::Hopeless`] at once,
/// where waiting does not help.
pub async fn wait_for_node(
    client: &kube::Client,
    name: &str,
    what: &str,
    timeout: Duration,
    mut wanted: impl FnMut(&Node) -> Health,
) -> Result<Node, ApiError> {
    let mut last = format!("node {name} has not registered");
    let nodes: Api<Node> = Api::all(client.clone());
    let watching = async {
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        // The watcher reconnects by itself; its backoff keeps that polite.
        let stream = watcher(nodes, config).default_backoff().applied_objects();
        pin_mut!(stream);
        loop {
            match stream.try_next().await {
                Ok(Some(node)) => match wanted(&node) {
                    Health::Ok => return Ok(Some(node)),
                    Health::No(why) => last = why,
                    Health::Never(why) => return Err(hopeless(what, why)),
                },
                Ok(None) => return Ok(None),
                Err(error) if is_stranger(&error) => {
                    return Err(hopeless(what, error.to_string()));
                }
                Err(error) => last = error.to_string(),
            }
        }
    };
    match tokio::time::timeout(timeout, watching).await {
        Ok(Ok(Some(node))) => Ok(node),
        Ok(Err(error)) => Err(error),
        Ok(Ok(None)) | Err(_) => Err(ApiError::Timeout {
            what: what.to_owned(),
            after: timeout,
            last,
        }),
    }
}

fn hopeless(what: &str, why: String) -> ApiError {
    let what = what.to_owned();
    ApiError::Hopeless { what, why }
}

/// Whether a Node is Ready, and if not, why.
pub fn node_ready(node: &Node) -> Health {
    let conditions = node
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_deref());
    let Some(ready) = conditions
        .unwrap_or_default()
        .iter()
        .find(|c| c.type_ == "Ready")
    else {
        return Health::No("its kubelet has not reported yet".into());
    };
    if ready.status == "True" {
        Health::Ok
    } else {
        // Whatever its kubelet says, it is one line of ours.
        let say = |text: &Option<String>| -> String {
            let lines: Vec<&str> = text.iter().flat_map(|text| text.lines()).collect();
            lines.join(" ")
        };
        Health::No(format!("{}: {}", say(&ready.reason), say(&ready.message)))
    }
}

/// Whether a Node is Ready by the word of the kubelet that started at `start`,
/// by the clock of its host: what the Node says may be from the one before.
pub fn node_ready_since(node: &Node, start: jiff::Timestamp) -> Health {
    match node_reported_since(node, start) {
        Health::Ok => node_ready(node),
        no => no,
    }
}

/// Whether the kubelet that started at `start`, by the clock of its host, has reported.
pub fn node_reported_since(node: &Node, start: jiff::Timestamp) -> Health {
    let heartbeat = node
        .status
        .iter()
        .flat_map(|status| status.conditions.as_deref().unwrap_or_default())
        .find(|condition| condition.type_ == "Ready")
        .and_then(|condition| condition.last_heartbeat_time.as_ref());
    match heartbeat {
        // Both are whole seconds. Within the same one it is the new one's word: a kubelet
        // reports at once when it starts, and then, if nothing changes, every five minutes.
        // Its forerunner, which stopped before, would have to have done so that very second.
        Some(at) if at.0.as_second() >= start.as_second() => Health::Ok,
        _ => Health::No("its kubelet has not reported since it was restarted".into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(status: &str, heartbeat: &str) -> Node {
        let condition = json!({"type": "Ready", "status": status, "reason": "Why", "message": "because",
            "lastHeartbeatTime": heartbeat});
        serde_json::from_value(
            json!({"metadata": {"name": "a"}, "status": {"conditions": [condition]}}),
        )
        .unwrap()
    }

    #[test]
    fn the_word_of_the_kubelet_before_does_not_count() {
        let start = "2026-11-21T06:40:04Z".parse().unwrap();
        let ready = |status, heartbeat| node_ready_since(&node(status, heartbeat), start);
        assert!(matches!(
            ready("True", "2026-11-21T06:40:03Z"),
            Health::No(_)
        ));
        // It will say nothing more for five minutes.
        assert_eq!(ready("True", "2026-11-21T06:40:04Z"), Health::Ok);
        assert_eq!(
            ready("False", "2026-11-21T06:40:05Z"),
            Health::No("Why: because".into())
        );
        assert_eq!(ready("True", "2026-11-21T06:40:05Z"), Health::Ok);
        assert!(matches!(
            node_ready_since(&Node::default(), start),
            Health::No(_)
        ));
    }
}
