//! A client of the API, from a kubeconfig.

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::ServerName;
use serde_json::Value;

use crate::api::{Error, Result, err, items, text, unbase64};

/// The connection pool beneath.
pub type Pool = hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A pool of connections with that TLS configuration.
pub fn pool(tls: rustls::ClientConfig) -> Pool {
    pool_of(tls, None)
}

/// The same, for servers whose certificate has that name instead of the URL's.
fn pool_of(tls: rustls::ClientConfig, name: Option<ServerName<'static>>) -> Pool {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(std::time::Duration::from_secs(5)));
    let mut builder = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http();
    if let Some(name) = name {
        builder = builder.with_server_name_resolver(FixedServerNameResolver::new(name));
    }
    let connector = builder.enable_http1().wrap_connector(http);
    hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector)
}

/// What the current context of a kubeconfig says.
#[derive(Clone, Default)]
pub struct Kubeconfig {
    /// `https://host:port`.
    pub server: String,
    /// The name in the server's certificate, if it is not the host's.
    pub server_name: String,
    /// The cluster's CA, PEM.
    pub ca: Vec<u8>,
    /// Take any server.
    pub insecure: bool,
    /// Client certificate, PEM.
    pub cert: Vec<u8>,
    /// Its key, PEM.
    pub key: Vec<u8>,
    /// Bearer token.
    pub token: String,
}

impl Kubeconfig {
    /// Loads a file.
    pub fn load(path: &str) -> anyhow::Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                bail!("stat {path}: no such file or directory")
            }
            Err(e) => bail!("open {path}: {e}"),
        }
    }

    /// Reads the YAML; `origin` is for messages.
    fn parse(yaml: &str, origin: &str) -> anyhow::Result<Self> {
        let config: Value = serde_saphyr::from_str(yaml)
            .with_context(|| format!("error loading config file {origin:?}"))?;
        // clientcmd takes a file without kind, and unknown fields: its decoder is not strict.
        if let Some(t) = crate::schema::named("clientcmd.Config") {
            t.decode(&config, "", &mut vec![])
                .map_err(|e| anyhow::anyhow!("error loading config file {origin:?}: {e}"))?;
        }
        let entry = |list: &str, name: &Value, field: &str| -> anyhow::Result<Value> {
            items(&config, &format!("/{list}"))
                .find(|e| e["name"] == *name)
                .map(|e| e[field].clone())
                .with_context(|| format!("invalid configuration: {list} has no entry {name}"))
        };
        let current = &config["current-context"];
        ensure!(
            current.as_str().is_some_and(|c| !c.is_empty()),
            "invalid configuration: no configuration has been provided, try setting KUBERNETES_MASTER environment variable"
        );
        let context = entry("contexts", current, "context")?;
        let cluster = entry("clusters", &context["cluster"], "cluster")?;
        let user = entry("users", &context["user"], "user")?;
        let bytes = |object: &Value, field: &str| -> anyhow::Result<Vec<u8>> {
            let data = text(object, &format!("{field}-data"));
            if !data.is_empty() {
                return Ok(unbase64(data));
            }
            match text(object, field) {
                "" => Ok(vec![]),
                path => std::fs::read(path).with_context(|| {
                    format!("invalid configuration: unable to read {field} {path}")
                }),
            }
        };
        let this = Self {
            server: text(&cluster, "server").trim_end_matches('/').to_owned(),
            server_name: text(&cluster, "tls-server-name").to_owned(),
            ca: bytes(&cluster, "certificate-authority")?,
            insecure: cluster["insecure-skip-tls-verify"] == true,
            cert: bytes(&user, "client-certificate")?,
            key: bytes(&user, "client-key")?,
            token: text(&user, "token").to_owned(),
        };
        if this.cert.is_empty() != this.key.is_empty() {
            bail!(
                "invalid configuration: client-key-data or client-key must be specified for {} to use the clientCert authentication method.",
                user["name"]
            );
        }
        Ok(this)
    }
}

/// A client of one API server.
#[derive(Clone)]
pub struct Client {
    pool: Pool,
    server: String,
    token: String,
}

/// JSON Merge Patch.
pub const MERGE: &str = "application/merge-patch+json";

impl Client {
    /// A client that trusts and shows what the kubeconfig says.
    pub fn new(config: &Kubeconfig) -> anyhow::Result<Self> {
        let roots = if config.insecure {
            None
        } else if config.ca.is_empty() {
            Some(rustls::RootCertStore::empty())
        } else {
            Some(crate::tls::roots(&config.ca).context("unable to load root certificates")?)
        };
        let pair = if config.cert.is_empty() {
            None
        } else {
            Some((
                crate::tls::certs(&config.cert)?,
                crate::tls::key(&config.key)?,
            ))
        };
        let name = match config.server_name.as_str() {
            "" => None,
            name => Some(ServerName::try_from(name.to_owned()).context("tls-server-name")?),
        };
        Ok(Self {
            pool: pool_of(crate::tls::client(roots, pair)?, name),
            server: config.server.clone(),
            token: config.token.clone(),
        })
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: Bytes,
    ) -> Result<http::Response<Incoming>> {
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.server))
            .header("accept", "application/json")
            .header("user-agent", "standin");
        if !body.is_empty() {
            request = request.header("content-type", content_type);
        }
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        let request = request.body(Full::new(body)).map_err(|e| err!(0, "{e}"))?;
        self.pool.request(request).await.map_err(|e| {
            let e = anyhow::Error::from(e);
            err!(0, "{method} \"{}{path}\": {e:#}", self.server)
        })
    }

    /// Sends a request and reads the answer's bytes.
    pub async fn raw(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: Bytes,
    ) -> Result<Bytes> {
        let exchange = async {
            let response = self.send(method, path, content_type, body).await?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await;
            let bytes = body.map_err(|e| err!(0, "{e}"))?.to_bytes();
            match status {
                ..300 => Ok(bytes),
                _ => Err(Error::from_status(status, &bytes)),
            }
        };
        match tokio::time::timeout(std::time::Duration::from_secs(20), exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(err!(0, "{method} {path}: context deadline exceeded")),
        }
    }

    /// Sends a JSON request and reads a JSON answer.
    pub async fn request(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: Option<&Value>,
    ) -> Result<Value> {
        let body = body.map(|b| Bytes::from(b.to_string())).unwrap_or_default();
        let bytes = self.raw(method, path, content_type, body).await?;
        Ok(serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.request("GET", path, "", None).await
    }

    /// POST.
    pub async fn create(&self, path: &str, object: &Value) -> Result<Value> {
        self.request("POST", path, "application/json", Some(object))
            .await
    }

    /// PUT.
    pub async fn replace(&self, path: &str, object: &Value) -> Result<Value> {
        self.request("PUT", path, "application/json", Some(object))
            .await
    }

    /// PATCH.
    pub async fn patch(&self, path: &str, kind: &str, patch: &Value) -> Result<Value> {
        self.request("PATCH", path, kind, Some(patch)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Result<Value> {
        self.request("DELETE", path, "", None).await
    }

    /// GET of a body that goes on; None once it ends.
    pub async fn watch(&self, path: &str) -> Result<Lines> {
        self.lines("GET", path, Bytes::new()).await
    }

    /// A request whose answer is lines of JSON.
    pub async fn lines(&self, method: &str, path: &str, body: Bytes) -> Result<Lines> {
        let response = self.send(method, path, "application/json", body).await?;
        let status = response.status().as_u16();
        if status >= 300 {
            let body = response.into_body().collect().await;
            let bytes = body.map(|b| b.to_bytes()).unwrap_or_default();
            return Err(Error::from_status(status, &bytes));
        }
        Ok(Lines {
            body: response.into_body(),
            buffer: vec![],
        })
    }
}

/// Lines of JSON from a body.
pub struct Lines {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Lines {
    /// The next line; None at the end.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return serde_json::from_slice(&line).ok();
            }
            let frame = self.body.frame().await?.ok()?;
            if let Some(data) = frame.data_ref() {
                self.buffer.extend_from_slice(data);
            }
        }
    }
}
