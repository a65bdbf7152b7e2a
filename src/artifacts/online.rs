//! Fills the user's cache from the upstream sites. The cache has the layout of
//! an artifacts directory, its SHA256SUMS included, and is read as one.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::read::GzDecoder;
use futures::{StreamExt, TryStreamExt};
use tokio::sync::Mutex;

use super::catalogue::Release;
use super::directory::{blocking, open_directory};
use super::download::Client;
use super::error::ArtifactsError;
use super::hashes::{Hashes, hash};
use super::set::Set;
use super::sums::{self, Sums};
use crate::inventory::Version;
use crate::inventory::spec::{Mirrors, defaults};

/// Downloads at the same time.
const PARALLEL: usize = 4;

/// Maximum size of an unpacked archive.
const UNPACKED_LIMIT: u64 = 1 << 30;

/// What to download, and where to keep it.
#[derive(Debug, Clone)]
pub struct OnlineRequest {
    /// Kubernetes' version.
    pub version: Version,
    /// Go's names of the architectures that hosts have.
    pub architectures: BTreeSet<String>,
    /// Mirrors of the upstream sites.
    pub mirrors: Mirrors,
    /// The cache of all versions, as [`default_cache_dir`] gives it.
    pub cache: PathBuf,
    /// A file that remembers checksums from run to run.
    pub hashes: PathBuf,
    /// Time before a failed download is tried again; it doubles each time.
    pub retry_delay: Duration,
}

/// How far a download is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The file, relative to the version's directory.
    pub file: String,
    /// Bytes so far.
    pub done: u64,
    /// Bytes in total, if known.
    pub total: Option<u64>,
}

/// `$XDG_CACHE_HOME/clusterctl-rs`, or below `~/.cache`. `None` if the
/// environment names neither.
pub fn default_cache_dir() -> Option<PathBuf> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(base.join("clusterctl-rs"))
}

/// Downloads what the cache lacks, and reads the cache. Nothing that is there
/// and intact is downloaded, so a second call needs no network.
pub async fn fetch(
    request: &OnlineRequest,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Set, ArtifactsError> {
    let cache = Cache::open(request).await?;
    let client = Client::new(request.retry_delay)?;
    let items: Vec<Item> = request
        .architectures
        .iter()
        .flat_map(|arch| items(request, arch))
        .collect();
    futures::stream::iter(&items)
        .map(|item| cache.provide(&client, item, progress))
        .buffer_unordered(PARALLEL)
        .try_collect::<Vec<()>>()
        .await?;
    open_directory(&cache.dir, &request.architectures, &request.hashes).await
}

/// A download.
struct Item {
    url: String,
    /// Where it goes, relative to the version's directory.
    file: String,
    /// What is to be unpacked from it.
    unpack: Option<Unpack>,
}

/// What is to be unpacked from an archive.
#[derive(Clone)]
enum Unpack {
    /// This binary, into its own file.
    One { name: &'static str, file: String },
    /// All executables, as all that is in this directory.
    All { dir: String },
}

impl Unpack {
    /// Whether `file` is what comes, or came, out of the archive.
    fn covers(&self, file: &str) -> bool {
        match self {
            Unpack::One { file: own, .. } => file == own,
            Unpack::All { dir } => file
                .strip_prefix(dir.as_str())
                .is_some_and(|rest| rest.starts_with('/')),
        }
    }
}

fn items(request: &OnlineRequest, arch: &str) -> Vec<Item> {
    let release = Release::of(request.version);
    let site = |mirror: &Option<String>, upstream: &str| {
        let base = mirror.as_deref().unwrap_or(upstream);
        base.trim_end_matches('/').to_owned()
    };
    let mirrors = &request.mirrors;
    let kubernetes = site(&mirrors.kubernetes, defaults::KUBERNETES_MIRROR);
    let mut items: Vec<Item> = ["kubelet", "kubectl", "kubeadm"]
        .iter()
        .map(|name| Item {
            url: format!("{kubernetes}/{}/bin/linux/{arch}/{name}", request.version),
            file: format!("linux-{arch}/{name}"),
            unpack: None,
        })
        .collect();
    let mut archive = |site: String, version: &str, name: String, unpack| {
        items.push(Item {
            url: format!("{site}/{version}/{name}"),
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

/// The cache of one version, while we have it to ourselves.
struct Cache {
    dir: PathBuf,
    /// Unfinished downloads, by the checksum that they will have.
    partial: PathBuf,
    sums: Mutex<Sums>,
    hashes: Hashes,
    /// Unlocked when it is dropped.
    _lock: fs::File,
}

impl Cache {
    async fn open(request: &OnlineRequest) -> Result<Self, ArtifactsError> {
        let request = request.clone();
        blocking(move || {
            let dir = request.cache.join(request.version.to_string());
            let partial = request.cache.join("partial");
            for dir in [&dir, &partial] {
                files::create_private_dir(dir).map_err(writing(dir))?;
            }
            let path = request.cache.join(format!("{}.lock", request.version));
            let lock = fs::File::create(&path).map_err(writing(&path))?;
            lock.lock().map_err(writing(&path))?;
            let sums = match sums::read(&dir) {
                Err(ArtifactsError::NoSums(_)) => Sums::new(),
                other => other?,
            };
            Ok(Cache {
                dir,
                partial,
                sums: Mutex::new(sums),
                hashes: Hashes::load(&request.hashes),
                _lock: lock,
            })
        })
        .await
    }

    async fn provide(
        &self,
        client: &Client,
        item: &Item,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<(), ArtifactsError> {
        let mut added = Sums::new();
        let is_there = self.is_intact(&item.file).await?;
        if !is_there {
            let sha256 = client.checksum(&format!("{}.sha256", item.url)).await?;
            let part = self.partial.join(&sha256);
            client
                .file(&item.url, &sha256, &part, |done, total| {
                    progress(Progress {
                        file: item.file.clone(),
                        done,
                        total,
                    });
                })
                .await?;
            let target = self.dir.join(&item.file);
            blocking(move || move_into_place(&part, &target)).await?;
            added.insert(item.file.clone(), sha256);
        }
        if let Some(unpack) = &item.unpack
            && !(is_there && self.is_unpacked(unpack).await?)
        {
            let (dir, partial) = (self.dir.clone(), self.partial.clone());
            let (archive, unpack) = (dir.join(&item.file), unpack.clone());
            added.extend(
                blocking(move || {
                    unpack_into(&archive, &unpack, &dir, &partial).map_err(|source| {
                        ArtifactsError::Unpack {
                            path: archive.clone(),
                            source,
                        }
                    })
                })
                .await?,
            );
        }
        if added.is_empty() {
            return Ok(());
        }
        let mut sums = self.sums.lock().await;
        if let Some(unpack) = &item.unpack {
            sums.retain(|file, _| !unpack.covers(file));
        }
        sums.extend(added);
        let (path, text) = (self.dir.join(sums::FILE), sums::format(&sums));
        blocking(move || files::write_private(&path, text.as_bytes()).map_err(writing(&path))).await
    }

    /// Whether a file is there, with the listed checksum.
    async fn is_intact(&self, file: &str) -> Result<bool, ArtifactsError> {
        let Some(wanted) = self.sums.lock().await.get(file).cloned() else {
            return Ok(false);
        };
        let path = self.dir.join(file);
        if let Some(known) = self.hashes.get(&path) {
            return Ok(known.sha256 == wanted);
        }
        blocking(move || Ok(hash(&path).is_ok_and(|(sha256, _)| sha256 == wanted))).await
    }

    /// Whether all that came out of an archive is intact.
    async fn is_unpacked(&self, unpack: &Unpack) -> Result<bool, ArtifactsError> {
        let sums = self.sums.lock().await;
        let files: Vec<String> = sums.keys().filter(|f| unpack.covers(f)).cloned().collect();
        drop(sums);
        for file in &files {
            if !self.is_intact(file).await? {
                return Ok(false);
            }
        }
        Ok(!files.is_empty())
    }
}

fn writing(path: &Path) -> impl FnOnce(io::Error) -> ArtifactsError {
    let path = path.to_owned();
    |source| ArtifactsError::Write { path, source }
}

fn move_into_place(part: &Path, target: &Path) -> Result<(), ArtifactsError> {
    let place = || {
        if let Some(dir) = target.parent() {
            files::create_private_dir(dir)?;
        }
        fs::set_permissions(part, Permissions::from_mode(0o755))?;
        fs::rename(part, target)
    };
    place().map_err(writing(target))
}

/// Unpacks to a temporary directory, then moves into place; returns the checksums of the
/// files. Only plain names in the archive are used, so none can escape the directory.
fn unpack_into(archive: &Path, unpack: &Unpack, dir: &Path, partial: &Path) -> io::Result<Sums> {
    let aside = tempfile::tempdir_in(partial)?;
    let mut found = Vec::new();
    let mut left = UNPACKED_LIMIT;
    let mut tar = tar::Archive::new(GzDecoder::new(fs::File::open(archive)?));
    for entry in tar.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let plain = path.strip_prefix("./").unwrap_or(&path);
        let Some(name) = plain
            .to_str()
            .filter(|name| !name.is_empty() && !name.contains('/') && !matches!(*name, "." | ".."))
        else {
            continue;
        };
        let wanted = match unpack {
            Unpack::One { name: own, .. } => name == *own,
            // Archives also contain a licence and a README.
            Unpack::All { .. } => entry.header().mode()? & 0o111 != 0,
        };
        if !wanted || !entry.header().entry_type().is_file() {
            continue;
        }
        left = left
            .checked_sub(entry.size())
            .ok_or_else(|| io::Error::other("it contains more than 1 GiB"))?;
        let path = aside.path().join(name);
        let mut file = fs::File::create(&path)?;
        io::copy(&mut entry, &mut file)?;
        file.set_permissions(Permissions::from_mode(0o755))?;
        file.sync_all()?;
        found.push((name.to_owned(), hash(&path)?.0));
    }
    if found.is_empty() {
        return Err(io::Error::other("it contains none of the expected files"));
    }
    match unpack {
        Unpack::One { name, file } => {
            fs::rename(aside.path().join(name), dir.join(file))?;
            Ok(found
                .into_iter()
                .map(|(_, sha256)| (file.clone(), sha256))
                .collect())
        }
        Unpack::All { dir: sub } => {
            let target = dir.join(sub);
            if target.exists() {
                fs::remove_dir_all(&target)?;
            }
            fs::rename(aside.keep(), &target)?;
            Ok(found
                .into_iter()
                .map(|(name, sha256)| (format!("{sub}/{name}"), sha256))
                .collect())
        }
    }
}
