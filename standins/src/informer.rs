//! A list kept up to date by a watch, and a bell that rings when it changes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;

use crate::api::{items, name, namespace};
use crate::client::Client;

/// The objects of one resource, by namespace and name.
#[derive(Clone)]
pub struct Informer {
    objects: Arc<Mutex<BTreeMap<String, Value>>>,
    synced: Arc<Mutex<bool>>,
}

impl Informer {
    /// Starts to list and watch `path` (which may hold a selector); rings `bell` at changes.
    pub fn start(client: Client, path: &str, bell: Arc<Notify>) -> Self {
        let this = Self {
            objects: Arc::default(),
            synced: Arc::default(),
        };
        let (informer, path) = (this.clone(), path.to_owned());
        tokio::spawn(async move {
            loop {
                if let Err(e) = informer.follow(&client, &path, &bell).await {
                    crate::klog!(warn, "failed to list {path}: {e}");
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            }
        });
        this
    }

    async fn follow(&self, client: &Client, path: &str, bell: &Notify) -> crate::api::Result<()> {
        let list = client.get(path).await?;
        let revision = list["metadata"]["resourceVersion"]
            .as_str()
            .unwrap_or("0")
            .to_owned();
        let fresh = items(&list, "/items")
            .map(|o| (key(o), o.clone()))
            .collect();
        *self.lock() = fresh;
        *self.synced.lock().unwrap_or_else(PoisonError::into_inner) = true;
        bell.notify_one();
        let join = if path.contains('?') { '&' } else { '?' };
        let mut lines = client
            .watch(&format!("{path}{join}watch=true&allowWatchBookmarks=true&resourceVersion={revision}&timeoutSeconds=300"))
            .await?;
        while let Some(event) = lines.next().await {
            let object = &event["object"];
            match event["type"].as_str() {
                Some("ADDED" | "MODIFIED") => {
                    self.lock().insert(key(object), object.clone());
                }
                Some("DELETED") => {
                    self.lock().remove(&key(object));
                }
                Some("BOOKMARK") => continue,
                _ => break,
            }
            bell.notify_one();
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Value>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the first list has come.
    pub fn synced(&self) -> bool {
        *self.synced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All objects.
    pub fn all(&self) -> Vec<Value> {
        self.lock().values().cloned().collect()
    }

    /// One object.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Value> {
        self.lock().get(&format!("{namespace}/{name}")).cloned()
    }
}

fn key(object: &Value) -> String {
    format!("{}/{}", namespace(object), name(object))
}
