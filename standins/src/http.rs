//! HTTP servers: one handler per listener, HTTP/1.1 or HTTP/2 as the client likes.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};

/// The largest request: etcd's limit of 1.5 MiB, doubled as the API server does.
const MAX_BODY: usize = 3 << 20;

/// What goes back.
pub type Response = http::Response<UnsyncBoxBody<Bytes, Infallible>>;

/// Who is at the other end.
#[derive(Clone, Debug)]
pub struct Peer {
    pub address: SocketAddr,
    /// The chain it showed, leaf first; empty without TLS or certificate.
    pub certs: Vec<CertificateDer<'static>>,
}

/// One request, its body read.
#[derive(Debug)]
pub struct Request {
    pub peer: Peer,
    pub method: http::Method,
    /// The path, percent-decoded.
    pub path: String,
    /// The query, decoded, in order.
    pub query: Vec<(String, String)>,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Request {
    /// The first value of a query parameter; empty if it is not there.
    pub fn param(&self, name: &str) -> &str {
        self.query
            .iter()
            .find(|(k, _)| k == name)
            .map_or("", |(_, v)| v.as_str())
    }

    /// A header's value; empty if it is not there or not text.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or("")
    }
}

/// A JSON response.
pub fn json(status: u16, body: &serde_json::Value) -> Response {
    let body = Full::new(Bytes::from(body.to_string()));
    build(status, "application/json", body.boxed_unsync())
}

/// A plain-text response.
pub fn plain(status: u16, body: &str) -> Response {
    let body = Full::new(Bytes::from(body.to_owned()));
    build(status, "text/plain; charset=utf-8", body.boxed_unsync())
}

/// Lines of JSON, for as long as they come.
pub fn stream(lines: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let body = StreamBody::new(lines.map(|line| Ok(Frame::data(line))));
    build(200, "application/json", BodyExt::boxed_unsync(body))
}

fn build(
    status: u16,
    content_type: &'static str,
    body: UnsyncBoxBody<Bytes, Infallible>,
) -> Response {
    let mut response = http::Response::new(body);
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    let content_type = http::HeaderValue::from_static(content_type);
    response.headers_mut().insert("content-type", content_type);
    response
}

/// Serves until the process ends.
pub async fn serve<H, F>(listener: TcpListener, tls: Option<Arc<ServerConfig>>, handler: H)
where
    H: Fn(Request) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    loop {
        let Ok((socket, address)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let (tls, handler) = (tls.clone(), handler.clone());
        tokio::spawn(async move {
            if let Err(e) = connection(socket, address, tls, handler).await {
                crate::klog!(info, "http: TLS handshake error from {address}: {e}");
            }
        });
    }
}

async fn connection<H, F>(
    socket: TcpStream,
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    handler: H,
) -> anyhow::Result<()>
where
    H: Fn(Request) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    // Or each answer waits 40 ms for the peer's delayed acknowledgement.
    let _ = socket.set_nodelay(true);
    match tls {
        None => {
            let certs = vec![];
            http(TokioIo::new(socket), Peer { address, certs }, handler).await
        }
        Some(config) => {
            let handshake = tokio_rustls::TlsAcceptor::from(config).accept(socket);
            let stream =
                tokio::time::timeout(std::time::Duration::from_secs(10), handshake).await??;
            let certs = stream.get_ref().1.peer_certificates().unwrap_or_default();
            let certs = certs.iter().map(|c| c.clone().into_owned()).collect();
            http(TokioIo::new(stream), Peer { address, certs }, handler).await;
        }
    }
    Ok(())
}

async fn http<I, H, F>(io: I, peer: Peer, handler: H)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    H: Fn(Request) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
        let (peer, handler) = (peer.clone(), handler.clone());
        async move {
            let (parts, body) = request.into_parts();
            let response = match Limited::new(body, MAX_BODY).collect().await {
                Err(_) => plain(413, "Request entity too large"),
                Ok(body) => {
                    let query = parts.uri.query().unwrap_or_default();
                    let path = percent_encoding::percent_decode_str(parts.uri.path());
                    handler(Request {
                        peer,
                        method: parts.method,
                        path: path.decode_utf8_lossy().into_owned(),
                        query: form_urlencoded::parse(query.as_bytes())
                            .into_owned()
                            .collect(),
                        headers: parts.headers,
                        body: body.to_bytes(),
                    })
                    .await
                }
            };
            Ok::<_, Infallible>(response)
        }
    });
    // A client that goes away is no news.
    let _ = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
        .serve_connection(io, service)
        .await;
}
