//! HTTP and TCP probes.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::api::{items, text};
use crate::client::Pool;

/// What probes one container. It verifies no certificate.
pub struct Prober<'a> {
    pool: Pool,
    container: &'a Value,
    ip: &'a str,
}

impl<'a> Prober<'a> {
    pub fn new(container: &'a Value, ip: &'a str) -> Option<Self> {
        Some(Self {
            pool: crate::client::pool(crate::tls::client(None, None).ok()?),
            container,
            ip,
        })
    }

    fn port(&self, port: &Value) -> u16 {
        let mut ports = items(self.container, "/ports");
        let named = ports.find(|p| p["name"] == *port);
        let number = port.as_u64().or_else(|| named?["containerPort"].as_u64());
        number.unwrap_or(0) as u16
    }

    /// Whether the probe of that name succeeds; true if there is none.
    pub async fn passes(&self, name: &str) -> bool {
        let probe = &self.container[name];
        let limit = Duration::from_secs(probe["timeoutSeconds"].as_u64().unwrap_or(1));
        let (get, tcp) = (&probe["httpGet"], &probe["tcpSocket"]);
        if get.is_object() {
            let host = match text(get, "host") {
                "" => self.ip,
                host => host,
            };
            let host = match host.contains(':') {
                true => format!("[{host}]"),
                false => host.to_owned(),
            };
            let scheme = match text(get, "scheme") {
                "HTTPS" => "https",
                _ => "http",
            };
            let port = self.port(&get["port"]);
            let url = format!("{scheme}://{host}:{port}{}", text(get, "path"));
            let Ok(request) = http::Request::get(url).body(Full::<Bytes>::default()) else {
                return false;
            };
            let answer = tokio::time::timeout(limit, self.pool.request(request)).await;
            return matches!(answer, Ok(Ok(r)) if (200..400).contains(&r.status().as_u16()));
        }
        if tcp.is_object() {
            let connect = TcpStream::connect((self.ip, self.port(&tcp["port"])));
            return matches!(tokio::time::timeout(limit, connect).await, Ok(Ok(_)));
        }
        true
    }
}
