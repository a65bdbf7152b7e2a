//! Errors of artifacts.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::inventory::spec::defaults;
use files::Flaw;

/// Who says what a download must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voucher {
    /// `artifacts.checksums` or `artifacts.checksumsFile`.
    Inventory,
    /// The table of known releases in this program.
    BuiltIn,
    /// The checksum beside the file, on a server that proves who it is.
    Publisher,
}

impl fmt::Display for Voucher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Voucher::Inventory => "the inventory's checksum",
            Voucher::BuiltIn => "the publisher's checksum, which is built in,",
            Voucher::Publisher => "the checksum published beside it",
        })
    }
}

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
    /// A download does not match its checksum. It was not used.
    #[error("rejected {url}: it has the SHA-256\n  {found}\nbut {voucher} is\n  {wanted}")]
    Checksum {
        /// What was asked for.
        url: String,
        /// The checksum of the download.
        found: String,
        /// The checksum that it must have.
        wanted: String,
        /// Who says so.
        voucher: Voucher,
    },
    /// Nothing vouches for what servers without TLS would deliver.
    #[error(
        "cannot verify downloads that are not https, because no SHA-256 is known of:{}",
        paths.iter().map(|(base, path)| format!("\n  {base}/{path}")).collect::<String>()
    )]
    Unverifiable {
        /// The files: their mirrors, and paths below these.
        paths: Vec<(String, String)>,
    },
    /// Others could have put something into the cache.
    #[error("cannot use the cache: {} {}", path.display(), flaw)]
    Planted {
        /// The cache, or what is in it.
        path: PathBuf,
        /// What is wrong with it.
        flaw: Flaw,
        /// The cache.
        cache: PathBuf,
    },
    /// A file would have to be downloaded, which this verb does not.
    #[error("{url} has not been downloaded yet (to {})", dir.display())]
    NotCached {
        /// What would have to be downloaded.
        url: String,
        /// Where it would be.
        dir: PathBuf,
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
            ArtifactsError::Unverifiable { paths, .. } => {
                let example = paths.first().map_or("FILE", |(_, path)| path.as_str());
                Some(format!(
                    "use an https URL in `artifacts.mirrors`, or write what the publisher has beside \
                     each file (such as {}/{example}.sha256) into the inventory: \
                     `artifacts: {{checksums: {{{example}: SHA256}}}}`",
                    defaults::KUBERNETES_MIRROR
                ))
            }
            ArtifactsError::Checksum { voucher, .. } => Some(match voucher {
                Voucher::BuiltIn => {
                    "ask who runs the mirror; if you know why the file differs (your \
                     own build), write its SHA-256 into `artifacts.checksums`"
                        .into()
                }
                Voucher::Inventory => {
                    "ask who runs the mirror; correct `artifacts.checksums` only if you know why \
                     the file changed"
                        .into()
                }
                Voucher::Publisher => {
                    "the file or its checksum is damaged: try again later, or use another mirror"
                        .into()
                }
            }),
            ArtifactsError::Planted { flaw, cache, .. } => Some(match flaw {
                Flaw::Writable(_) => format!(
                    "others could replace what becomes the kubelet: move {0} away, or, if you trust \
                     what is in it, run `chmod -R go-w {0}`",
                    cache.display()
                ),
                Flaw::Owner(_) => format!(
                    "its files would be run as root on your hosts: set XDG_CACHE_HOME to a directory \
                     of yours, or move {} away",
                    cache.display()
                ),
            }),
            ArtifactsError::NotCached { .. } => {
                Some("run `clusterctl-rs artifacts fetch` or `clusterctl-rs plan`".into())
            }
            _ => None,
        }
    }

    /// Whether it is the inventory that has to be changed.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            ArtifactsError::Unverifiable { .. } | ArtifactsError::BadSums { .. }
        )
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
