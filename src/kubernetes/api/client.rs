//! A client of the API that needs no port open but SSH's.
//!
//! Every connection of the HTTP client goes through a [`Dial`]er: in a run that
//! is a channel of the SSH session to a control plane. TLS is verified end to
//! end against the cluster's CA, under the name `kubernetes`, which every API
//! server's certificate carries.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kube::client::{Body, ConfigExt};
use kube::config::AuthInfo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower::timeout::error::Elapsed;
use tower::{BoxError, ServiceBuilder};

use super::bounded::{self, Limits};
use super::error::ApiError;
use crate::layout::health::API_SERVER_READY;

/// A byte stream to an API server.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for T {}

/// Opens streams to an API server.
pub trait Dial: Send + Sync + 'static {
    /// Opens one.
    fn dial(&self) -> BoxFuture<'static, io::Result<Box<dyn Stream>>>;
}

/// Who the client is: a certificate and its key, PEM.
#[derive(Clone)]
pub struct Identity {
    /// Certificate.
    pub cert: String,
    /// Key.
    pub key: zeroize::Zeroizing<String>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity(…)")
    }
}

/// A server and who speaks to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Server<'a> {
    /// Scheme and host of every request; the way there is the dialer's affair.
    pub(super) url: &'a str,
    /// What its certificate is verified against, PEM. Without one it isn't verified.
    pub(super) ca: Option<&'a str>,
    /// As whom.
    pub(super) identity: Option<&'a Identity>,
}

/// Makes a client that speaks to the API server behind `dial` as `identity`.
///
/// # Errors
/// [`ApiError::Client`] if the certificates don't parse.
pub fn client(
    dial: Arc<dyn Dial>,
    ca: &str,
    identity: &Identity,
) -> Result<kube::Client, ApiError> {
    let server = Server {
        url: "https://kubernetes",
        ca: Some(ca),
        identity: Some(identity),
    };
    client_of(server, dial)
}

/// Whether an API server of the cluster whose CA is `ca` answers behind `dial`, and
/// is ready to serve. Asks without an identity: one that wants to know more still answers.
///
/// # Errors
/// Who answers instead, why there is no answer, or what is not ready.
pub async fn answers(dial: Arc<dyn Dial>, ca: &str) -> Result<(), ApiError> {
    let server = Server {
        url: "https://kubernetes",
        ca: Some(ca),
        identity: None,
    };
    let request = http::Request::get(API_SERVER_READY)
        .body(Vec::new())
        .map_err(ApiError::client)?;
    match client_of(server, dial)?.request_text(request).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if matches!(status.code, 401 | 403) => Ok(()),
        Err(error) => Err(ApiError::request("reach the API")(error)),
    }
}

/// A client of any server.
pub(super) fn client_of(server: Server<'_>, dial: Arc<dyn Dial>) -> Result<kube::Client, ApiError> {
    client_within(Limits::API, server, dial)
}

fn client_within(
    limits: Limits,
    server: Server<'_>,
    dial: Arc<dyn Dial>,
) -> Result<kube::Client, ApiError> {
    let config = config(server)?;
    let https = config
        .rustls_https_connector_with_connector(Connector(dial))
        .map_err(ApiError::client)?;
    let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        // An idle tunnel costs a channel of the session; a few seconds of reuse
        // are what saves handshakes.
        .pool_idle_timeout(Duration::from_secs(20))
        .build::<_, Body>(https);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .map_err(move |error: BoxError| match error.is::<Elapsed>() {
            true => format!("no answer within {:?}", limits.begin).into(),
            false => error,
        })
        .timeout(limits.begin)
        .service(http);
    let service = tower::service_fn(move |request: http::Request<Body>| {
        bounded::answer(service.clone(), request, limits)
    });
    Ok(kube::Client::new(service, "default"))
}

fn config(server: Server<'_>) -> Result<kube::Config, ApiError> {
    let url = server.url.parse().map_err(ApiError::client)?;
    let mut config = kube::Config::new(url);
    match server.ca {
        Some(ca) => config.root_cert = Some(pem_certificates(ca)?),
        None => config.accept_invalid_certs = true,
    }
    if let Some(identity) = server.identity {
        config.auth_info = AuthInfo {
            client_certificate_data: Some(STANDARD.encode(&identity.cert)),
            client_key_data: Some(STANDARD.encode(identity.key.as_bytes()).into()),
            ..AuthInfo::default()
        };
    }
    Ok(config)
}

fn pem_certificates(pem: &str) -> Result<Vec<Vec<u8>>, ApiError> {
    x509_parser::pem::Pem::iter_from_buffer(pem.as_bytes())
        .map(|block| block.map(|block| block.contents).map_err(ApiError::client))
        .collect()
}

#[derive(Clone)]
struct Connector(Arc<dyn Dial>);

impl tower::Service<http::Uri> for Connector {
    type Response = TokioIo<Tunnel>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Uri) -> Self::Future {
        let stream = self.0.dial();
        Box::pin(async move { Ok(TokioIo::new(Tunnel(stream.await?))) })
    }
}

/// One stream, as hyper wants it.
struct Tunnel(Box<dyn Stream>);

impl Connection for Tunnel {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use futures::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::super::wait::{Health, wait_healthy};
    use super::*;

    /// Takes every connection, and keeps it without a word.
    #[derive(Default)]
    struct Mute(std::sync::Mutex<Vec<tokio::io::DuplexStream>>);

    impl Dial for Mute {
        fn dial(&self) -> BoxFuture<'static, io::Result<Box<dyn Stream>>> {
            let (near, far) = tokio::io::duplex(1 << 16);
            self.0.lock().unwrap().push(far);
            async { Ok(Box::new(near) as Box<dyn Stream>) }.boxed()
        }
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let made = rcgen::generate_simple_self_signed(["kubernetes".to_owned()]).unwrap();
        let identity = Identity {
            cert: made.cert.pem(),
            key: made.signing_key.serialize_pem().into(),
        };
        let limits = Limits {
            begin: Duration::from_millis(20),
            ..Limits::API
        };
        let server = Server {
            url: "https://kubernetes",
            ca: Some(&identity.cert),
            identity: Some(&identity),
        };
        let client = client_within(limits, server, Arc::new(Mute::default())).unwrap();
        let error = ApiError::request("ask")(client.apiserver_version().await.unwrap_err());
        assert_eq!(error.to_string(), "cannot ask: no answer within 20ms");
        assert!(error.is_transient());
    }

    /// An API server with a certificate of its own.
    struct Stranger(Arc<rustls::ServerConfig>);

    impl Dial for Stranger {
        fn dial(&self) -> BoxFuture<'static, io::Result<Box<dyn Stream>>> {
            let (near, far) = tokio::io::duplex(1 << 16);
            let acceptor = tokio_rustls::TlsAcceptor::from(self.0.clone());
            tokio::spawn(async move { acceptor.accept(far).await.map(drop) });
            async { Ok(Box::new(near) as Box<dyn Stream>) }.boxed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_of_another_ca_is_not_asked_again() {
        let made = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let (ours, theirs) = (made("kubernetes"), made("kubernetes"));
        let key = rustls::pki_types::PrivateKeyDer::try_from(theirs.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![theirs.cert.der().clone()], key.unwrap())
            .unwrap();
        let dial = Arc::new(Stranger(Arc::new(config)));
        let began = tokio::time::Instant::now();
        let look = || async {
            let error = answers(dial.clone(), &ours.cert.pem()).await.unwrap_err();
            assert!(error.is_stranger() && !error.is_transient(), "{error}");
            Health::from_error(&error)
        };
        let waited = wait_healthy("the API", Duration::from_secs(240), look).await;
        assert!(
            matches!(waited, Err(ApiError::Hopeless { .. })),
            "{waited:?}"
        );
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    /// Answers every request with this, and says nothing more.
    struct Begins(&'static str);

    impl Dial for Begins {
        fn dial(&self) -> BoxFuture<'static, io::Result<Box<dyn Stream>>> {
            let (near, mut far) = tokio::io::duplex(1 << 16);
            let said = self.0;
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let asked = far.read(&mut request).await?;
                assert!(request[..asked].starts_with(b"GET "));
                far.write_all(said.as_bytes()).await?;
                std::future::pending::<io::Result<()>>().await
            });
            async { Ok(Box::new(near) as Box<dyn Stream>) }.boxed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_only_begins_is_not_waited_for() {
        for status in ["200 OK", "500 Internal Server Error"] {
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: 100\r\n\r\n{{");
            let dial = Arc::new(Begins(head.leak()));
            let server = Server {
                url: "http://kubernetes",
                ca: None,
                identity: None,
            };
            let client = client_of(server, dial).unwrap();
            let nodes: kube::Api<k8s_openapi::api::core::v1::Node> = kube::Api::all(client);
            let error = nodes.list(&kube::api::ListParams::default()).await;
            let error = ApiError::request("list nodes")(error.unwrap_err());
            let why = "the answer stopped: nothing more of it within 30 s";
            assert!(error.to_string().ends_with(why), "{error}");
            assert!(error.is_transient());
        }
    }
}
