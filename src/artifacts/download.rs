//! Downloads one file, resuming interrupted downloads and checking the result.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use http::header::{CONTENT_RANGE, RANGE};
use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode};
use rustls::crypto::CryptoProvider;
use sha2::{Digest, Sha256};
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::error::{ArtifactsError, Voucher};
use super::hashes::hex;
use super::sums;

/// A connection that stays silent for this long is broken.
const SILENCE: Duration = Duration::from_secs(60);

/// Attempts after the first.
const RETRIES: usize = 4;

/// A published checksum is one line.
const CHECKSUM_LIMIT: usize = 64 << 10;

/// What a download must be.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// Lower hex.
    pub(super) sha256: String,
    /// Who says so.
    pub(super) voucher: Voucher,
}

/// Downloads over HTTP, through the proxy that the environment names.
pub(super) struct Client {
    http: reqwest::Client,
    retry_delay: Duration,
}

impl Client {
    /// `retry_delay` is the time before the second attempt; it doubles.
    pub(super) fn new(retry_delay: Duration) -> Result<Self, ArtifactsError> {
        // reqwest uses the process' provider; an error means that it is already installed.
        if CryptoProvider::get_default().is_none() {
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        // Certificates are verified against the platform's roots.
        let http = reqwest::Client::builder()
            .user_agent(concat!("clusterctl-rs/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(15))
            .read_timeout(SILENCE)
            .redirect(Policy::custom(|attempt| {
                let was_secure = attempt.previous().iter().any(|url| url.scheme() == "https");
                if was_secure && attempt.url().scheme() != "https" {
                    attempt.error("redirected from https to an insecure address")
                } else {
                    Policy::default().redirect(attempt)
                }
            }))
            .build()
            .map_err(|e| broken("anything", &e))?;
        Ok(Client { http, retry_delay })
    }

    /// The SHA-256 that `url` holds, alone or followed by a file's name.
    pub(super) async fn checksum(&self, url: &str) -> Result<String, ArtifactsError> {
        let attempt = || async {
            let mut response = self.get(url, 0).await?;
            refused(url, &response)?;
            let mut text = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(|e| broken(url, &e))? {
                text.extend_from_slice(&chunk);
                if text.len() > CHECKSUM_LIMIT {
                    break;
                }
            }
            String::from_utf8_lossy(&text)
                .split_whitespace()
                .next()
                .and_then(sums::checksum)
                .ok_or_else(|| ArtifactsError::NoChecksum {
                    url: url.to_owned(),
                })
        };
        attempt
            .retry(self.patience())
            .when(ArtifactsError::is_transient)
            .await
    }

    /// Downloads the file with this SHA-256 to `part`, reporting the bytes so far and in
    /// total to `progress`. What is already in `part` is not downloaded again.
    pub(super) async fn file(
        &self,
        url: &str,
        wanted: &Wanted,
        part: &Path,
        progress: impl Fn(u64, Option<u64>),
    ) -> Result<(), ArtifactsError> {
        (|| self.attempt(url, wanted, part, &progress))
            .retry(self.patience())
            .when(ArtifactsError::is_transient)
            .await
    }

    // Long: one sequence, in which each step decides about the file that the next goes on with.
    async fn attempt(
        &self,
        url: &str,
        wanted: &Wanted,
        part: &Path,
        progress: &impl Fn(u64, Option<u64>),
    ) -> Result<(), ArtifactsError> {
        let failed = |source| ArtifactsError::Write {
            path: part.to_owned(),
            source,
        };
        let (mut digest, mut done) = begun(part).await.map_err(failed)?;
        if hex(&digest.clone().finalize()) == wanted.sha256 {
            return Ok(());
        }
        let mut response = self.get(url, done).await?;
        let resumed = done > 0 && continues(&response, done);
        if !resumed {
            if response.status() == StatusCode::PARTIAL_CONTENT
                || response.status() == StatusCode::RANGE_NOT_SATISFIABLE
            {
                fs::remove_file(part).await.map_err(failed)?;
                return Err(ArtifactsError::Http {
                    url: url.to_owned(),
                    why: "the server cannot resume the download".into(),
                });
            }
            refused(url, &response)?;
            (digest, done) = (Sha256::new(), 0);
        }
        let total = response.content_length().map(|rest| done + rest);
        let mut file = File::options()
            .create(true)
            .write(true)
            .append(resumed)
            .truncate(!resumed)
            .open(part)
            .await
            .map_err(failed)?;
        progress(done, total);
        loop {
            let chunk = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(e) => {
                    // The next attempt continues from what has arrived.
                    file.flush().await.map_err(failed)?;
                    return Err(broken(url, &e));
                }
            };
            digest.update(&chunk);
            file.write_all(&chunk).await.map_err(failed)?;
            done += chunk.len() as u64;
            progress(done, total);
        }
        file.flush().await.map_err(failed)?;
        file.sync_all().await.map_err(failed)?;

        let found = hex(&digest.finalize());
        if found == wanted.sha256 {
            return Ok(());
        }
        fs::remove_file(part).await.map_err(failed)?;
        if resumed {
            return Err(ArtifactsError::Http {
                url: url.to_owned(),
                why: "the partial downloads do not fit together".into(),
            });
        }
        Err(ArtifactsError::Checksum {
            url: url.to_owned(),
            found,
            wanted: wanted.sha256.clone(),
            voucher: wanted.voucher,
        })
    }

    async fn get(&self, url: &str, from: u64) -> Result<Response, ArtifactsError> {
        let mut request = self.http.get(url);
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        request.send().await.map_err(|e| broken(url, &e))
    }

    fn patience(&self) -> ExponentialBuilder {
        ExponentialBuilder::default()
            .with_min_delay(self.retry_delay)
            .with_max_times(RETRIES)
            .with_jitter()
    }
}

/// What an earlier attempt left.
async fn begun(part: &Path) -> std::io::Result<(Sha256, u64)> {
    let mut digest = Sha256::new();
    let mut file = match File::open(part).await {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok((digest, 0)),
        Err(e) => return Err(e),
    };
    let mut buffer = vec![0; 256 << 10];
    let mut done = 0;
    loop {
        let count = file.read(&mut buffer).await?;
        if count == 0 {
            return Ok((digest, done));
        }
        digest.update(&buffer[..count]);
        done += count as u64;
    }
}

/// Whether this is the rest of the file from `from` on.
fn continues(response: &Response, from: u64) -> bool {
    response.status() == StatusCode::PARTIAL_CONTENT
        && response
            .headers()
            .get(CONTENT_RANGE)
            .and_then(|range| range.to_str().ok())
            .is_some_and(|range| range.starts_with(&format!("bytes {from}-")))
}

fn refused(url: &str, response: &Response) -> Result<(), ArtifactsError> {
    if response.status() == StatusCode::OK {
        return Ok(());
    }
    Err(ArtifactsError::Status {
        url: url.to_owned(),
        status: response.status().to_string(),
    })
}

/// reqwest has the interesting part in the sources.
fn broken(url: &str, error: &reqwest::Error) -> ArtifactsError {
    let mut why = String::new();
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = source {
        let text = error.to_string();
        if !text.contains(url) && !why.ends_with(&text) {
            if !why.is_empty() {
                why += ": ";
            }
            why += &text;
        }
        source = error.source();
    }
    if why.is_empty() {
        why = error.to_string();
    }
    ArtifactsError::Http {
        url: url.to_owned(),
        why,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// The checksum that is read from this answer.
    async fn published(status: &str, body: &str) -> Result<String, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/kubelet.sha256", listener.local_addr().unwrap());
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        let client = Client::new(Duration::from_millis(1)).unwrap();
        let read = client.checksum(&url).await;
        read.map_err(|error| error.to_string().replace(&url, "URL"))
    }

    #[tokio::test]
    async fn a_published_checksum_is_one_line_with_or_without_a_name() {
        let sum = "ab".repeat(32);
        for body in [sum.clone(), format!("{}  kubelet\n", sum.to_uppercase())] {
            assert_eq!(published("200 OK", &body).await, Ok(sum.clone()));
        }
        let html = published("200 OK", "<html>login</html>").await;
        assert_eq!(html.unwrap_err(), "URL contains no SHA-256");
        assert_eq!(
            published("404 Not Found", "").await.unwrap_err(),
            "cannot download URL: the server responded 404 Not Found"
        );
    }
}
