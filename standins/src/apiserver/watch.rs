//! Watches.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};

use super::Server;
use super::cache::Change;
use super::crud::Call;
use crate::api::{err, field_selector, label_selector};
use crate::http::{Response, stream};

struct Watcher {
    server: Arc<Server>,
    prefix: String,
    name: String,
    labels: String,
    fields: String,
    cursor: u64,
    first: Vec<Bytes>,
    end: Instant,
}

fn line(kind: &str, object: &Value) -> Bytes {
    Bytes::from(format!("{}\n", json!({"type": kind, "object": object})))
}

impl Watcher {
    fn fits(&self, object: &Value) -> bool {
        label_selector(&self.labels, &object["metadata"]["labels"])
            && field_selector(&self.fields, object)
            && (self.name.is_empty() || object["metadata"]["name"] == self.name.as_str())
    }

    /// A change as this watcher sees it: an object that stops to match is deleted to it.
    fn event(&self, change: &Change) -> Option<Bytes> {
        let old = change.old.as_deref().filter(|o| self.fits(o));
        let new = change.new.as_deref().filter(|o| self.fits(o));
        match (old, new) {
            (None, None) => None,
            (None, Some(new)) => Some(line("ADDED", new)),
            (Some(_), Some(new)) => Some(line("MODIFIED", new)),
            (Some(old), None) => {
                let mut object = change.new.as_deref().unwrap_or(old).clone();
                object["metadata"]["resourceVersion"] = change.revision.to_string().into();
                Some(line("DELETED", &object))
            }
        }
    }

    async fn next(mut self) -> Option<(Bytes, Self)> {
        if !self.first.is_empty() {
            let all: Vec<u8> = std::mem::take(&mut self.first).concat();
            return Some((all.into(), self));
        }
        let mut revisions = self.server.cache.revision.subscribe();
        while Instant::now() < self.end {
            let wait = Duration::from_secs(10).min(self.end - Instant::now());
            let news = revisions.wait_for(|r| *r > self.cursor || *r == 0);
            let _ = tokio::time::timeout(wait, news).await;
            if *revisions.borrow() == 0 {
                // The copy is being made anew: the client must list again.
                return None;
            }
            let Some((changes, upto)) = self.server.cache.since(&self.prefix, self.cursor) else {
                let gone = err!(410, "too old resource version: {}", self.cursor);
                self.end = Instant::now();
                return Some((line("ERROR", &gone.status()), self));
            };
            let events: Vec<Bytes> = changes.iter().filter_map(|c| self.event(c)).collect();
            self.cursor = upto;
            if !events.is_empty() {
                return Some((events.concat().into(), self));
            }
        }
        None
    }
}

/// Answers a watch.
pub async fn watch(server: Arc<Server>, call: &Call<'_>) -> Response {
    let request = call.request;
    let seconds = request.param("timeoutSeconds").parse().unwrap_or(1800);
    let mut watcher = Watcher {
        prefix: call.resource.prefix(call.namespace),
        name: call.name.to_owned(),
        labels: request.param("labelSelector").to_owned(),
        fields: request.param("fieldSelector").to_owned(),
        cursor: request.param("resourceVersion").parse().unwrap_or(0),
        first: vec![],
        end: Instant::now() + Duration::from_secs(seconds),
        server,
    };
    if watcher.cursor == 0 {
        watcher.cursor = *watcher.server.cache.revision.borrow();
        let now = watcher.server.cache.list(&watcher.prefix);
        watcher.first = now
            .iter()
            .filter(|o| watcher.fits(o))
            .map(|o| line("ADDED", o))
            .collect();
    }
    stream(futures::stream::unfold(watcher, Watcher::next))
}
