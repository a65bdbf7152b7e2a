//! Fills the user's cache from the upstream sites. The cache has the layout of
//! an artifacts directory, its SHA256SUMS included, and is read as one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::read::GzDecoder;
use futures::{StreamExt, TryStreamExt};
use tokio::sync::Mutex;

use super::directory::{blocking, open_directory};
use super::download::{Client, Wanted};
use super::error::{ArtifactsError, Voucher};
use super::evidence::{self, Evidence};
use super::hashes::{Hashes, hash};
use super::items::{Item, Unpack, items};
use super::set::Set;
use super::sums::{self, Sums};
use crate::inventory::Version;
use crate::inventory::spec::Mirrors;

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
    /// The inventory's own SHA-256 of files (lower hex), by path below the mirrors' URLs.
    pub checksums: BTreeMap<String, String>,
    /// The cache of all versions, as [`default_cache_dir`] gives it.
    pub cache: PathBuf,
    /// A file that remembers checksums from run to run.
    pub hashes: PathBuf,
    /// Time before a failed download is tried again; it doubles each time.
    pub retry_delay: Duration,
}

impl OnlineRequest {
    /// The directory of this release, as far as the same evidence vouches for it.
    fn directory(&self) -> PathBuf {
        let name = evidence::directory(self.version, &self.mirrors, &self.checksums);
        self.cache.join(name)
    }

    fn items(&self) -> Vec<Item> {
        self.architectures
            .iter()
            .flat_map(|arch| items(self.version, &self.mirrors, arch))
            .collect()
    }
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
///
/// # Errors
/// Sources that nothing vouches for, before any of them is asked; a cache that others could
/// have filled; files that differ from their checksums.
pub async fn fetch(
    request: &OnlineRequest,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Set, ArtifactsError> {
    let items = request.items();
    evidence::refuse_unverifiable(&items, &request.checksums)?;
    let cache = Cache::open(request).await?;
    let client = Client::new(request.retry_delay)?;
    futures::stream::iter(&items)
        .map(|item| cache.provide(&client, item, progress))
        .buffer_unordered(PARALLEL)
        .try_collect::<Vec<()>>()
        .await?;
    open_directory(&cache.dir, &request.architectures, &request.hashes).await
}

/// Reads the cache, which has to be complete and intact; downloads nothing.
///
/// # Errors
/// As [`fetch`], and the first file that would have to be downloaded.
pub async fn open_cached(request: &OnlineRequest) -> Result<Set, ArtifactsError> {
    let items = request.items();
    evidence::refuse_unverifiable(&items, &request.checksums)?;
    let cache = Cache::open(request).await?;
    for item in &items {
        if !cache.has(item).await? {
            return Err(ArtifactsError::NotCached {
                url: item.url(),
                dir: cache.dir.clone(),
            });
        }
    }
    open_directory(&cache.dir, &request.architectures, &request.hashes).await
}

/// The cache of one version, while we have it to ourselves.
struct Cache {
    dir: PathBuf,
    /// Unfinished downloads, by the checksum that they will have.
    partial: PathBuf,
    /// The inventory's.
    checksums: BTreeMap<String, String>,
    sums: Mutex<Sums>,
    hashes: Hashes,
    /// Unlocked when it is dropped.
    _lock: fs::File,
}

impl Cache {
    async fn open(request: &OnlineRequest) -> Result<Self, ArtifactsError> {
        let request = request.clone();
        blocking(move || {
            let dir = request.directory();
            let partial = request.cache.join("partial");
            for dir in [&dir, &partial] {
                files::create_private_dir(dir).map_err(writing(dir))?;
            }
            let sums_file = dir.join(sums::FILE);
            for path in [&request.cache, &dir, &partial, &sums_file] {
                refuse_flawed(path, &request.cache)?;
            }
            let path = dir.with_added_extension("lock");
            let lock = fs::File::create(&path).map_err(writing(&path))?;
            lock.lock().map_err(writing(&path))?;
            let sums = match sums::read(&dir) {
                Err(ArtifactsError::NoSums(_)) => Sums::new(),
                other => other?,
            };
            Ok(Cache {
                dir,
                partial,
                checksums: request.checksums,
                sums: Mutex::new(sums),
                hashes: Hashes::load(&request.hashes),
                _lock: lock,
            })
        })
        .await
    }

    /// Whether all that an item brings is there, and what its evidence says.
    async fn has(&self, item: &Item) -> Result<bool, ArtifactsError> {
        if !self.is_vouched_for(item).await? {
            return Ok(false);
        }
        match &item.unpack {
            Some(unpack) => self.is_unpacked(unpack).await,
            None => Ok(true),
        }
    }

    /// Whether a file is there and what its evidence says. Where that is the publisher's
    /// checksum, it was checked when the file arrived, in a directory of this source alone.
    async fn is_vouched_for(&self, item: &Item) -> Result<bool, ArtifactsError> {
        let listed = self.sums.lock().await.get(&item.file).cloned();
        let vouched = match (evidence::evidence(item, &self.checksums), &listed) {
            (Some(Evidence::Sum(sum, _)), Some(listed)) => sum == *listed,
            (Some(Evidence::Published), Some(_)) => true,
            (None, _) | (_, None) => false,
        };
        Ok(vouched && self.is_intact(&item.file).await?)
    }

    /// The checksum that a download must have.
    async fn wanted(&self, client: &Client, item: &Item) -> Result<Wanted, ArtifactsError> {
        match evidence::evidence(item, &self.checksums) {
            Some(Evidence::Sum(sha256, voucher)) => Ok(Wanted { sha256, voucher }),
            Some(Evidence::Published) => Ok(Wanted {
                sha256: client.checksum(&format!("{}.sha256", item.url())).await?,
                voucher: Voucher::Publisher,
            }),
            None => Err(ArtifactsError::Unverifiable {
                paths: vec![(item.base.clone(), item.path.clone())],
            }),
        }
    }

    async fn provide(
        &self,
        client: &Client,
        item: &Item,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<(), ArtifactsError> {
        let mut added = Sums::new();
        let is_there = self.is_vouched_for(item).await?;
        if !is_there {
            let wanted = self.wanted(client, item).await?;
            let part = self.partial.join(&wanted.sha256);
            client
                .file(&item.url(), &wanted, &part, |done, total| {
                    progress(Progress {
                        file: item.file.clone(),
                        done,
                        total,
                    });
                })
                .await?;
            let target = self.dir.join(&item.file);
            blocking(move || move_into_place(&part, &target)).await?;
            added.insert(item.file.clone(), wanted.sha256);
        }
        if let Some(unpack) = &item.unpack
            && !(is_there && self.is_unpacked(unpack).await?)
        {
            added.extend(self.unpack(item, unpack).await?);
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

    /// Unpacks an item's archive; returns the checksums of the files.
    async fn unpack(&self, item: &Item, unpack: &Unpack) -> Result<Sums, ArtifactsError> {
        let (dir, partial) = (self.dir.clone(), self.partial.clone());
        let (path, unpack) = (dir.join(&item.file), unpack.clone());
        blocking(move || {
            unpack_into(&path, &unpack, &dir, &partial)
                .map_err(|source| ArtifactsError::Unpack { path, source })
        })
        .await
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

/// Others that can write to the cache decide what becomes the kubelet: it is judged as the
/// state directory is.
fn refuse_flawed(path: &Path, cache: &Path) -> Result<(), ArtifactsError> {
    match files::find_flaw(path) {
        Ok(None) => Ok(()),
        Ok(Some(flaw)) => Err(ArtifactsError::Planted {
            path: path.to_owned(),
            flaw,
            cache: cache.to_owned(),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(ArtifactsError::Read {
            path: path.to_owned(),
            source,
        }),
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
