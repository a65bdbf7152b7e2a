//! Health endpoints of components, each through a stream to its host.

use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use super::client::Stream;
use super::wait::Health;

/// A health endpoint answers in a few bytes; more than this is something else.
const MAX_ANSWER: u64 = 16 << 10;

/// Asks a health endpoint over plain HTTP.
pub async fn probe_http(stream: Box<dyn Stream>, path: &str) -> Health {
    judge_answer(send_get(stream, path).await)
}

/// Asks a health endpoint over HTTPS without looking at its certificate.
///
/// Controller manager and scheduler make up a certificate of their own at each
/// start, so there is nothing to hold it against (kubeadm does the same). The
/// stream ends at the loopback address of a host whose key was verified, and
/// nothing secret is sent.
pub async fn probe_https(stream: Box<dyn Stream>, path: &str) -> Health {
    let answer = async {
        let connector = TlsConnector::from(Arc::new(unverified_config()?));
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        send_get(connector.connect(name, stream).await?, path).await
    };
    judge_answer(answer.await)
}

/// Shakes hands with whoever is at the other end, and brings the certificate
/// that it showed and proved to own, as DER. Who that is, is for the caller to
/// judge. The stream comes back for those who want to keep it open.
pub async fn serving_certificate(
    stream: Box<dyn Stream>,
) -> io::Result<(Box<dyn Stream>, Vec<u8>)> {
    let connector = TlsConnector::from(Arc::new(unverified_config()?));
    let name = ServerName::try_from("kubernetes").map_err(io::Error::other)?;
    let stream = connector.connect(name, stream).await?;
    let certificates = stream.get_ref().1.peer_certificates();
    let leaf = certificates
        .and_then(|chain| chain.first())
        .map(|leaf| leaf.to_vec())
        .ok_or_else(|| io::Error::other("the other end showed no certificate"))?;
    Ok((Box::new(stream), leaf))
}

fn judge_answer(answer: io::Result<String>) -> Health {
    match answer {
        Ok(text) => {
            let status = text.lines().next().unwrap_or_default();
            if status.split_whitespace().nth(1) == Some("200") {
                Health::Ok
            } else {
                let body = text
                    .split_once("\r\n\r\n")
                    .map_or("", |(_, body)| body)
                    .trim();
                Health::No(
                    format!("{status} {}", failed_checks(body))
                        .trim()
                        .to_owned(),
                )
            }
        }
        Err(error) => Health::No(error.to_string()),
    }
}

/// Of the checks that a health endpoint lists, one a line, those that failed.
/// Any other text comes back as it is.
pub fn failed_checks(text: &str) -> String {
    let failed: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim().rsplit_once("[-]").map(|(_, check)| check))
        .collect();
    match failed.is_empty() {
        true => text.to_owned(),
        false => failed.join(", "),
    }
}

async fn send_get(mut stream: impl Stream, path: &str) -> io::Result<String> {
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    match stream.take(MAX_ANSWER).read_to_end(&mut answer).await {
        // A server that closes without TLS's farewell has still answered.
        Err(error) if answer.is_empty() => return Err(error),
        _ => {}
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn unverified_config() -> io::Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    Ok(config)
}

#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    async fn answer(with: &'static str) -> Health {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        tokio::spawn(async move {
            let mut request = [0; 256];
            let n = theirs.read(&mut request).await.unwrap();
            assert!(request[..n].starts_with(b"GET /healthz HTTP/1.0\r\n"));
            theirs.write_all(with.as_bytes()).await.unwrap();
        });
        probe_http(Box::new(ours), "/healthz").await
    }

    #[tokio::test]
    async fn only_200_is_healthy() {
        assert_eq!(answer("HTTP/1.0 200 OK\r\n\r\nok").await, Health::Ok);
        assert_eq!(
            answer("HTTP/1.1 500 Internal Server Error\r\n\r\n[-]etcd failed\n").await,
            Health::No("HTTP/1.1 500 Internal Server Error etcd failed".into())
        );
        assert!(matches!(answer("").await, Health::No(_)));
    }

    #[test]
    fn of_many_checks_those_that_failed_are_told() {
        let text = "cannot ask: [+]ping ok\n[-]etcd failed: reason withheld\n[+]log ok\nlivez check failed";
        assert_eq!(failed_checks(text), "etcd failed: reason withheld");
        assert_eq!(failed_checks("not found"), "not found");
    }
}
