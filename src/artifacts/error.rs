//! Errors of artifacts.

use std::io;
use std::path::PathBuf;

/// Errors of artifacts.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactsError {
    /// A file or directory can't be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file or directory can't be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no SHA256SUMS.
    #[error("{} has no SHA256SUMS", .0.display())]
    NoSums(PathBuf),
    /// A line of SHA256SUMS is invalid.
    #[error("{}, line {line}: {why}", path.display())]
    BadSums {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Files that must not be used.
    #[error("cannot use {}:{}", dir.display(), listed(problems))]
    Refused {
        /// The directory.
        dir: PathBuf,
        /// Files, relative to it, and what is wrong with each.
        problems: Vec<(String, String)>,
    },
    /// There is nothing for a host's architecture.
    #[error("{} has no kubelet for {arch} (linux-{arch}/kubelet)", dir.display())]
    NoArchitecture {
        /// The directory.
        dir: PathBuf,
        /// The architecture.
        arch: String,
    },
    /// A server responded with an error.
    #[error("cannot download {url}: the server responded {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// Its answer, such as `404 Not Found`.
        status: String,
    },
    /// A server is unreachable, or the connection broke.
    #[error("cannot download {url}: {why}")]
    Http {
        /// What was asked for.
        url: String,
        /// Why, with its causes.
        why: String,
    },
    /// A download does not match its published checksum.
    #[error("{url} has the SHA-256 {found}, but {wanted} was published")]
    Checksum {
        /// What was asked for.
        url: String,
        /// The checksum of the download.
        found: String,
        /// The published checksum.
        wanted: String,
    },
    /// A published checksum is invalid.
    #[error("{url} contains no SHA-256")]
    NoChecksum {
        /// What was asked for.
        url: String,
    },
    /// An archive can't be unpacked.
    #[error("cannot unpack {}: {source}", path.display())]
    Unpack {
        /// The archive.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A task was cancelled, or panicked.
    #[error("internal error: a task failed: {0}")]
    Task(String),
}

fn listed(problems: &[(String, String)]) -> String {
    /// More would push the first ones off the screen.
    const SHOWN: usize = 20;
    let mut text = String::new();
    for (file, why) in problems.iter().take(SHOWN) {
        text += &format!("\n  {}: {why}", file.escape_debug());
    }
    if problems.len() > SHOWN {
        text += &format!("\n  and {} more", problems.len() - SHOWN);
    }
    text
}

impl ArtifactsError {
    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            ArtifactsError::NoSums(dir) => Some(format!(
                "if you trust these files, run: cd {} && find . -type f ! -name SHA256SUMS \
                 -exec sha256sum {{}} + > SHA256SUMS",
                dir.display()
            )),
            ArtifactsError::Refused { .. } => Some(
                "fetch the files again from their source; regenerate SHA256SUMS only if you \
                 know why they changed"
                    .into(),
            ),
            ArtifactsError::Status { .. } | ArtifactsError::Http { .. } => Some(
                "check the version and `artifacts.mirrors`; behind a proxy, set HTTPS_PROXY; \
                 without internet, use `artifacts.source: directory`"
                    .into(),
            ),
            _ => None,
        }
    }

    /// Whether trying again may help.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            ArtifactsError::Http { .. } => true,
            ArtifactsError::Status { status, .. } => {
                ["5", "408", "429"].iter().any(|s| status.starts_with(s))
            }
            _ => false,
        }
    }
}
