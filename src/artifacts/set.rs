//! What was found, ready to be pushed to hosts.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

/// A file whose checksum was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct File {
    /// Its name, such as `kubelet`.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Lower hex.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}

/// An archive of images whose checksum was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageArchive {
    /// Where it is.
    pub path: PathBuf,
    /// Lower hex.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    /// Images that it holds, by the names that containerd gives them.
    pub references: Vec<String>,
}

/// What there is for one architecture.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Arch {
    /// Binaries by name.
    pub binaries: BTreeMap<String, File>,
    /// CNI plugins by name.
    pub cni_plugins: BTreeMap<String, File>,
    /// Archives of images, by path.
    pub images: Vec<ImageArchive>,
}

/// What there is, by Go's name of the architecture (`amd64`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Set {
    /// One entry for each architecture that was asked for.
    pub architectures: BTreeMap<String, Arch>,
}

impl Set {
    /// The directory that it was read from.
    pub fn directory(&self) -> Option<PathBuf> {
        let found = self.architectures.values().next()?;
        let kubelet = found.binaries.values().next()?;
        Some(kubelet.path.parent()?.parent()?.to_owned())
    }

    /// A binary, if there is one of this name.
    pub fn binary(&self, arch: &str, name: &str) -> Option<&File> {
        self.architectures.get(arch)?.binaries.get(name)
    }

    /// The archive that holds the image `reference`.
    pub fn archive_of(&self, arch: &str, reference: &str) -> Option<&ImageArchive> {
        self.architectures
            .get(arch)?
            .images
            .iter()
            .find(|archive| archive.references.iter().any(|r| r == reference))
    }

    /// Every image that archives hold, of all architectures.
    pub fn references(&self) -> impl Iterator<Item = &str> + Clone {
        self.architectures
            .values()
            .flat_map(|arch| &arch.images)
            .flat_map(|archive| &archive.references)
            .map(String::as_str)
    }
}
