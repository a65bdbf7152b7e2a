//! The key-value state that the log's entries build: revisions, transactions, history.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::{base64, items, unbase64};

/// Events older than these many are compacted.
const HISTORY: usize = 20_000;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    value: String,
    /// The revision that changed it last.
    modified: u64,
}

#[derive(Clone, Debug)]
struct Event {
    key: String,
    /// None if deleted.
    now: Option<Entry>,
    revision: u64,
}

/// All keys at the newest revision.
#[derive(Debug, Serialize, Deserialize)]
pub struct Store {
    pub revision: u64,
    keys: BTreeMap<String, Entry>,
    #[serde(skip)]
    events: VecDeque<Event>,
    /// Changes up to here can't be watched any more.
    #[serde(skip)]
    pub compacted: u64,
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

pub fn decode(value: &Value) -> String {
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
    json!({"key": base64(key.as_bytes()), "value": base64(entry.value.as_bytes()), "mod_revision": entry.modified.to_string()})
}

impl Store {
    /// After a snapshot was loaded there is no history before it.
    pub fn forget_history(&mut self) {
        self.compacted = self.revision;
    }

    /// The keys that a request's `key` and `range_end` name.
    fn select(&self, request: &Value) -> Vec<(&String, &Entry)> {
        let key = decode(&request["key"]);
        let end = decode(&request["range_end"]);
        if end.is_empty() {
            return self.keys.get_key_value(&key).into_iter().collect();
        }
        self.keys.range(key..end).collect()
    }

    /// Answers a range request.
    pub fn range(&self, request: &Value) -> Value {
        let found = self.select(request);
        let kvs: Vec<Value> = found.iter().map(|(k, e)| kv(k, e)).collect();
        json!({"kvs": kvs, "count": found.len().to_string()})
    }

    /// Applies a transaction. Of comparisons, only those of the revision are known.
    pub fn txn(&mut self, txn: &Value) -> Value {
        let succeeded = items(txn, "/compare").all(|c| {
            let entry = self.keys.get(&decode(&c["key"]));
            entry.map_or(0, |e| e.modified) == number(&c["mod_revision"])
        });
        let revision = self.revision + 1;
        let mut responses = vec![];
        for op in items(txn, if succeeded { "/success" } else { "/failure" }) {
            if let Some(put) = op.get("request_put") {
                let entry = Entry {
                    value: decode(&put["value"]),
                    modified: revision,
                };
                self.set(decode(&put["key"]), Some(entry), revision);
                responses.push(json!({"response_put": {}}));
            } else if let Some(delete) = op.get("request_delete_range") {
                let selected = self.select(delete);
                let keys: Vec<String> = selected.into_iter().map(|(k, _)| k.clone()).collect();
                let deleted = keys.len().to_string();
                for key in keys {
                    self.set(key, None, revision);
                }
                responses.push(json!({"response_delete_range": {"deleted": deleted}}));
            } else if let Some(range) = op.get("request_range") {
                responses.push(json!({"response_range": self.range(range)}));
            }
        }
        json!({"succeeded": succeeded, "responses": responses})
    }

    fn set(&mut self, key: String, now: Option<Entry>, revision: u64) {
        match &now {
            Some(entry) => self.keys.insert(key.clone(), entry.clone()),
            None => self.keys.remove(&key),
        };
        self.revision = revision;
        self.events.push_back(Event { key, now, revision });
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
        let events = self.events.iter();
        let wanted = events.filter(|e| e.revision > revision && e.key.starts_with(prefix));
        Some(
            wanted
                .map(|e| match &e.now {
                    Some(entry) => json!({"kv": kv(&e.key, entry)}),
                    None => json!({"type": "DELETE", "kv": {"key": base64(e.key.as_bytes()), "mod_revision": e.revision.to_string()}}),
                })
                .collect(),
        )
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
        assert_eq!(all["kvs"][0]["mod_revision"], "3");
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
