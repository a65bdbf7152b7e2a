//! What can go wrong with the store.

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::issue::IssueError;
use crate::keys::KeyError;

/// What is wrong with the PKI on disk, or with making it.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file can't be read.
    #[error("can't read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file can't be written.
    #[error("can't write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that must not be replaced can't be used.
    #[error("{} {why}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why, as a clause that follows its name.
        why: String,
    },
    /// A CA's certificate has expired.
    #[error("the CA certificate {} expired at {at}", path.display())]
    CaExpired {
        /// The file.
        path: PathBuf,
        /// When.
        at: Timestamp,
    },
    /// A key isn't that of the certificate beside it.
    #[error("{} is not the key of {}", key.display(), cert.display())]
    KeyMismatch {
        /// The key.
        key: PathBuf,
        /// The certificate, or the public key.
        cert: PathBuf,
    },
    /// `sa.pub` exists, `sa.key` doesn't.
    #[error("{} exists, but the key that signs service account tokens, {}, is missing", public.display(), key.display())]
    NoServiceAccountKey {
        /// The public key.
        public: PathBuf,
        /// The missing key.
        key: PathBuf,
    },
    /// A CA is gone that has signed certificates.
    #[error("{} is missing, but {} was signed by it", ca.display(), leaf.display())]
    CaLost {
        /// The missing certificate.
        ca: PathBuf,
        /// One of those that it signed.
        leaf: PathBuf,
    },
    /// A CA's key is missing, and that is not declared.
    #[error("{} exists, but its key, {}, is missing", cert.display(), key.display())]
    CaKeyLost {
        /// The missing key.
        key: PathBuf,
        /// Its certificate.
        cert: PathBuf,
    },
    /// CAs without keys, and certificates that only they could sign.
    #[error("{}", list_external_leaves(cas, leaves))]
    ExternalCa {
        /// Certificates of CAs whose keys are elsewhere.
        cas: Vec<PathBuf>,
        /// What is missing or unusable, and why.
        leaves: Vec<(PathBuf, String)>,
    },
    /// A node's name can't be a directory's.
    #[error("`{0}` can't be used as a directory name in the operator state")]
    NodeName(String),
    /// A certificate can't be issued.
    #[error("can't issue {file}: {source}")]
    Issue {
        /// The file, relative to the operator state.
        file: String,
        /// Why.
        source: IssueError,
    },
    /// A key can't be made.
    #[error("can't make {file}: {source}")]
    Key {
        /// The file, relative to the operator state.
        file: String,
        /// Why.
        source: KeyError,
    },
    /// A certificate would be valid beyond what dates can say.
    #[error("a validity of {0:?} is out of range")]
    Validity(std::time::Duration),
    /// Encryption failed.
    #[error("can't encrypt {0} for upload")]
    Upload(String),
}

fn list_external_leaves(cas: &[PathBuf], leaves: &[(PathBuf, String)]) -> String {
    let cas: Vec<_> = cas.iter().map(|ca| ca.display().to_string()).collect();
    let mut text = format!(
        "{} has no key beside it, so the certificates that it signs must exist already:",
        cas.join(", ")
    );
    for (path, why) in leaves {
        text += &format!("\n  {}: {why}", path.display());
    }
    text
}

impl PkiError {
    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            PkiError::CaExpired { .. } => Some(
                "replace it with a renewed certificate of the same key, or remove certificate \
                 and key to start with a new CA"
                    .into(),
            ),
            PkiError::KeyMismatch { key, cert } => Some(format!(
                "replace {} with the key of {}",
                key.display(),
                cert.display()
            )),
            PkiError::NoServiceAccountKey { key, .. } => Some(format!(
                "restore {}, or remove both files to start with a new pair",
                key.display()
            )),
            PkiError::CaLost { ca, leaf } => Some(format!(
                "restore the CA (every control plane has a copy); to start with a new CA, remove \
                 {} and the other certificates beside it, as well as what is left of {}",
                leaf.display(),
                ca.display()
            )),
            PkiError::CaKeyLost { .. } => Some(
                "restore it (every control plane has a copy, which `clusterctl-rs state recover` \
                 fetches); if it is kept elsewhere on purpose, set `spec.externalCA: true`"
                    .into(),
            ),
            PkiError::ExternalCa { .. } => Some(
                "have them issued, or put the CA's key beside its certificate while they are \
                 issued here"
                    .into(),
            ),
            _ => None,
        }
    }
}
