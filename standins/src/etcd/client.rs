//! The API server's way to etcd: the JSON gateway over mutual TLS, one endpoint
//! after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::ensure;
use serde_json::{Value, json};

use super::kv::number;
use crate::api::{Error, Result, base64, items, unbase64};
use crate::client::{Client, Kubeconfig, Lines};

/// A value and the revision that wrote it.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its key.
    pub key: String,
    /// The object.
    pub value: Value,
    /// The revision of its last change.
    pub revision: u64,
}

/// A client of a cluster.
#[derive(Clone)]
pub struct Etcd {
    endpoints: Arc<Vec<Client>>,
    current: Arc<AtomicUsize>,
}

fn stored(kv: &Value) -> Stored {
    let value = unbase64(kv["value"].as_str().unwrap_or_default());
    Stored {
        key: String::from_utf8_lossy(&unbase64(kv["key"].as_str().unwrap_or_default()))
            .into_owned(),
        value: serde_json::from_slice(&value).unwrap_or_default(),
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
    pub fn new(
        servers: &[String],
        ca_file: &str,
        cert_file: &str,
        key_file: &str,
    ) -> anyhow::Result<Self> {
        ensure!(!servers.is_empty(), "--etcd-servers must be specified");
        let file = |path: &str| -> anyhow::Result<Vec<u8>> {
            if path.is_empty() {
                return Ok(vec![]);
            }
            std::fs::read(path).map_err(|e| anyhow::anyhow!("open {path}: {e}"))
        };
        if !cert_file.is_empty() {
            crate::tls::pair(cert_file, key_file)?;
        }
        let config = Kubeconfig {
            ca: file(ca_file)?,
            cert: file(cert_file)?,
            key: file(key_file)?,
            ..Kubeconfig::default()
        };
        let endpoints = servers
            .iter()
            .map(|s| {
                Client::new(&Kubeconfig {
                    server: s.trim_end_matches('/').to_owned(),
                    ..config.clone()
                })
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Self {
            endpoints: Arc::new(endpoints),
            current: Arc::default(),
        })
    }

    async fn call(&self, path: &str, body: &Value) -> Result<Value> {
        let mut error = Error::new(500, "no etcd endpoint");
        for _ in 0..self.endpoints.len().max(2) {
            let at = self.current.load(Ordering::Relaxed) % self.endpoints.len();
            match self.endpoints[at].create(path, body).await {
                Ok(value) => return Ok(value),
                Err(e) => {
                    self.current.fetch_add(1, Ordering::Relaxed);
                    // A write that reached etcd must not be sent twice.
                    if e.code != 0 {
                        return Err(Error::new(500, e.message));
                    }
                    error = Error::new(500, e.message);
                }
            }
        }
        Err(error)
    }

    /// All keys under a prefix, and the revision of the view.
    pub async fn list(&self, prefix: &str) -> Result<(Vec<Stored>, u64)> {
        let answer = self
            .call(
                "/v3/kv/range",
                &json!({"key": base64(prefix.as_bytes()), "range_end": end_of(prefix)}),
            )
            .await?;
        Ok((
            items(&answer, "/kvs").map(stored).collect(),
            number(&answer["header"]["revision"]),
        ))
    }

    /// One key.
    pub async fn get(&self, key: &str) -> Result<Option<Stored>> {
        let answer = self
            .call("/v3/kv/range", &json!({"key": base64(key.as_bytes())}))
            .await?;
        Ok(items(&answer, "/kvs").next().map(stored))
    }

    /// Writes a key if its revision is still that (0: does not exist); the new
    /// revision, or None if it was not.
    pub async fn put(&self, key: &str, value: &Value, if_revision: u64) -> Result<Option<u64>> {
        let op = json!({"request_put": {"key": base64(key.as_bytes()), "value": base64(value.to_string().as_bytes())}});
        self.txn(key, op, if_revision).await
    }

    /// Deletes a key if its revision is still that.
    pub async fn delete(&self, key: &str, if_revision: u64) -> Result<Option<u64>> {
        self.txn(
            key,
            json!({"request_delete_range": {"key": base64(key.as_bytes())}}),
            if_revision,
        )
        .await
    }

    async fn txn(&self, key: &str, op: Value, if_revision: u64) -> Result<Option<u64>> {
        let compare = json!({"key": base64(key.as_bytes()), "target": "MOD", "mod_revision": if_revision.to_string()});
        // The revision of the write itself, not of the answer, which may be later.
        let read = json!({"request_range": {"key": base64(key.as_bytes())}});
        let answer = self
            .call(
                "/v3/kv/txn",
                &json!({"compare": [compare], "success": [op, read]}),
            )
            .await?;
        if answer["succeeded"] != true {
            return Ok(None);
        }
        let written = number(&answer["responses"][1]["response_range"]["kvs"][0]["mod_revision"]);
        Ok(Some(if written > 0 {
            written
        } else {
            number(&answer["header"]["revision"])
        }))
    }

    /// Changes under a prefix after a revision.
    pub async fn watch(&self, prefix: &str, after: u64) -> Result<Watch> {
        let at = self.current.load(Ordering::Relaxed) % self.endpoints.len();
        let body = json!({"create_request": {"key": base64(prefix.as_bytes()), "start_revision": (after + 1).to_string()}});
        let lines = self.endpoints[at]
            .lines("POST", "/v3/watch", body.to_string().into())
            .await
            .inspect_err(|_| {
                self.current.fetch_add(1, Ordering::Relaxed);
            })?;
        Ok(Watch(lines))
    }
}

/// A stream of changes.
pub struct Watch(Lines);

impl Watch {
    /// The next batch: each key with its new value (None: deleted), and the revision
    /// that everything up to is now known. None at the end.
    pub async fn next(&mut self) -> Option<(Vec<(Stored, bool)>, u64)> {
        let line = tokio::time::timeout(std::time::Duration::from_secs(15), self.0.next())
            .await
            .ok()??;
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
