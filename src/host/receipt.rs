//! What we did to a host: `/var/lib/clusterctl/receipt.json`.
//!
//! It is written before anything else is changed, as the union of what it said
//! and of what is about to happen, so that a crash at any point leaves nothing
//! on the host that `reset` wouldn't find. It is a function of the plans, with
//! no times in it.
//!
//! Files that ours replaced are kept below `/var/lib/clusterctl/originals`, each under its
//! own path. `reset` puts back what it finds there.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::error::HostError;
use super::owner::Owner;

/// What we did to a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Receipt {
    /// Version of this form: 1.
    pub version: u32,
    /// The cluster that the host belongs to.
    #[serde(flatten)]
    pub owner: Owner,
    /// Directories that we made. `reset` removes the empty ones.
    pub directories: BTreeSet<String>,
    /// Directories whose mode or owner we changed, with what they were before.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, ReceiptAttributes>,
    /// Files that we wrote.
    pub files: BTreeMap<String, ReceiptFile>,
    /// Symbolic links that we made.
    pub links: BTreeSet<String>,
    /// Packages that we had installed.
    pub packages: BTreeSet<String>,
    /// Packages that we hold back from upgrades.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub held: BTreeSet<String>,
    /// Units that we changed, with what they were before.
    pub units: BTreeMap<String, ReceiptUnit>,
    /// Units that we masked.
    pub masked: BTreeSet<String>,
    /// Kernel modules that we loaded.
    pub modules: BTreeSet<String>,
    /// Sysctls that we set, with their values before.
    pub sysctls: BTreeMap<String, String>,
    /// Swap devices that we switched off.
    pub swap: BTreeSet<String>,
    /// Images that we brought, with their archive's hash, if they came in one.
    pub images: BTreeMap<String, Option<String>>,
    /// What the receipt on the host names, and nothing of ours can be: it was ignored. In
    /// words, escaped.
    #[serde(skip)]
    pub ignored: Vec<String>,
}

/// A file that we wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReceiptFile {
    /// SHA-256 of what we wrote, lower hex.
    pub sha256: String,
    /// Whether something of the host's own stood there.
    pub original: bool,
    /// What of it is ours, if others have a part in it (see `FileResource::merged`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ours: Option<String>,
}

/// Mode and owner of a directory before we changed them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReceiptAttributes {
    /// Permission bits, octal: `0700`.
    pub mode: String,
    /// `user:group` by number.
    pub owner: String,
}

/// What a unit was before we changed it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReceiptUnit {
    /// Whether it started at boot.
    pub enabled: bool,
    /// Whether it ran.
    pub active: bool,
}

impl Receipt {
    /// An empty one.
    pub fn new(owner: &Owner) -> Self {
        Receipt {
            version: 1,
            owner: owner.clone(),
            ..Receipt::default()
        }
    }

    /// Reads one.
    ///
    /// # Errors
    ///
    /// Text that is no receipt, or one of a version that we don't know.
    pub fn parse(text: &[u8]) -> Result<Self, HostError> {
        let receipt: Receipt =
            serde_json::from_slice(text).map_err(|error| HostError::Receipt {
                why: error.to_string(),
            })?;
        if receipt.version != 1 {
            return Err(HostError::Receipt {
                why: format!("version {} is not known", receipt.version),
            });
        }
        Ok(receipt)
    }

    /// How many things it lists, for summaries.
    pub fn count(&self) -> usize {
        self.directories.len()
            + self.attributes.len()
            + self.files.len()
            + self.links.len()
            + self.units.len()
            + self.masked.len()
            + self.sysctls.len()
            + self.swap.len()
            + self.images.len()
    }

    /// As it is on the host.
    pub fn to_json(&self) -> String {
        // Maps of strings and sets can't fail to serialize.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}
