//! Watches.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};

use super::Server;
use super::cache::Change;
use super::resources::Resource;
use crate::api::{Error, field_selector, label_selector};
use crate::http::{Request, Response, stream};

struct Watcher {
    server: Arc<Server>,
    prefix: String,
    name: String,
    labels: String,
    fields: String,
    bookmarks: bool,
    kind: Value,
    cursor: u64,
    first: Vec<Bytes>,
    end: Instant,
    over: bool,
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

    fn bookmark(&self, initial: bool) -> Bytes {
        let mut object = self.kind.clone();
        object["metadata"] = json!({"resourceVersion": self.cursor.to_string()});
        if initial {
            object["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        line("BOOKMARK", &object)
    }

    async fn next(mut self) -> Option<(Bytes, Self)> {
        if !self.first.is_empty() {
            let all: Vec<u8> = std::mem::take(&mut self.first).concat();
            return Some((all.into(), self));
        }
        let mut revisions = self.server.cache.revision.subscribe();
        let quiet = Instant::now();
        while !self.over && Instant::now() < self.end {
            let wait = Duration::from_secs(10).min(self.end - Instant::now());
            let _ = tokio::time::timeout(wait, revisions.wait_for(|r| *r > self.cursor || *r == 0))
                .await;
            if *revisions.borrow() == 0 {
                // The copy is being made anew: the client must list again.
                self.over = true;
                break;
            }
            let Some((changes, upto)) = self.server.cache.since(&self.prefix, self.cursor) else {
                self.over = true;
                return Some((expired(self.cursor), self));
            };
            let events: Vec<u8> = changes
                .iter()
                .filter_map(|c| self.event(c))
                .collect::<Vec<_>>()
                .concat();
            self.cursor = upto;
            if !events.is_empty() {
                return Some((events.into(), self));
            }
            if self.bookmarks && quiet.elapsed() > Duration::from_secs(9) {
                let bookmark = self.bookmark(false);
                return Some((bookmark, self));
            }
        }
        None
    }
}

fn expired(revision: u64) -> Bytes {
    line(
        "ERROR",
        &Error::new(410, format!("too old resource version: {revision}")).status(),
    )
}

/// Answers a watch.
pub async fn watch(
    server: Arc<Server>,
    resource: &'static Resource,
    namespace: &str,
    name: &str,
    request: &Request,
) -> Response {
    let seconds = request
        .param("timeoutSeconds")
        .parse()
        .unwrap_or(1800 + rand::random::<u64>() % 1800);
    let mut watcher = Watcher {
        prefix: resource.prefix(namespace),
        name: name.to_owned(),
        labels: request.param("labelSelector").to_owned(),
        fields: request.param("fieldSelector").to_owned(),
        bookmarks: matches!(request.param("allowWatchBookmarks"), "true" | "1"),
        kind: json!({"kind": resource.kind, "apiVersion": resource.api_version()}),
        cursor: request.param("resourceVersion").parse().unwrap_or(0),
        first: vec![],
        end: Instant::now() + Duration::from_secs(seconds),
        over: false,
        server,
    };
    let initial = request.param("sendInitialEvents") == "true";
    if watcher.cursor == 0 || initial {
        // As fresh as a list would be.
        if let Ok((_, revision)) = watcher
            .server
            .etcd
            .list("/registry/core/namespaces/default")
            .await
        {
            let mut revisions = watcher.server.cache.revision.subscribe();
            let _ = tokio::time::timeout(
                Duration::from_secs(6),
                revisions.wait_for(|r| *r >= revision),
            )
            .await;
        }
        watcher.cursor = *watcher.server.cache.revision.borrow();
        let now = watcher.server.cache.list(&watcher.prefix);
        watcher.first = now
            .iter()
            .filter(|o| watcher.fits(o))
            .map(|o| line("ADDED", o))
            .collect();
        if initial && watcher.bookmarks {
            watcher.first.push(watcher.bookmark(true));
        }
    }
    stream(
        "application/json",
        futures::stream::unfold(watcher, Watcher::next),
    )
}
