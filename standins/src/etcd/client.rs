//! The API server's way to etcd: the JSON gateway over mutual TLS, one endpoint
//! after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};

use super::kv::{decode, number};
use crate::api::{Result, base64, err, items};
use crate::client::{Client, Kubeconfig, Lines};

/// A value and the revision that wrote it.
#[derive(Clone, Debug)]
pub struct Stored {
    pub key: String,
    pub value: Value,
    pub revision: u64,
}

/// A client of a cluster.
#[derive(Clone)]
pub struct Etcd {
    endpoints: Arc<Vec<Client>>,
    current: Arc<AtomicUsize>,
}

fn stored(kv: &Value) -> Stored {
    Stored {
        key: decode(&kv["key"]),
        value: serde_json::from_str(&decode(&kv["value"])).unwrap_or_default(),
        revision: number(&kv["mod_revision"]),
    }
}

fn end_of(prefix: &str) -> String {
    let mut bytes = prefix.as_bytes().to_vec();
    if let Some(last) = bytes.last_mut() {
        *last += 1;
    }
    base64(&bytes)
}

impl Etcd {
    /// A client of those servers.
    pub fn new(servers: &[String], ca: &str, cert: &str, key: &str) -> anyhow::Result<Self> {
        ensure!(!servers.is_empty(), "--etcd-servers must be specified");
        let file = |path: &str| -> anyhow::Result<Vec<u8>> {
            match path {
                "" => Ok(vec![]),
                path => std::fs::read(path).map_err(|e| anyhow::anyhow!("open {path}: {e}")),
            }
        };
        if !cert.is_empty() {
            crate::tls::pair(cert, key)?;
        }
        let (ca, cert, key) = (file(ca)?, file(cert)?, file(key)?);
        let client = |server: &String| {
            Client::new(&Kubeconfig {
                server: server.trim_end_matches('/').to_owned(),
                ca: ca.clone(),
                cert: cert.clone(),
                key: key.clone(),
                ..Kubeconfig::default()
            })
        };
        Ok(Self {
            endpoints: Arc::new(servers.iter().map(client).collect::<anyhow::Result<_>>()?),
            current: Arc::default(),
        })
    }

    fn endpoint(&self) -> &Client {
        &self.endpoints[self.current.load(Ordering::Relaxed) % self.endpoints.len()]
    }

    async fn call(&self, path: &str, body: &Value) -> Result<Value> {
        let mut error = err!(500, "no etcd endpoint");
        for _ in 0..self.endpoints.len().max(2) {
            match self.endpoint().create(path, body).await {
                Ok(value) => return Ok(value),
                Err(e) => {
                    self.current.fetch_add(1, Ordering::Relaxed);
                    error = err!(500, "{e}");
                    // A write that reached etcd must not be sent twice.
                    if e.code != 0 {
                        break;
                    }
                }
            }
        }
        Err(error)
    }

    /// All keys under a prefix, and the revision of the view.
    pub async fn list(&self, prefix: &str) -> Result<(Vec<Stored>, u64)> {
        let body = json!({"key": base64(prefix.as_bytes()), "range_end": end_of(prefix)});
        let answer = self.call("/v3/kv/range", &body).await?;
        let found = items(&answer, "/kvs").map(stored).collect();
        Ok((found, number(&answer["header"]["revision"])))
    }

    /// One key.
    pub async fn get(&self, key: &str) -> Result<Option<Stored>> {
        let body = json!({"key": base64(key.as_bytes())});
        let answer = self.call("/v3/kv/range", &body).await?;
        Ok(items(&answer, "/kvs").next().map(stored))
    }

    /// Writes a key if its revision is still that (0: does not exist); the new
    /// revision, or None if it was not.
    pub async fn put(&self, key: &str, value: &Value, if_revision: u64) -> Result<Option<u64>> {
        let put =
            json!({"key": base64(key.as_bytes()), "value": base64(value.to_string().as_bytes())});
        self.txn(key, json!({"request_put": put}), if_revision)
            .await
    }

    /// Deletes a key if its revision is still that.
    pub async fn delete(&self, key: &str, if_revision: u64) -> Result<Option<u64>> {
        let delete = json!({"key": base64(key.as_bytes())});
        self.txn(key, json!({"request_delete_range": delete}), if_revision)
            .await
    }

    async fn txn(&self, key: &str, op: Value, if_revision: u64) -> Result<Option<u64>> {
        let key = base64(key.as_bytes());
        let compare = json!({"key": key, "target": "MOD", "mod_revision": if_revision.to_string()});
        // The revision of the write itself, not of the answer, which may be later.
        let read = json!({"request_range": {"key": key}});
        let body = json!({"compare": [compare], "success": [op, read]});
        let answer = self.call("/v3/kv/txn", &body).await?;
        if answer["succeeded"] != true {
            return Ok(None);
        }
        let written = number(&answer["responses"][1]["response_range"]["kvs"][0]["mod_revision"]);
        Ok(Some(match written {
            0 => number(&answer["header"]["revision"]),
            written => written,
        }))
    }

    /// Changes under a prefix after a revision.
    pub async fn watch(&self, prefix: &str, after: u64) -> Result<Watch> {
        let start = (after + 1).to_string();
        let body =
            json!({"create_request": {"key": base64(prefix.as_bytes()), "start_revision": start}});
        let lines = self
            .endpoint()
            .lines("POST", "/v3/watch", body.to_string().into())
            .await;
        if lines.is_err() {
            self.current.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Watch(lines?))
    }
}

/// A stream of changes.
pub struct Watch(Lines);

impl Watch {
    /// The next batch: each key with its new value and whether it was deleted, and the
    /// revision up to which everything is now known. None at the end.
    pub async fn next(&mut self) -> Option<(Vec<(Stored, bool)>, u64)> {
        let line = tokio::time::timeout(Duration::from_secs(15), self.0.next());
        let line = line.await.ok()??;
        let result = &line["result"];
        if result["canceled"] == true {
            return None;
        }
        let events = items(result, "/events")
            .map(|e| (stored(&e["kv"]), e["type"] == "DELETE"))
            .collect();
        Some((events, number(&result["header"]["revision"])))
    }
}
