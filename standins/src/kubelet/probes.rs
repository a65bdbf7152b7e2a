//! HTTP and TCP probes.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use serde_json::Value;

use super::field;
use crate::api::items;
use crate::client::Pool;

/// A pool for probes: they verify no certificate.
pub fn pool() -> Option<Pool> {
    crate::tls::client(None, None).ok().map(crate::client::pool)
}

/// Whether a probe succeeds; true if there is none.
pub async fn passes(pool: &Pool, container: &Value, probe: &Value, ip: &str) -> bool {
    let limit = Duration::from_secs(probe["timeoutSeconds"].as_u64().unwrap_or(1).max(1));
    let port_of = |port: &Value| {
        let named = items(container, "/ports")
            .find(|p| p["name"] == *port)
            .and_then(|p| p["containerPort"].as_u64());
        port.as_u64().or(named).unwrap_or(0)
    };
    let get = &probe["httpGet"];
    if get.is_object() {
        let host = Some(field(get, "host"))
            .filter(|h| !h.is_empty())
            .unwrap_or(ip);
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        let scheme = field(get, "scheme").to_lowercase();
        let scheme = if scheme.is_empty() { "http" } else { &scheme };
        let Ok(request) = http::Request::get(format!(
            "{scheme}://{host}:{}{}",
            port_of(&get["port"]),
            field(get, "path")
        ))
        .body(Full::<Bytes>::default()) else {
            return false;
        };
        return matches!(tokio::time::timeout(limit, pool.request(request)).await, Ok(Ok(r)) if (200..400).contains(&r.status().as_u16()));
    }
    let tcp = &probe["tcpSocket"];
    if tcp.is_object() {
        let address = (ip.to_owned(), port_of(&tcp["port"]) as u16);
        return matches!(
            tokio::time::timeout(limit, tokio::net::TcpStream::connect(address)).await,
            Ok(Ok(_))
        );
    }
    true
}
