//! A copy of everything in etcd and its latest changes: what watches, authentication
//! and RBAC read, a moment behind the truth, as in the real server.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use crate::etcd::{Etcd, Stored};

const HISTORY: usize = 10_000;

/// One change, with the object before and after.
#[derive(Debug)]
pub struct Change {
    pub key: String,
    pub revision: u64,
    /// Before; None if created.
    pub old: Option<Arc<Value>>,
    /// After; None if deleted.
    pub new: Option<Arc<Value>>,
}

#[derive(Default)]
struct Inner {
    objects: BTreeMap<String, Arc<Value>>,
    history: VecDeque<Arc<Change>>,
    /// Changes up to here are not in the history.
    start: u64,
}

/// The copy.
pub struct Cache {
    inner: Mutex<Inner>,
    /// Up to which revision the copy is complete; 0 before the first list.
    pub revision: watch::Sender<u64>,
}

/// The object as clients see it: with its resourceVersion.
pub fn versioned(stored: Stored) -> Value {
    let mut value = stored.value;
    value["metadata"]["resourceVersion"] = stored.revision.to_string().into();
    value
}

impl Cache {
    /// Starts to follow etcd.
    pub fn start(etcd: Etcd) -> Arc<Self> {
        let cache = Arc::new(Self {
            inner: Mutex::default(),
            revision: watch::Sender::new(0),
        });
        let following = cache.clone();
        tokio::spawn(async move {
            loop {
                if let Err(e) = following.follow(&etcd).await {
                    crate::klog!(warn, "etcd: {e}");
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
        cache
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn follow(&self, etcd: &Etcd) -> crate::api::Result<()> {
        let known = *self.revision.borrow();
        let mut watch = if known == 0 {
            let (list, revision) = etcd.list("/registry/").await?;
            {
                let mut inner = self.lock();
                inner.objects = list
                    .into_iter()
                    .map(|s| (s.key.clone(), Arc::new(versioned(s))))
                    .collect();
                inner.history.clear();
                inner.start = revision;
            }
            self.revision.send_replace(revision);
            etcd.watch("/registry/", revision).await?
        } else {
            etcd.watch("/registry/", known).await?
        };
        let mut first = true;
        while let Some((events, revision)) = watch.next().await {
            // The answer to the request itself says nothing about what has happened.
            if std::mem::take(&mut first) && events.is_empty() {
                continue;
            }
            {
                let mut inner = self.lock();
                for (stored, deleted) in events {
                    let (key, at) = (stored.key.clone(), stored.revision);
                    let new = (!deleted).then(|| Arc::new(versioned(stored)));
                    let old = match &new {
                        Some(new) => inner.objects.insert(key.clone(), new.clone()),
                        None => inner.objects.remove(&key),
                    };
                    inner.history.push_back(Arc::new(Change {
                        key,
                        revision: at,
                        old,
                        new,
                    }));
                    if inner.history.len() > HISTORY
                        && let Some(gone) = inner.history.pop_front()
                    {
                        inner.start = gone.revision;
                    }
                }
            }
            self.revision
                .send_if_modified(|r| std::mem::replace(r, revision.max(*r)) < revision);
        }
        if first {
            // Compacted, or the server is gone: list anew the next time.
            self.revision.send_replace(0);
        }
        Ok(())
    }

    /// One object.
    pub fn get(&self, key: &str) -> Option<Arc<Value>> {
        self.lock().objects.get(key).cloned()
    }

    /// All objects under a prefix.
    pub fn list(&self, prefix: &str) -> Vec<Arc<Value>> {
        self.lock()
            .objects
            .range(prefix.to_owned()..)
            .take_while(|(k, _)| k.starts_with(prefix))
            .map(|(_, v)| v.clone())
            .collect()
    }

    /// The changes under a prefix after a revision, and up to which they go; None if
    /// they are no longer known.
    pub fn since(&self, prefix: &str, after: u64) -> Option<(Vec<Arc<Change>>, u64)> {
        let inner = self.lock();
        let upto = (*self.revision.borrow()).max(inner.history.back().map_or(0, |c| c.revision));
        if after < inner.start {
            return None;
        }
        let changes = inner
            .history
            .iter()
            .filter(|c| c.revision > after && c.key.starts_with(prefix))
            .cloned()
            .collect();
        Some((changes, upto.max(after)))
    }
}
