//! The key-value state that the log's entries build: revisions, transactions, history.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::{base64, items, unbase64};

/// Events older than these many are compacted.
const HISTORY: usize = 20_000;

/// A key's value and its revisions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The value.
    pub value: String,
    /// The revision that created it.
    pub created: u64,
    /// The revision that changed it last.
    pub modified: u64,
    /// How often it was written since.
    pub version: u64,
}

/// A change.
#[derive(Clone, Debug)]
pub struct Event {
    /// The key.
    pub key: String,
    /// What it is now; None if deleted.
    pub now: Option<Entry>,
    /// The revision of the change.
    pub revision: u64,
}

/// All keys at the newest revision.
#[derive(Debug, Serialize, Deserialize)]
pub struct Store {
    /// The newest revision.
    pub revision: u64,
    keys: BTreeMap<String, Entry>,
    #[serde(skip)]
    events: VecDeque<Event>,
    /// Changes up to here can't be watched any more.
    #[serde(skip)]
    compacted: u64,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            revision: 1,
            keys: BTreeMap::new(),
            events: VecDeque::new(),
            compacted: 0,
        }
    }
}

fn text(value: &Value) -> String {
    String::from_utf8_lossy(&unbase64(value.as_str().unwrap_or_default())).into_owned()
}

/// A 64-bit number, which protobuf's JSON writes as a string.
pub fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .or_else(|| value.as_str()?.parse().ok())
        .unwrap_or(0)
}

fn kv(key: &str, entry: &Entry) -> Value {
    json!({"key": base64(key.as_bytes()), "value": base64(entry.value.as_bytes()), "create_revision": entry.created.to_string(),
           "mod_revision": entry.modified.to_string(), "version": entry.version.to_string()})
}

impl Store {
    /// After a snapshot was loaded there is no history before it.
    pub fn forget_history(&mut self) {
        self.compacted = self.revision;
    }

    /// The keys that a request's `key` and `range_end` name.
    fn select(&self, request: &Value) -> Vec<(&String, &Entry)> {
        let key = text(&request["key"]);
        let end = unbase64(request["range_end"].as_str().unwrap_or_default());
        if end.is_empty() {
            return self.keys.get_key_value(&key).into_iter().collect();
        }
        self.keys
            .range(key..)
            .take_while(|(k, _)| end == [0] || k.as_bytes() < end.as_slice())
            .collect()
    }

    /// Answers a range request.
    pub fn range(&self, request: &Value) -> Value {
        let found = self.select(request);
        let limit = match number(&request["limit"]) {
            0 => usize::MAX,
            limit => limit as usize,
        };
        let kvs: Vec<Value> = found.iter().take(limit).map(|(k, e)| kv(k, e)).collect();
        json!({"kvs": kvs, "count": found.len().to_string(), "more": found.len() > limit})
    }

    /// Applies a transaction.
    pub fn txn(&mut self, txn: &Value) -> Value {
        let succeeded = items(txn, "/compare").all(|c| self.compare(c));
        let revision = self.revision + 1;
        let mut written = false;
        let mut responses = vec![];
        for op in items(txn, if succeeded { "/success" } else { "/failure" }) {
            if let Some(put) = op.get("request_put") {
                self.put(text(&put["key"]), text(&put["value"]), revision);
                written = true;
                responses.push(json!({"response_put": {}}));
            } else if let Some(delete) = op.get("request_delete_range") {
                let keys: Vec<String> = self
                    .select(delete)
                    .into_iter()
                    .map(|(k, _)| k.clone())
                    .collect();
                for key in &keys {
                    self.keys.remove(key);
                    self.record(Event {
                        key: key.clone(),
                        now: None,
                        revision,
                    });
                }
                written |= !keys.is_empty();
                responses
                    .push(json!({"response_delete_range": {"deleted": keys.len().to_string()}}));
            } else if let Some(range) = op.get("request_range") {
                responses.push(json!({"response_range": self.range(range)}));
            }
        }
        if written {
            self.revision = revision;
        }
        json!({"succeeded": succeeded, "responses": responses})
    }

    fn compare(&self, compare: &Value) -> bool {
        let entry = self.keys.get(&text(&compare["key"]));
        let (actual, wanted) = match compare["target"].as_str() {
            Some("MOD") => (
                entry.map_or(0, |e| e.modified),
                number(&compare["mod_revision"]),
            ),
            Some("CREATE") => (
                entry.map_or(0, |e| e.created),
                number(&compare["create_revision"]),
            ),
            Some("VALUE") => return entry.is_some_and(|e| e.value == text(&compare["value"])),
            _ => (entry.map_or(0, |e| e.version), number(&compare["version"])),
        };
        match compare["result"].as_str() {
            Some("GREATER") => actual > wanted,
            Some("LESS") => actual < wanted,
            Some("NOT_EQUAL") => actual != wanted,
            _ => actual == wanted,
        }
    }

    fn put(&mut self, key: String, value: String, revision: u64) {
        let old = self.keys.get(&key);
        let entry = Entry {
            value,
            created: old.map_or(revision, |e| e.created),
            modified: revision,
            version: old.map_or(1, |e| e.version + 1),
        };
        self.keys.insert(key.clone(), entry.clone());
        self.record(Event {
            key,
            now: Some(entry),
            revision,
        });
    }

    fn record(&mut self, event: Event) {
        self.events.push_back(event);
        if self.events.len() > HISTORY
            && let Some(old) = self.events.pop_front()
        {
            self.compacted = old.revision;
        }
    }

    /// The changes after `revision` to keys that start with `prefix`; None if compacted.
    pub fn since(&self, revision: u64, prefix: &str) -> Option<Vec<Value>> {
        if revision < self.compacted {
            return None;
        }
        let wanted = self
            .events
            .iter()
            .filter(|e| e.revision > revision && e.key.starts_with(prefix));
        Some(
            wanted
                .map(|e| match &e.now {
                    Some(entry) => json!({"kv": kv(&e.key, entry)}),
                    None => json!({"type": "DELETE", "kv": {"key": base64(e.key.as_bytes()), "mod_revision": e.revision.to_string()}}),
                })
                .collect(),
        )
    }

    /// The oldest revision that can still be watched from.
    pub fn compacted(&self) -> u64 {
        self.compacted
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn put(key: &str, value: &str) -> Value {
        json!({"request_put": {"key": base64(key.as_bytes()), "value": base64(value.as_bytes())}})
    }

    #[test]
    fn a_transaction_compares_before_it_writes() {
        let mut store = Store::default();
        let create = json!({"compare": [{"key": base64(b"/a"), "target": "MOD", "mod_revision": "0"}], "success": [put("/a", "1")]});
        assert_eq!(store.txn(&create)["succeeded"], true);
        assert_eq!(store.revision, 2);
        assert_eq!(store.txn(&create)["succeeded"], false);
        assert_eq!(store.revision, 2);
        store.txn(&json!({"success": [put("/a", "2"), put("/b", "3")]}));
        assert_eq!(store.since(2, "/").unwrap().len(), 2);
        let all = store.range(&json!({"key": base64(b"/"), "range_end": base64(b"0")}));
        assert_eq!(all["count"], "2");
        assert_eq!(all["kvs"][0]["version"], "2");
    }

    #[test]
    fn history_is_gone_after_a_snapshot() {
        let mut store = Store::default();
        store.txn(&json!({"success": [put("/a", "1")]}));
        store.forget_history();
        assert!(store.since(1, "/").is_none());
        assert!(store.since(2, "/").unwrap().is_empty());
    }
}
