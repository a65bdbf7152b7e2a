//! What a release consists of, as upstream sites and mirrors lay it out.

use super::catalogue::Release;
use crate::inventory::Version;
use crate::inventory::spec::{Mirrors, defaults};

/// A download.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// The site or mirror, without a slash at its end.
    pub(super) base: String,
    /// Where it is below that: the name by which checksums are known.
    pub(super) path: String,
    /// Where it goes, relative to the version's directory.
    pub(super) file: String,
    /// What is to be unpacked from it.
    pub(super) unpack: Option<Unpack>,
}

impl Item {
    /// What is asked for.
    pub(super) fn url(&self) -> String {
        format!("{}/{}", self.base, self.path)
    }

    /// Whether it comes from a server that proves who it is.
    pub(super) fn is_secure(&self) -> bool {
        self.base
            .split_once("://")
            .is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("https"))
    }
}

/// What is to be unpacked from an archive.
#[derive(Debug, Clone)]
pub(super) enum Unpack {
    /// This binary, into its own file.
    One { name: &'static str, file: String },
    /// All executables, as all that is in this directory.
    All { dir: String },
}

impl Unpack {
    /// Whether `file` is what comes, or came, out of the archive.
    pub(super) fn covers(&self, file: &str) -> bool {
        match self {
            Unpack::One { file: own, .. } => file == own,
            Unpack::All { dir } => file
                .strip_prefix(dir.as_str())
                .is_some_and(|rest| rest.starts_with('/')),
        }
    }
}

/// All that hosts of an architecture (Go's name of it) need.
pub(super) fn items(version: Version, mirrors: &Mirrors, arch: &str) -> Vec<Item> {
    let release = Release::of(version);
    let site = |mirror: &Option<String>, upstream: &str| {
        let base = mirror.as_deref().unwrap_or(upstream);
        base.trim_end_matches('/').to_owned()
    };
    let kubernetes = site(&mirrors.kubernetes, defaults::KUBERNETES_MIRROR);
    let mut items: Vec<Item> = ["kubelet", "kubectl", "kubeadm"]
        .iter()
        .map(|name| Item {
            base: kubernetes.clone(),
            path: format!("{version}/bin/linux/{arch}/{name}"),
            file: format!("linux-{arch}/{name}"),
            unpack: None,
        })
        .collect();
    let mut archive = |base: String, version: &str, name: String, unpack| {
        items.push(Item {
            base,
            path: format!("{version}/{name}"),
            file: format!("linux-{arch}/archives/{name}"),
            unpack: Some(unpack),
        });
    };
    let version = release.cni_plugins;
    archive(
        site(&mirrors.cni_plugins, defaults::CNI_PLUGINS_MIRROR),
        version,
        format!("cni-plugins-linux-{arch}-{version}.tgz"),
        Unpack::All {
            dir: format!("linux-{arch}/cni-plugins"),
        },
    );
    let version = release.crictl;
    archive(
        site(&mirrors.cri_tools, defaults::CRI_TOOLS_MIRROR),
        version,
        format!("crictl-{version}-linux-{arch}.tar.gz"),
        Unpack::One {
            name: "crictl",
            file: format!("linux-{arch}/crictl"),
        },
    );
    items
}
